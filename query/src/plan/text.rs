//! A word or phrase of a query to the pattern of its terms.

use super::literal::{Literal, LiteralElement};
use super::pattern::{TermPattern, TermTest, Wildcard};
use super::{Pattern, Slot};
use crate::analyzer::{Analyzer, Class, Diacritics};
use crate::ast::Text;
use crate::limits::INFIX_CHARACTERS_MIN;

/// A word or phrase that cannot be searched for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing of it is a term.
    #[error("`{0}` holds nothing to search for: no letter, digit, `_` or emoji")]
    NoTerm(String),
    /// It begins with a wildcard, and little follows.
    #[error(
        "`{0}` begins with a wildcard and has fewer than {INFIX_CHARACTERS_MIN} letters or digits"
    )]
    InfixShort(String),
    /// A wildcard that belongs to no term, or to two.
    #[error("a wildcard of `{0}` belongs to no single term")]
    WildcardPlace(String),
    /// A `*` within a run of a script without blanks, or two `?` in a row.
    #[error(
        "`{0}`: within text of a script written without blanks, only a single `?` between two characters is searched"
    )]
    WildcardInRun(String),
}

impl TextError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            TextError::NoTerm(text) if text.starts_with([':', '=', '<', '>']) || text.ends_with([':', '=', '<', '>']) => {
                "a property, its operator and its value are written without blanks: from:ana, date>=2026-01-01".to_owned()
            }
            TextError::NoTerm(_) => "punctuation alone is not indexed; add a word that stands with it".to_owned(),
            TextError::InfixShort(_) => {
                format!("write {INFIX_CHARACTERS_MIN} characters or more, or begin with them: word*")
            }
            TextError::WildcardPlace(_) => {
                "put `*` or `?` at the end of a word or between two of its letters".to_owned()
            }
            TextError::WildcardInRun(_) => {
                "join the parts with AND or ONEAR; every substring of such text is found without wildcards".to_owned()
            }
        }
    }
}

/// A normalised character of the query, or a wildcard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Is(char),
    One,
    Many,
}

/// What an element belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Beginning or end of the word.
    Edge,
    Separator,
    Word,
    Bigram,
    Emoji,
    Flag,
}

/// What a run of a script without blanks ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunEnd {
    /// The pattern: in the text the run may go on.
    Pattern,
    /// Blanks alone, then another such run: in the text both may be one.
    Blanks,
    /// Anything else: in the text, too, the run ends there.
    Run,
}

/// Whether a run of separators is blanks alone.
fn is_blank(run: &[(Element, Side)]) -> bool {
    run.iter().all(|(element, side)| {
        *side == Side::Separator && matches!(element, Element::Is(c) if c.is_whitespace())
    })
}

/// The pattern of a word or phrase.
pub(crate) fn pattern(text: &Text, diacritics: Diacritics) -> Result<Pattern, TextError> {
    match text {
        Text::Word(word) => Builder::word(word, diacritics)?.build(),
        Text::Phrase { text, prefix } => Builder::phrase(text, *prefix, diacritics).build(),
    }
}

/// Whether a word or phrase can be searched for.
pub(crate) fn check(text: &Text) -> Result<(), TextError> {
    pattern(text, Diacritics::Dropped)?;
    pattern(text, Diacritics::Kept).map(|_| ())
}

struct Builder<'a> {
    written: &'a str,
    elements: Vec<(Element, Side)>,
    /// The last term is a prefix.
    prefix: bool,
    /// Separators must stand as written.
    spelled: bool,
    diacritics: Diacritics,
}

impl<'a> Builder<'a> {
    fn phrase(text: &'a str, prefix: bool, diacritics: Diacritics) -> Self {
        let mut elements = Vec::new();
        literal_elements(text, diacritics, &mut elements);
        Builder {
            written: text,
            elements,
            prefix,
            spelled: false,
            diacritics,
        }
    }

    fn word(word: &'a str, diacritics: Diacritics) -> Result<Self, TextError> {
        let mut elements = Vec::new();
        let mut analyzer_text = word;
        while let Some(at) = analyzer_text.find(['*', '?']) {
            literal_elements(&analyzer_text[..at], diacritics, &mut elements);
            let many = analyzer_text.as_bytes()[at] == b'*';
            let wildcard = if many { Element::Many } else { Element::One };
            if !(many
                && elements
                    .last()
                    .is_some_and(|(last, _)| *last == Element::Many))
            {
                elements.push((wildcard, Side::Edge));
            }
            analyzer_text = &analyzer_text[at + 1..];
        }
        literal_elements(analyzer_text, diacritics, &mut elements);
        let elements = place_wildcards(word, &elements)?;
        let spelled = elements.iter().any(|(_, side)| *side == Side::Separator);
        Ok(Builder {
            written: word,
            elements,
            prefix: false,
            spelled,
            diacritics,
        })
    }

