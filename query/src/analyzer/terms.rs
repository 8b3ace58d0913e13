//! Cutting a text into terms.
//!
//! Three speeds: a word of ASCII between ASCII separators is found by a byte table and borrowed or lower-cased as a
//! whole; other characters are looked up one by one; only what normalisation may combine (a base and its marks,
//! conjoining jamo, ligatures) is normalised, chunk by chunk: a chunk is one character and all that join it.

use super::normal::{Class, Diacritics, classify, normalised};
use super::table::{Entry, Table};

/// One term of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term<'a> {
    /// The normalised term.
    pub text: &'a str,
    /// Its place among the text's terms, from 0.
    pub position: u32,
    /// First byte of it in the original text.
    pub offset_from: usize,
    /// First byte after it in the original text.
    pub offset_to: usize,
}

/// One normalised character and the original bytes it came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    pub(crate) character: char,
    pub(crate) class: Class,
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Whether the original bytes are exactly this character.
    same: bool,
}

/// Cuts texts into terms; keeps its buffers from text to text, so that no term allocates.
#[derive(Debug, Clone)]
pub struct Analyzer {
    table: &'static Table,
    scratch: String,
    units: Vec<Unit>,
}

impl Default for Analyzer {
    fn default() -> Self {
        Self::new()
    }
}

impl Analyzer {
    /// The analyzer of index and search.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Diacritics::Dropped)
    }

    /// The same, but diacritics (U+0300 to U+036F) stay: what `--exact-diacritics` compares.
    #[must_use]
    pub fn exact_diacritics() -> Self {
        Self::with(Diacritics::Kept)
    }

    pub(crate) fn with(diacritics: Diacritics) -> Self {
        Self {
            table: Table::of(diacritics),
            scratch: String::new(),
            units: Vec::new(),
        }
    }

    /// Calls `each` for every term of `text`, in order.
    #[inline]
    pub fn terms(&mut self, text: &str, mut each: impl FnMut(Term<'_>)) {
        let mut terms = self.start(text);
        while let Some(term) = terms.next_term() {
            each(term);
        }
    }

    /// The terms of `text`, one pull at a time (what a Tantivy `TokenStream` wraps).
    pub fn start<'a>(&'a mut self, text: &'a str) -> Terms<'a> {
        self.units.clear();
        Terms {
            analyzer: self,
            text,
            at: 0,
            ahead: None,
            unit_at: 0,
            pending: None,
            held: None,
            position: 0,
        }
    }
}

/// The terms of one text, pulled one by one. Not an `Iterator`: a term borrows the analyzer's buffer until the next.
#[derive(Debug)]
pub struct Terms<'a> {
    analyzer: &'a mut Analyzer,
    text: &'a str,
    /// First byte not yet read.
    at: usize,
    /// The character at `at` and its length, when already looked up.
    ahead: Option<(char, Entry)>,
    /// First of the analyzer's units not yet taken.
    unit_at: usize,
    /// A unit that was read and put back.
    pending: Option<Unit>,
    /// The last character of the bigram run being read.
    held: Option<Unit>,
    position: u32,
}

/// What an ASCII byte becomes in a term; 0 for a separator and for bytes of longer characters.
const ASCII: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 128 {
        let byte = b as u8;
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            table[b] = byte.to_ascii_lowercase();
        }
        b += 1;
    }
    table
};

/// Where the text of the next term is.
enum Found {
    /// In the original text.
    Original,
    /// In the scratch buffer.
    Scratch,
}

