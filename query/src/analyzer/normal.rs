//! Normalisation of text, and the class of a normalised character.
//!
//! Text: NFKC, full case folding, NFKC; then, unless diacritics are kept, decomposed (NFD), U+0300 to U+036F dropped,
//! recomposed (NFC). Recomposing puts kana voicing marks (が) and Hangul syllables back together.

use std::borrow::Cow;

use caseless::Caseless;
use icu_properties::props::{
    Alphabetic, DefaultIgnorableCodePoint, EmojiModifier, ExtendedPictographic, GeneralCategory,
    RegionalIndicator, Script,
};
use icu_properties::script::ScriptWithExtensions;
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_normalization::UnicodeNormalization;

/// Whether combining marks U+0300 to U+036F stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Diacritics {
    /// ü is u: index and search.
    Dropped,
    /// ü is ü: `--exact-diacritics`.
    Kept,
}

/// What a normalised character does to the term it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    /// Ends a term.
    Separator = 0,
    /// Part of a word: alphanumeric or `_`.
    Word = 1,
    /// Alphanumeric of a script written without blanks: part of a run of bigrams.
    Bigram = 2,
    /// A mark: goes on with the run before it, begins none.
    Mark = 3,
    /// Neither part of a term nor its end: variation selectors and the soft hyphen.
    Dropped = 4,
    /// A term of its own.
    Emoji = 5,
    /// A regional indicator: two of them are one flag, a term of its own.
    Flag = 6,
}

impl Class {
    /// The class of a number written by `as u8`.
    pub(crate) fn of_bits(bits: u32) -> Class {
        match bits {
            1 => Class::Word,
            2 => Class::Bigram,
            3 => Class::Mark,
            4 => Class::Dropped,
            5 => Class::Emoji,
            6 => Class::Flag,
            _ => Class::Separator,
        }
    }
}

/// Scripts that are written without blanks between words.
const BIGRAM_SCRIPTS: [Script; 8] = [
    Script::Han,
    Script::Hiragana,
    Script::Katakana,
    Script::Hangul,
    Script::Thai,
    Script::Lao,
    Script::Khmer,
    Script::Myanmar,
];

const KEYCAP: char = '\u{20e3}';
const SOFT_HYPHEN: char = '\u{ad}';

/// Class of a character of normalised text. Slow (property tries): the table remembers it.
pub(crate) fn classify(c: char) -> Class {
    if c.is_ascii() {
        let word = c.is_ascii_alphanumeric() || c == '_';
        return if word { Class::Word } else { Class::Separator };
    }
    if CodePointSetData::new::<RegionalIndicator>().contains(c) {
        return Class::Flag;
    }
    let pictograph = CodePointSetData::new::<ExtendedPictographic>().contains(c)
        || CodePointSetData::new::<EmojiModifier>().contains(c);
    if pictograph || c == KEYCAP {
        return Class::Emoji;
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    let mark = matches!(
        category,
        GeneralCategory::NonspacingMark
            | GeneralCategory::SpacingMark
            | GeneralCategory::EnclosingMark
    );
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c);
    if (mark && ignorable) || c == SOFT_HYPHEN {
        return Class::Dropped;
    }
    let number = matches!(
        category,
        GeneralCategory::DecimalNumber
            | GeneralCategory::LetterNumber
            | GeneralCategory::OtherNumber
    );
    if number || CodePointSetData::new::<Alphabetic>().contains(c) {
        let scripts = ScriptWithExtensions::new();
        let bigram = BIGRAM_SCRIPTS.iter().any(|s| scripts.has_script(c, *s));
        return if bigram { Class::Bigram } else { Class::Word };
    }
    if mark { Class::Mark } else { Class::Separator }
}

/// The diacritics that are dropped.
pub(crate) fn is_dropped_diacritic(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// The normalised characters of `text`.
pub(crate) fn normalised(
    text: impl Iterator<Item = char> + Clone,
    diacritics: Diacritics,
    mut each: impl FnMut(char),
) {
    let folded = text.nfkc().default_case_fold().nfkc();
    match diacritics {
        Diacritics::Kept => folded.for_each(each),
        Diacritics::Dropped => folded
            .nfd()
            .filter(|c| !is_dropped_diacritic(*c))
            .nfc()
            .for_each(&mut each),
    }
}

/// What "ignoring case" means for whole values (ids, room names, types …): NFKC, full case folding, NFKC; diacritics
/// stay, nothing is trimmed. Borrowed when nothing changes, as for almost every id.
#[must_use]
pub fn fold_keyword(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return match text.bytes().any(|b| b.is_ascii_uppercase()) {
            false => Cow::Borrowed(text),
            true => Cow::Owned(text.to_ascii_lowercase()),
        };
    }
    let mut folded = String::with_capacity(text.len());
    normalised(text.chars(), Diacritics::Kept, |c| folded.push(c));
    if folded == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(folded)
    }
}
