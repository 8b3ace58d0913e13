//! What each code point becomes, looked up instead of computed: property tries and normalisation take a microsecond a
//! character, a look-up takes a nanosecond. Pages of 128 are computed when first met, once in the process; the first is
//! ASCII, which most queries consist of.

use std::iter::once;
use std::sync::OnceLock;

use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfkd_quick};

use super::normal::{Class, Diacritics, classify, is_dropped_diacritic, normalised};

const PAGE: usize = 128;
const PAGES: usize = 0x11_0000 / PAGE;

const CHAR_BITS: u32 = 0x1f_ffff;
const CLASS_SHIFT: u32 = 21;
const CLASS_BITS: u32 = 0b111;
const JOINS: u32 = 1 << 24;
const INERT: u32 = 1 << 25;
const SLOW: u32 = 1 << 26;

/// What one code point becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry(u32);

impl Entry {
    /// The one normalised character, when not [`Entry::is_slow`].
    #[inline]
    pub(crate) fn character(self) -> char {
        char::from_u32(self.0 & CHAR_BITS).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// Its class, when not [`Entry::is_slow`].
    #[inline]
    pub(crate) fn class(self) -> Class {
        Class::of_bits((self.0 >> CLASS_SHIFT) & CLASS_BITS)
    }

    /// Whether normalisation may combine or reorder it with what stands before it.
    #[inline]
    pub(crate) fn joins(self) -> bool {
        self.0 & JOINS != 0
    }

    /// Whether it joins, but alone behind a character that does not join it changes nothing.
    #[inline]
    pub(crate) fn is_inert(self) -> bool {
        self.0 & INERT != 0
    }

    /// Whether it becomes no single character: normalise it together with what joins it.
    #[inline]
    pub(crate) fn is_slow(self) -> bool {
        self.0 & SLOW != 0
    }

    /// The bits, for the test that pins the table.
    #[cfg(test)]
    pub(crate) fn bits(self) -> u32 {
        self.0
    }
}

/// Entries of all code points in one mode.
#[derive(Debug)]
pub(crate) struct Table {
    diacritics: Diacritics,
    pages: [OnceLock<Box<[Entry; PAGE]>>; PAGES],
}

// In the program's image: a process that looks up ten characters touches two pages of memory, and fills none.
static DROPPED: Table = Table::new(Diacritics::Dropped);
static KEPT: Table = Table::new(Diacritics::Kept);

impl Table {
    /// The process's table of that mode.
    pub(crate) fn of(diacritics: Diacritics) -> &'static Table {
        match diacritics {
            Diacritics::Dropped => &DROPPED,
            Diacritics::Kept => &KEPT,
        }
    }

    const fn new(diacritics: Diacritics) -> Table {
        Table {
            diacritics,
            pages: [const { OnceLock::new() }; PAGES],
        }
    }

    /// The mode.
    pub(crate) fn diacritics(&self) -> Diacritics {
        self.diacritics
    }

    /// What `c` becomes.
    #[inline]
    pub(crate) fn entry(&self, c: char) -> Entry {
        let code = c as usize;
        match self.pages[code / PAGE].get() {
            Some(page) => page[code % PAGE],
            None => self.page(code / PAGE)[code % PAGE],
        }
    }

    #[cold]
    fn page(&self, number: usize) -> &[Entry; PAGE] {
        self.pages[number].get_or_init(|| {
            let mut page = Box::new([Entry(SLOW); PAGE]);
            for (i, entry) in page.iter_mut().enumerate() {
                let code = u32::try_from(number * PAGE + i).unwrap_or(0);
                if let Some(c) = char::from_u32(code) {
                    *entry = compute(c, self.diacritics);
                }
            }
            page
        })
    }
}

/// Whether `c` may combine with, or be reordered into, what stands before it.
fn combines(c: char) -> bool {
    canonical_combining_class(c) != 0 || is_nfc_quick(once(c)) != IsNormalized::Yes
}

fn unchanged_by_normalisation(c: char) -> bool {
    use caseless::Caseless;
    is_nfkd_quick(once(c)) == IsNormalized::Yes && once(c).default_case_fold().eq(once(c))
}

fn simple(c: char) -> u32 {
    c as u32 | ((classify(c) as u32) << CLASS_SHIFT)
}

fn compute(c: char, diacritics: Diacritics) -> Entry {
    if c.is_ascii() {
        return Entry(simple(c.to_ascii_lowercase()));
    }
    if is_dropped_diacritic(c) {
        return Entry(SLOW | JOINS);
    }
    let unchanged = unchanged_by_normalisation(c);
    if unchanged && !combines(c) {
        return Entry(simple(c));
    }
    if unchanged && is_nfc_quick(once(c)) == IsNormalized::Yes {
        return Entry(simple(c) | JOINS | INERT);
    }
    // Any stage may bring a combining character to the front (half-width ﾞ, U+0345).
    let mut folded = Vec::new();
    normalised(once(c), Diacritics::Kept, |out| folded.push(out));
    let joins = combines(c)
        || once(c).nfkd().next().is_some_and(combines)
        || folded.iter().copied().nfkd().next().is_some_and(combines);
    let mut out = Vec::new();
    normalised(once(c), diacritics, |c| out.push(c));
    match (out.as_slice(), joins) {
        ([one], false) => Entry(simple(*one)),
        (_, joins) => Entry(SLOW | if joins { JOINS } else { 0 }),
    }
}
