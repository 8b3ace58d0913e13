//! What a row proves: its hash, and which commit and origin it belongs to.

use std::collections::BTreeMap;

use holdfast_schemas::{EventHash, merkle};

/// One row, as far as roots and sets need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowMark {
    /// Version of the commit that archived it.
    pub version: u64,
    /// Its origin, as a number into [`Origins`].
    pub origin: u32,
    /// Its sequence.
    pub sequence: u64,
    /// Its event hash, recomputed.
    pub hash: EventHash,
}

/// Names of origins, once each.
#[derive(Debug, Default, Clone)]
pub struct Origins {
    names: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

impl Origins {
    /// The number of an origin, a new one for a new name.
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// The name of a number given out before.
    #[must_use]
    pub fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", String::as_str)
    }

    /// All names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// RFC 6962 root over rows in (origin, sequence) order, as commits and footers hold it.
#[must_use]
pub fn root(marks: &[RowMark], origins: &Origins) -> EventHash {
    merkle::rows_root(
        marks
            .iter()
            .map(|m| (origins.name(m.origin), m.sequence, m.hash)),
    )
}

/// Rows by the commit that archived them, wherever compaction has put them since.
#[must_use]
pub fn by_version(marks: &[RowMark]) -> BTreeMap<u64, Vec<RowMark>> {
    let mut by_version: BTreeMap<u64, Vec<RowMark>> = BTreeMap::new();
    for mark in marks {
        by_version.entry(mark.version).or_default().push(*mark);
    }
    by_version
}
