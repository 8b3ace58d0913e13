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

/// A segment's rows, in (origin, sequence) order.
#[derive(Debug, Default)]
pub struct Marks {
    rows: Vec<RowMark>,
    /// The commit that archived all of them, if one did.
    only: Option<u64>,
}

impl Marks {
    /// Puts rows into their order.
    #[must_use]
    pub fn new(mut rows: Vec<RowMark>, origins: &Origins) -> Self {
        let ranks = origins.ranks();
        rows.sort_unstable_by_key(|mark| key(mark, &ranks));
        let first = rows.first().map(|mark| mark.version);
        let only = first.filter(|first| rows.iter().all(|mark| mark.version == *first));
        Self { rows, only }
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[RowMark] {
        &self.rows
    }

    /// The commit that archived all of them, if one did.
    #[must_use]
    pub fn only_version(&self) -> Option<u64> {
        self.only
    }

    /// Gives the rows other numbers for their origins, by the numbers they have.
    pub fn renumber(&mut self, numbers: &[u32]) {
        for mark in &mut self.rows {
            mark.origin = numbers[mark.origin as usize];
        }
    }

    /// The rows by commit, in the parts that lie together.
    fn parts(&self) -> impl Iterator<Item = (u64, &[RowMark])> {
        let whole = self.only.map(|version| (version, &self.rows[..]));
        // Neighbours mostly share theirs.
        let mixed = match whole {
            Some(_) => &[],
            None => &self.rows[..],
        };
        let mixed = mixed.chunk_by(|one, next| one.version == next.version);
        whole
            .into_iter()
            .chain(mixed.map(|part| (part[0].version, part)))
    }
}

/// RFC 6962 root over rows in (origin, sequence) order, as commits and footers hold it.
#[must_use]
pub fn root(parts: &[&[RowMark]], origins: &Origins) -> EventHash {
    let ranks = origins.ranks();
    let marks = || parts.iter().copied().flatten();
    if marks().is_sorted_by_key(|mark| key(mark, &ranks)) {
        return merkle::root(marks().map(|mark| mark.hash));
    }
    let mut order: Vec<_> = marks().map(|mark| (key(mark, &ranks), mark)).collect();
    // Merges what is in order already, which each part mostly is.
    order.sort_by_key(|(key, _)| *key);
    merkle::root(order.iter().map(|(_, mark)| mark.hash))
}

fn key(mark: &RowMark, ranks: &[u32]) -> (u32, u64) {
    (ranks[mark.origin as usize], mark.sequence)
}

/// Roots that are known already: of some of a commit's rows, how many they are, and their root.
pub type Known = BTreeMap<u64, (usize, EventHash)>;

/// Roots of the rows of each commit, on as many cores as there are. Where the root of as many of its rows is known as there
/// are, it is not hashed again.
#[must_use]
pub fn roots(rows: &ByVersion<'_>, origins: &Origins, known: &Known) -> BTreeMap<u64, EventHash> {
    let sets: Vec<_> = rows.iter().collect();
    let of = |version: u64, parts: &[&[RowMark]]| match known.get(&version) {
        Some((rows, root)) if *rows == count(parts) => *root,
        _ => root(parts, origins),
    };
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut found = Vec::new();
        while let Some((version, parts)) = sets.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.push((**version, of(**version, parts)));
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

/// Rows by the version of the commit that archived them, in the parts that lie together.
pub type ByVersion<'m> = BTreeMap<u64, Vec<&'m [RowMark]>>;

/// Rows by the commit that archived them, wherever compaction has put them since.
#[must_use]
pub fn by_version<'m>(segments: impl IntoIterator<Item = &'m Marks>) -> ByVersion<'m> {
    let mut by_version = ByVersion::new();
    for (version, part) in segments.into_iter().flat_map(Marks::parts) {
        by_version.entry(version).or_default().push(part);
    }
    by_version
}

/// How many rows the parts have.
#[must_use]
pub fn count(parts: &[&[RowMark]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
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
        assert_eq!(root(&[&marks], &origins), expected(&marks));
        assert_eq!(
            root(&[&marks[..20], &marks[20..]], &origins),
            expected(&marks)
        );
        let sorted = Marks::new(marks.clone(), &origins);
        let rows = sorted.rows();
        assert!(rows.is_sorted_by_key(|m| (origins.name(m.origin), m.sequence)));
        assert_eq!(root(&[rows], &origins), expected(&marks));
        let of_one = Marks::new(vec![marks[3], marks[7]], &origins);
        assert_eq!(
            (sorted.only_version(), of_one.only_version()),
            (None, Some(3))
        );
        assert_eq!(count(&by_version([&sorted, &of_one])[&3]), 14);
        let by_version = by_version([&sorted]);
        // Of as many rows it is taken for theirs, of fewer it is not.
        let known = Known::from([(0, (count(&by_version[&0]), [7; 32])), (1, (1, [7; 32]))]);
        assert_eq!(roots(&by_version, &origins, &known)[&0], [7; 32]);
        let roots = roots(&by_version, &origins, &Known::from([(1, (1, [7; 32]))]));
        assert_eq!(roots.len(), 4);
        for (version, parts) in &by_version {
            assert_eq!(roots[version], expected(&parts.concat()));
        }
    }
}