impl Terms<'_> {
    /// The next term, or `None` at the end.
    #[inline]
    pub fn next_term(&mut self) -> Option<Term<'_>> {
        let (found, from, to) = match self.held {
            None if self.pending.is_none() && self.unit_at == self.analyzer.units.len() => {
                self.next_ascii()?
            }
            _ => self.next_by_units()?,
        };
        let position = self.position;
        self.position += 1;
        let text = match found {
            Found::Original => &self.text[from..to],
            Found::Scratch => self.analyzer.scratch.as_str(),
        };
        Some(Term {
            text,
            position,
            offset_from: from,
            offset_to: to,
        })
    }

    /// The next term if it is a word of ASCII with ASCII (or an end) around it, else whatever [`Self::next_by_units`] finds.
    #[inline]
    fn next_ascii(&mut self) -> Option<(Found, usize, usize)> {
        let bytes = self.text.as_bytes();
        let mut from = self.at;
        while from < bytes.len() && bytes[from] < 128 && ASCII[bytes[from] as usize] == 0 {
            from += 1;
        }
        let mut to = from;
        let mut changed = 0;
        while to < bytes.len() {
            let folded = ASCII[bytes[to] as usize];
            if folded == 0 {
                break;
            }
            changed |= folded ^ bytes[to];
            to += 1;
        }
        if from != self.at {
            // A separator before a combining mark goes with it into one chunk; that only ever separates too.
            self.ahead = None;
            self.at = from;
        }
        if to == bytes.len() && from == to {
            return None;
        }
        if to < bytes.len() && bytes[to] >= 128 {
            return self.next_by_units();
        }
        self.at = to;
        self.ahead = None;
        if changed == 0 {
            return Some((Found::Original, from, to));
        }
        let scratch = &mut self.analyzer.scratch;
        scratch.clear();
        scratch.push_str(&self.text[from..to]);
        scratch.make_ascii_lowercase();
        Some((Found::Scratch, from, to))
    }

    fn next_by_units(&mut self) -> Option<(Found, usize, usize)> {
        loop {
            if let Some(held) = self.held.take() {
                return Some(self.bigram(held));
            }
            let unit = self.next_unit()?;
            match unit.class {
                Class::Separator => {
                    // Back to the fast path as soon as nothing is left over from here.
                    if self.unit_at == self.analyzer.units.len() && self.pending.is_none() {
                        return self.next_ascii();
                    }
                }
                Class::Mark | Class::Dropped => {}
                Class::Bigram => self.held = Some(unit),
                Class::Emoji => return Some(self.emoji(unit)),
                Class::Flag => return Some(self.flag(unit)),
                Class::Word => return Some(self.word(unit)),
            }
        }
    }

    /// The bigram that begins with `first`, or `first` alone at the end of its run.
    fn bigram(&mut self, first: Unit) -> (Found, usize, usize) {
        let second = loop {
            match self.next_unit() {
                Some(unit) if unit.class == Class::Dropped => {}
                Some(unit) if matches!(unit.class, Class::Bigram | Class::Mark) => {
                    break Some(unit);
                }
                other => {
                    self.pending = other;
                    break None;
                }
            }
        };
        self.held = second;
        let to = second.map_or(first.to, |s| s.to);
        if first.same && second.is_none_or(|s| s.same && s.from == first.to) {
            return (Found::Original, first.from, to);
        }
        let scratch = &mut self.analyzer.scratch;
        scratch.clear();
        scratch.push(first.character);
        if let Some(second) = second {
            scratch.push(second.character);
        }
        (Found::Scratch, first.from, to)
    }

    fn word(&mut self, first: Unit) -> (Found, usize, usize) {
        self.analyzer.scratch.clear();
        self.analyzer.scratch.push(first.character);
        let mut to = first.to;
        loop {
            match self.next_unit() {
                Some(unit) if matches!(unit.class, Class::Word | Class::Mark) => {
                    self.analyzer.scratch.push(unit.character);
                    to = unit.to;
                }
                Some(unit) if unit.class == Class::Dropped => {}
                other => {
                    self.pending = other;
                    break;
                }
            }
        }
        (Found::Scratch, first.from, to)
    }

    fn emoji(&mut self, unit: Unit) -> (Found, usize, usize) {
        self.analyzer.scratch.clear();
        self.analyzer.scratch.push(unit.character);
        (Found::Scratch, unit.from, unit.to)
    }

    fn flag(&mut self, first: Unit) -> (Found, usize, usize) {
        let second = loop {
            match self.next_unit() {
                Some(unit) if unit.class == Class::Dropped => {}
                other => break other,
            }
        };
        match second {
            Some(second) if second.class == Class::Flag => {
                self.analyzer.scratch.clear();
                self.analyzer.scratch.push(first.character);
                self.analyzer.scratch.push(second.character);
                (Found::Scratch, first.from, second.to)
            }
            other => {
                self.pending = other;
                self.emoji(first)
            }
        }
    }

    /// The next normalised character.
    #[inline]
    pub(crate) fn next_unit(&mut self) -> Option<Unit> {
        if let Some(unit) = self.pending.take() {
            return Some(unit);
        }
        loop {
            if let Some(unit) = self.analyzer.units.get(self.unit_at) {
                self.unit_at += 1;
                return Some(*unit);
            }
            let (c, entry) = match self.ahead.take() {
                Some(ahead) => ahead,
                None => self.look(self.at)?,
            };
            let from = self.at;
            self.at += c.len_utf8();
            self.ahead = self.look(self.at);
            if !entry.is_slow() && !self.is_joined(entry) {
                let character = entry.character();
                return Some(Unit {
                    character,
                    class: entry.class(),
                    from,
                    to: self.at,
                    same: character == c,
                });
            }
            self.normalise_chunk(from);
        }
    }

    #[inline]
    fn look(&self, at: usize) -> Option<(char, Entry)> {
        let c = self.text.get(at..)?.chars().next()?;
        Some((c, self.analyzer.table.entry(c)))
    }

    /// Whether what comes next joins the character just read, so that both must be normalised together.
    #[inline]
    fn is_joined(&self, read: Entry) -> bool {
        match self.ahead {
            Some((c, next)) if next.joins() => {
                let further = || {
                    self.look(self.at + c.len_utf8())
                        .is_some_and(|(_, e)| e.joins())
                };
                !next.is_inert() || read.joins() || further()
            }
            _ => false,
        }
    }

    /// Reads on while characters join, and leaves the normalised characters in the analyzer's units.
    #[cold]
    fn normalise_chunk(&mut self, from: usize) {
        while let Some((c, entry)) = self.ahead {
            if !entry.joins() {
                break;
            }
            self.at += c.len_utf8();
            self.ahead = self.look(self.at);
        }
        let to = self.at;
        let units = &mut self.analyzer.units;
        units.clear();
        self.unit_at = 0;
        normalised(
            self.text[from..to].chars(),
            self.analyzer.table.diacritics(),
            |character| {
                units.push(Unit {
                    character,
                    class: classify(character),
                    from,
                    to,
                    same: false,
                });
            },
        );
    }
}
