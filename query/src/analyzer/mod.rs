//! The analyzer: text to terms, the same for index, query and matcher.
//!
//! Text is normalised (NFKC, full case folding, NFKC, then U+0300 to U+036F dropped after decomposition) and cut:
//!
//! | in the text | becomes |
//! |---|---|
//! | a maximal run of alphanumerics (Alphabetic or a number of any kind), `_` and their remaining marks | one term, however long |
//! | within it, a run of Han, Kana, Hangul, Thai, Lao, Khmer or Burmese (by Script_Extensions, by code point) | overlapping bigrams, then its last character; each at a position of its own. It also ends the run of other scripts beside it: `Tシャツ` is `t`, `シャ`, `ャツ`, `ツ` |
//! | an emoji | one term; the parts of a joined sequence (skin tone, keycap, ZWJ family) are terms one after another, so that 👍 finds 👍🏽, and 👍🏽 is the phrase of its two parts; a flag (two regional indicators) is one term |
//! | a variation selector, a soft hyphen | nothing, and does not separate: ❤️ is ❤, 葛󠄀 is 葛 |
//! | anything else, ZWJ, ZWNJ and zero-width blanks among it | separates |
//!
//! What follows from that: `ß` is `ss`, `İ` is `i`, `ς` is `σ`, `ﬁ` is `fi`, `Ｋ` is `k`, `½` is `1` and `2`, `й` is `и`
//! (its breve is U+0306). Arabic, Hebrew and Devanagari marks stay in the term: vocalised and bare spelling are two
//! words. Digits of other scripts stay what they are, except where NFKC makes them ASCII (full-width, superscript).
//!
//! Unicode data comes from the locked versions of unicode-normalization, caseless and icu_properties; a test pins every
//! code point's result, so that an update that changes one fails until [`ANALYZER_VERSION`] is raised.

mod normal;
#[cfg(test)]
pub(crate) mod oracle;
mod table;
mod terms;

pub use normal::fold_keyword;
use normal::normalised;
pub(crate) use normal::{Class, Diacritics, classify};
pub use terms::{Analyzer, Term, Terms};

/// Version of the analysis; stored in every split. Whatever changes a term, a position or an offset raises it.
pub const ANALYZER_VERSION: u32 = 1;

/// The whole text normalised, separators and all: what a literal spelling is compared with.
#[must_use]
pub fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    normalised(text.chars(), Diacritics::Dropped, |c| out.push(c));
    out
}