    fn build(&self) -> Result<Pattern, TextError> {
        let all: Vec<&[(Element, Side)]> = self.runs().collect();
        let terms: Vec<usize> = (0..all.len())
            .filter(|at| all[*at][0].1 != Side::Separator)
            .collect();
        let mut slots = Vec::new();
        let mut offset = 0;
        for at in &terms {
            let run = all[*at];
            let last = terms.last() == Some(at);
            let elements: Vec<Element> = run.iter().map(|(element, _)| *element).collect();
            match run[0].1 {
                Side::Bigram => {
                    let end = match &all[at + 1..] {
                        _ if last => RunEnd::Pattern,
                        [blanks, next, ..] if is_blank(blanks) && next[0].1 == Side::Bigram => {
                            RunEnd::Blanks
                        }
                        _ => RunEnd::Run,
                    };
                    offset = self.bigrams(&elements, end, offset, &mut slots)?;
                }
                Side::Word => {
                    let test = self.word_test(&elements, last && self.prefix)?;
                    slots.push(Slot { offset, test });
                    offset += 1;
                }
                _ => {
                    slots.push(Slot {
                        offset,
                        test: TermTest::Exact(literal_text(&elements)),
                    });
                    offset += 1;
                }
            }
        }
        if slots.is_empty() {
            return Err(TextError::NoTerm(self.written.to_owned()));
        }
        Ok(Pattern {
            slots,
            width: offset,
            literal: self.spelled.then(|| self.literal()),
        })
    }

    /// Neighbours of one side; an emoji is alone, flags are in pairs.
    fn runs(&self) -> impl Iterator<Item = &[(Element, Side)]> {
        let mut rest = self.elements.as_slice();
        std::iter::from_fn(move || {
            let side = rest.first()?.1;
            let same = rest.iter().take_while(|(_, s)| *s == side).count();
            let taken = match side {
                Side::Emoji => 1,
                Side::Flag => same.min(2),
                _ => same,
            };
            let (run, after) = rest.split_at(taken);
            rest = after;
            Some(run)
        })
    }

    fn word_test(&self, elements: &[Element], prefix: bool) -> Result<TermTest, TextError> {
        let literals = elements
            .iter()
            .filter(|e| matches!(e, Element::Is(_)))
            .count();
        let wild = elements.len() - literals;
        if wild > 0 && !matches!(elements[0], Element::Is(_)) && literals < INFIX_CHARACTERS_MIN {
            return Err(TextError::InfixShort(self.written.to_owned()));
        }
        Ok(match (wild, elements.last()) {
            (0, _) if prefix => TermTest::Prefix(literal_text(elements)),
            (0, _) => TermTest::Exact(literal_text(elements)),
            (1, Some(Element::Many)) => TermTest::Prefix(literal_text(elements)),
            _ => TermTest::Pattern(shape(elements)),
        })
    }

    /// The bigrams of a run; returns the position after it.
    fn bigrams(
        &self,
        run: &[Element],
        end: RunEnd,
        offset: u32,
        slots: &mut Vec<Slot>,
    ) -> Result<u32, TextError> {
        let run: Vec<Element> = match run {
            // At its ends any substring is found anyway.
            [Element::Many, run @ .., Element::Many]
            | [Element::Many, run @ ..]
            | [run @ .., Element::Many] => run.to_vec(),
            run => run.to_vec(),
        };
        let wild = |e: &Element| !matches!(e, Element::Is(_));
        if run.contains(&Element::Many)
            || run.windows(2).any(|pair| pair.iter().all(wild))
            || run.iter().all(wild)
        {
            return Err(TextError::WildcardInRun(self.written.to_owned()));
        }
        let mut at = offset;
        let mut push = |test| {
            slots.push(Slot { offset: at, test });
            at += 1;
        };
        for pair in run.windows(2) {
            push(bigram_test(pair));
        }
        let character = &run[run.len() - 1..];
        match end {
            // In the middle of a run the last character begins a bigram: found by the one before, if there is one.
            RunEnd::Pattern if run.len() == 1 => push(TermTest::Prefix(literal_text(character))),
            RunEnd::Pattern => at += 1,
            // Of the bigrams that begin with it only the one that ends with the next part's first character has that
            // part behind it: positions tell, whatever the prefix stands for.
            RunEnd::Blanks => push(TermTest::Prefix(literal_text(character))),
            RunEnd::Run => push(bigram_test(character)),
        }
        Ok(at)
    }

