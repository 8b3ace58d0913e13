//! What a query means: the lowered form that the matcher and the index's compiler both evaluate, so that they cannot
//! disagree about what a construct stands for.
//!
//! Text is found by [`Pattern`]s: terms at positions relative to each other, within one value of one field (each
//! attachment's name is a value of its own). How a word becomes one:
//!
//! | written | pattern |
//! |---|---|
//! | `word` | the term |
//! | `"two words"` | the terms at 0, 1 |
//! | `東京都` | its bigrams at 0, 1; no last character, so that it is found in the middle of a run |
//! | `東` | a prefix: the bigrams that begin with it, and itself at the end of a run |
//! | `"今日 は"` | `今日` at 0, the prefix `日` at 1, the prefix `は` at 2 |
//! | `東京tower`, `"東京 tower"` | `東京` at 0, `京` at 1 (the run ends there), `tower` at 2 |
//! | `wor*` | a prefix |
//! | `*infix*`, `wo?d`, `w*d` | a wildcard over the characters of one term; 3 literal characters at least where it begins with `*` or `?` |
//! | `東京*`, `*東京` | as `東京`: any substring of a run is found anyway |
//! | `東?都` | wildcards over bigrams: `東?` at 0, `?都` at 1 |
//! | `R&D`, `docs.r*` | its terms as a phrase, and a [`Literal`] spelling |
//! | `👍🏽` | the terms of its parts as a phrase |
//!
//! A phrase is its terms in order and adjacent. Who writes a script without blanks puts blanks into a phrase to part words,
//! not because the text has them: two parts of such scripts with blanks alone between them are adjacent with or without a
//! separator between them in the text, `"今日 は"` is found in `今日は` and in `今日 は`. So the last character of the first part
//! is a prefix, as a single character is: itself at the end of a run, or the bigram that goes on into the next part.
//! Another separator (`"今日、は"`) or another script (`"今日 tower"`) ends the run in the text, too.
//!
//! A term with a literal spelling, or compared with its diacritics, is not decided by terms alone:
//! [`Operand::decided_by_terms`]. What the terms say is then an upper bound of what it matches: take every row where it
//! stands below `NOT`, and let the matcher judge each row found.

mod fields;
mod literal;
mod lower;
mod pattern;
mod text;

#[cfg(test)]
mod tests;

pub use fields::{KeywordField, TextField, TextValue, reaction};
pub use literal::Literal;
pub use lower::{LowerError, lower};
pub use pattern::{TermPattern, TermTest, Wildcard};
pub use text::TextError;
pub(crate) use text::check;

/// What a query means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Every one; without any, every event.
    All(Vec<Plan>),
    /// At least one; without any, no event.
    Any(Vec<Plan>),
    /// Not this one.
    Not(Box<Plan>),
    /// A pattern occurs in some value of some of the fields.
    Text {
        /// Where.
        fields: Vec<TextField>,
        /// What.
        operand: Operand,
    },
    /// Two patterns occur near each other in one value.
    Near(Near),
    /// Some of the fields has this value.
    Keyword {
        /// Where.
        fields: Vec<KeywordField>,
        /// What.
        test: KeywordTest,
    },
    /// Some value of some of the fields, folded by [`crate::analyzer::fold_keyword`], is this one.
    Whole {
        /// Where.
        fields: Vec<TextField>,
        /// The value, folded.
        value: String,
        /// A pattern that every such value holds; `None` when the value has no term.
        within: Option<Pattern>,
    },
    /// A time within bounds.
    Time {
        /// Which time.
        column: TimeColumn,
        /// First microsecond (since 1970-01-01T00:00:00Z) within.
        from_us: Option<i64>,
        /// First microsecond after.
        to_us: Option<i64>,
    },
    /// Some attachment's size lies within bounds.
    Size {
        /// The least, in bytes.
        from_bytes: Option<i64>,
        /// The most.
        to_bytes: Option<i64>,
    },
    /// Whether there is an attachment.
    HasAttachment(bool),
}

/// Two patterns near each other, in one value.
///
/// An occurrence takes the positions from its first to `first + width - 1`. Two are near when they do not overlap and
/// at most `distance` positions lie between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Near {
    /// Where.
    pub fields: Vec<TextField>,
    /// One of these …
    pub left: Vec<Operand>,
    /// … near one of these.
    pub right: Vec<Operand>,
    /// Positions between them, at most.
    pub distance: u32,
    /// The left one stands first.
    pub ordered: bool,
}

impl Near {
    /// Whether terms and positions decide it ([`Operand::decided_by_terms`]).
    #[must_use]
    pub fn decided_by_terms(&self) -> bool {
        self.left
            .iter()
            .chain(&self.right)
            .all(Operand::decided_by_terms)
    }
}

/// One word or phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operand {
    /// Over the terms of [`crate::analyzer::Analyzer::new`].
    pub pattern: Pattern,
    /// Over those of [`crate::analyzer::Analyzer::exact_diacritics`]: must occur, too.
    pub exact: Option<Pattern>,
}

impl Operand {
    /// Whether the index's terms and positions decide it; otherwise they are an upper bound.
    #[must_use]
    pub fn decided_by_terms(&self) -> bool {
        self.pattern.literal.is_none() && self.exact.is_none()
    }
}

/// Terms at positions relative to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// By ascending offset, one a position, the first at 0; never empty.
    pub slots: Vec<Slot>,
    /// Positions that an occurrence takes. Larger than the last offset + 1 where a run of bigrams ends the pattern: its
    /// last character has a position, too.
    pub width: u32,
    /// The spelling that must stand where the terms stand.
    pub literal: Option<Literal>,
}

/// A term at its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Positions after the pattern's first.
    pub offset: u32,
    /// Which terms.
    pub test: TermTest,
}

/// What a whole value is compared with, both folded by [`crate::analyzer::fold_keyword`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeywordTest {
    /// The whole value.
    Equals(String),
    /// Its beginning.
    Prefix(String),
}

/// The two times of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeColumn {
    /// When it happened.
    Event,
    /// When ingest took it.
    Ingest,
}
