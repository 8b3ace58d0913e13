//! What a row proves: its hash, and which commit and origin it belongs to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

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

    /// The numbers here of another set's names, in the order of theirs.
    pub fn numbers_of(&mut self, other: &Self) -> Vec<u32> {
        other.names.iter().map(|name| self.number(name)).collect()
    }

    /// The place of each number's name among the names in their order.
    fn ranks(&self) -> Vec<u32> {
        let mut ranks = vec![0; self.names.len()];
        for (rank, number) in (0..).zip(self.numbers.values()) {
            ranks[*number as usize] = rank;
        }
        ranks
    }

    /// All names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// RFC 6962 root over rows in (origin, sequence) order, as commits and footers hold it.
#[must_use]
pub fn root<'m>(
    marks: impl ExactSizeIterator<Item = &'m RowMark> + Clone,
    origins: &Origins,
) -> EventHash {
    let ranks = origins.ranks();
    let key = |mark: &RowMark| (ranks[mark.origin as usize], mark.sequence);
    if marks.clone().is_sorted_by_key(key) {
        return merkle::root(marks.map(|mark| mark.hash));
    }
    let mut order: Vec<_> = marks.map(|mark| (key(mark), mark)).collect();
    order.sort_unstable_by_key(|(key, _)| *key);
    merkle::root(order.iter().map(|(_, mark)| mark.hash))
}

/// Roots that are known already: of some of a commit's rows, how many they are, and their root.
pub type Known = BTreeMap<u64, (usize, EventHash)>;

/// Roots of the rows of each commit, on as many cores as there are. Where the root of as many of its rows is known as there
/// are, it is not hashed again.
#[must_use]
pub fn roots(rows: &ByVersion<'_>, origins: &Origins, known: &Known) -> BTreeMap<u64, EventHash> {
    let sets: Vec<(u64, &Vec<&RowMark>)> = rows.iter().map(|(n, marks)| (*n, marks)).collect();
    let of = |version: u64, marks: &[&RowMark]| match known.get(&version) {
        Some((count, root)) if *count == marks.len() => *root,
        _ => root(marks.iter().copied(), origins),
    };
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut found = Vec::new();
        while let Some((version, marks)) = sets.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.push((*version, of(*version, marks)));
        }
        found
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..crate::open::cores())
            .map(|_| scope.spawn(worker))
            .collect();
        workers
            .into_iter()
            .flat_map(|one| {
                one.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}

/// Rows by the version of the commit that archived them. References: rows are most of what verification holds.
pub type ByVersion<'m> = BTreeMap<u64, Vec<&'m RowMark>>;

/// Rows by the commit that archived them, wherever compaction has put them since.
#[must_use]
pub fn by_version<'m>(parts: impl IntoIterator<Item = &'m Vec<RowMark>>) -> ByVersion<'m> {
    let mut by_version = ByVersion::new();
    for marks in parts {
        // Neighbours mostly share theirs.
        for run in marks.chunk_by(|one, next| one.version == next.version) {
            by_version.entry(run[0].version).or_default().extend(run);
        }
    }
    by_version
}

/// The commit that archived all of these rows, if one did.
#[must_use]
pub fn only_version(marks: &[RowMark]) -> Option<u64> {
    let first = marks.first()?.version;
    marks
        .iter()
        .all(|mark| mark.version == first)
        .then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ar2_roots_are_over_origin_and_sequence_whatever_the_order() {
        let mut origins = Origins::default();
        let numbers = ["main.2", "main.10", "a.1"].map(|name| origins.number(name));
        let mark = |n: u8| RowMark {
            version: u64::from(n % 4),
            origin: numbers[usize::from(n % 3)],
            sequence: u64::from(n.wrapping_mul(37) % 50),
            hash: [n; 32],
        };
        let marks: Vec<RowMark> = (0..50).map(mark).collect();
        let expected = |marks: &[RowMark]| {
            merkle::rows_root(
                marks
                    .iter()
                    .map(|m| (origins.name(m.origin), m.sequence, m.hash)),
            )
        };
        assert_eq!(root(marks.iter(), &origins), expected(&marks));
        let mut sorted = marks.clone();
        sorted.sort_by_key(|m| (origins.name(m.origin).to_owned(), m.sequence));
        assert_eq!(root(sorted.iter(), &origins), expected(&marks));
        let by_version = by_version([&marks]);
        // Of as many rows it is taken for theirs, of fewer it is not.
        let known = Known::from([(0, (by_version[&0].len(), [7; 32])), (1, (1, [7; 32]))]);
        assert_eq!(roots(&by_version, &origins, &known)[&0], [7; 32]);
        assert_eq!(only_version(&marks), None);
        assert_eq!(only_version(&[marks[3], marks[7]]), Some(3));
        let roots = roots(&by_version, &origins, &Known::from([(1, (1, [7; 32]))]));
        assert_eq!(roots.len(), 4);
        for (version, marks) in &by_version {
            let marks: Vec<RowMark> = marks.iter().map(|mark| **mark).collect();
            assert_eq!(roots[version], expected(&marks));
        }
    }
}
