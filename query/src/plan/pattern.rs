//! Which terms stand at one position.

/// Which terms stand at one position.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TermTest {
    /// This one.
    Exact(String),
    /// Those that begin so.
    Prefix(String),
    /// Those of this shape.
    Pattern(TermPattern),
}

impl TermTest {
    /// Whether `term` is one of them.
    #[must_use]
    pub fn matches(&self, term: &str) -> bool {
        match self {
            TermTest::Exact(text) => term == text,
            TermTest::Prefix(prefix) => term.starts_with(prefix.as_str()),
            TermTest::Pattern(pattern) => pattern.matches(term),
        }
    }

    /// Text that every such term begins with: where to look in a sorted dictionary.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self {
            TermTest::Exact(text) | TermTest::Prefix(text) => text,
            TermTest::Pattern(pattern) => pattern.prefix(),
        }
    }
}

/// The shape of a term.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TermPattern {
    /// Its parts, in order.
    pub parts: Vec<Wildcard>,
}

/// A part of a shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wildcard {
    /// This text.
    Literal(String),
    /// One character (code point): `?`.
    One,
    /// Any number of them: `*`.
    Many,
}

impl TermPattern {
    /// Whether the whole of `term` has this shape.
    #[must_use]
    pub fn matches(&self, term: &str) -> bool {
        // The last `*` met, and where its text would end next: going back to it alone suffices, since an earlier one
        // taking more never helps a later one.
        let (mut part, mut rest) = (0, term);
        let mut star: Option<(usize, &str)> = None;
        loop {
            let step = match self.parts.get(part) {
                Some(Wildcard::Many) => {
                    star = Some((part + 1, rest));
                    Some(rest)
                }
                Some(Wildcard::One) => without_first(rest),
                Some(Wildcard::Literal(text)) => rest.strip_prefix(text.as_str()),
                None if rest.is_empty() => return true,
                None => None,
            };
            match (step, star) {
                (Some(next), _) => (part, rest) = (part + 1, next),
                (None, Some((after, from))) => {
                    let Some(from) = without_first(from) else {
                        return false;
                    };
                    star = Some((after, from));
                    (part, rest) = (after, from);
                }
                (None, None) => return false,
            }
        }
    }

    /// Text that every such term begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self.parts.first() {
            Some(Wildcard::Literal(text)) => text,
            _ => "",
        }
    }

    /// The same as a regular expression over the whole term, for automata over term dictionaries.
    #[must_use]
    pub fn regex(&self) -> String {
        let mut regex = String::new();
        for part in &self.parts {
            match part {
                Wildcard::One => regex.push('.'),
                Wildcard::Many => regex.push_str(".*"),
                // Terms hold letters, digits, marks, `_` and emoji: nothing that needs an escape.
                Wildcard::Literal(text) => regex.push_str(text),
            }
        }
        regex
    }
}

fn without_first(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next()?;
    Some(chars.as_str())
}