    fn literal(&self) -> Literal {
        let mut elements = self.elements.iter().map(|(element, _)| match element {
            Element::Is(c) => LiteralElement::Is(*c),
            Element::One => LiteralElement::One,
            Element::Many => LiteralElement::Many,
        });
        let lead_len = self
            .elements
            .iter()
            .take_while(|(_, side)| *side == Side::Separator)
            .count();
        let lead = elements.by_ref().take(lead_len);
        let lead = lead
            .filter_map(|e| {
                if let LiteralElement::Is(c) = e {
                    Some(c)
                } else {
                    None
                }
            })
            .collect();
        Literal {
            lead,
            rest: elements.collect(),
            diacritics: self.diacritics,
        }
    }
}

fn bigram_test(pair: &[Element]) -> TermTest {
    match pair.iter().all(|e| matches!(e, Element::Is(_))) {
        true => TermTest::Exact(literal_text(pair)),
        false => TermTest::Pattern(shape(pair)),
    }
}

fn literal_text(elements: &[Element]) -> String {
    elements
        .iter()
        .filter_map(|e| {
            if let Element::Is(c) = e {
                Some(*c)
            } else {
                None
            }
        })
        .collect()
}

fn shape(elements: &[Element]) -> TermPattern {
    let mut parts: Vec<Wildcard> = Vec::new();
    for element in elements {
        match (element, parts.last_mut()) {
            (Element::Is(c), Some(Wildcard::Literal(text))) => text.push(*c),
            (Element::Is(c), _) => parts.push(Wildcard::Literal(c.to_string())),
            (Element::One, _) => parts.push(Wildcard::One),
            (Element::Many, _) => parts.push(Wildcard::Many),
        }
    }
    TermPattern { parts }
}

/// The normalised characters of a text without wildcards, each with its side; a mark is of the side before it.
fn literal_elements(text: &str, diacritics: Diacritics, into: &mut Vec<(Element, Side)>) {
    let mut analyzer = Analyzer::with(diacritics);
    let mut terms = analyzer.start(text);
    while let Some(unit) = terms.next_unit() {
        let before = into
            .iter()
            .rev()
            .find(|(e, _)| matches!(e, Element::Is(_)))
            .map(|(_, side)| *side);
        let side = match unit.class {
            Class::Dropped => continue,
            Class::Separator => Side::Separator,
            Class::Word => Side::Word,
            Class::Bigram => Side::Bigram,
            Class::Emoji => Side::Emoji,
            Class::Flag => Side::Flag,
            Class::Mark => match before {
                Some(Side::Word) => Side::Word,
                Some(Side::Bigram) => Side::Bigram,
                _ => Side::Separator,
            },
        };
        into.push((Element::Is(unit.character), side));
    }
}

/// Gives every wildcard the side of the term it belongs to; drops those at the word's ends that change nothing.
fn place_wildcards(
    word: &str,
    elements: &[(Element, Side)],
) -> Result<Vec<(Element, Side)>, TextError> {
    let mut placed: Vec<(Element, Side)> = Vec::with_capacity(elements.len());
    let mut at = 0;
    while at < elements.len() {
        if matches!(elements[at].0, Element::Is(_)) {
            placed.push(elements[at]);
            at += 1;
            continue;
        }
        let wild = elements[at..]
            .iter()
            .take_while(|(e, _)| !matches!(e, Element::Is(_)))
            .count();
        let before = placed.last().map_or(Side::Edge, |(_, side)| *side);
        let after = elements
            .get(at + wild)
            .map_or(Side::Edge, |(_, side)| *side);
        let many = wild == 1 && elements[at].0 == Element::Many;
        let side = match (before, after) {
            (Side::Word, Side::Bigram) | (Side::Bigram, Side::Word) => None,
            (Side::Word, _) | (_, Side::Word) => Some(Side::Word),
            (Side::Bigram, _) => Some(Side::Bigram),
            (Side::Edge | Side::Emoji | Side::Flag, Side::Bigram) => Some(Side::Bigram),
            (Side::Separator, Side::Bigram) if !many => Some(Side::Bigram),
            (Side::Edge, Side::Edge) => None,
            (Side::Edge, _) | (_, Side::Edge) if many => Some(Side::Edge),
            _ => None,
        };
        match side {
            None if elements.iter().all(|(e, _)| !matches!(e, Element::Is(_))) => {
                return Err(TextError::NoTerm(word.to_owned()));
            }
            None => return Err(TextError::WildcardPlace(word.to_owned())),
            // `*.pdf`, `plan.*`: what stands there may be anything or nothing.
            Some(Side::Edge) => {}
            Some(side) => placed.extend(elements[at..at + wild].iter().map(|(e, _)| (*e, side))),
        }
        at += wild;
    }
    Ok(placed)
}
