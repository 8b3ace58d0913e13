//! What an archive holds, read from its Parquet files without the search, and held against what went in.

use std::collections::BTreeMap;

use holdfast_archive::{Archive, Location, Snapshot};
use holdfast_schemas::columns::Rows;
use holdfast_schemas::decode::decode;
use holdfast_schemas::event_type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Which event: origin and sequence.
pub type Place = (String, u64);

/// One live row, by what identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedRow {
    /// Its origin and sequence.
    pub place: Place,
    /// Its id.
    pub id: String,
    /// Its type.
    pub event_type: String,
    /// Id of the message it is about.
    pub message: Option<String>,
    /// The record's bytes, when it is a quarantined one.
    pub raw: Option<Vec<u8>>,
}

/// All live rows of a snapshot.
#[derive(Debug)]
pub struct Archived {
    /// The rows, in no order.
    pub rows: Vec<ArchivedRow>,
    /// The snapshot's version.
    pub version: u64,
    /// Live segments.
    pub segments: usize,
}

/// Ids by origin and sequence of the events in JSON lines: what an archive must hold after they were ingested.
///
/// # Panics
/// A line is no event.
#[must_use]
pub fn expected<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>) -> BTreeMap<Place, String> {
    let events = lines.into_iter().map(|line| {
        let event = decode(line.as_ref()).expect("an event of the contract");
        (
            (event.origin.to_string(), event.sequence),
            event.id.to_string(),
        )
    });
    events.collect()
}

impl Archived {
    /// Reads a local archive.
    ///
    /// # Panics
    /// It cannot be read.
    pub async fn at(path: &std::path::Path) -> Self {
        let location = Location::parse(&path.to_string_lossy()).expect("a path");
        Self::read(&Archive::open(&location).await.expect("an archive")).await
    }

    /// Reads every live row of the newest snapshot, and checks that each origin's set of archived sequences is what the rows say: nothing was
    /// disposed of.
    ///
    /// # Panics
    /// The archive cannot be read, or a segment does not hold as many rows as the table says.
    pub async fn read(archive: &Archive) -> Self {
        let (archived, snapshot) = Self::rows_of(archive).await;
        for (origin, sequences) in archived.sequences() {
            let set: Vec<u64> = snapshot
                .origin_set(&origin)
                .await
                .expect("an origin's set")
                .iter()
                .collect();
            assert_eq!(
                set, sequences,
                "the set of archived sequences of {origin} is what its rows say"
            );
        }
        archived
    }

    /// Reads every live row of the newest snapshot of an archive in a folder that retention has been at: sets of archived sequences outlive
    /// what they tell of.
    ///
    /// # Panics
    /// The archive cannot be read, or a segment does not hold as many rows as the table says.
    pub async fn left_at(path: &std::path::Path) -> Self {
        let location = Location::parse(&path.to_string_lossy()).expect("a path");
        let archive = Archive::open(&location).await.expect("an archive");
        Self::rows_of(&archive).await.0
    }

    async fn rows_of(archive: &Archive) -> (Self, Snapshot) {
        let snapshot = archive.snapshot().await.expect("a snapshot");
        let segments = snapshot.segments().await.expect("its segments");
        let mut rows = Vec::new();
        for segment in segments.iter() {
            let path = object_store::path::Path::from(format!("events/{}", segment.path));
            let object = archive
                .store()
                .get_opts(&path, object_store::GetOptions::default())
                .await;
            let bytes = object
                .expect("a live segment is there")
                .bytes()
                .await
                .expect("its bytes");
            let before = rows.len();
            for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)
                .and_then(|b| b.build())
                .expect("Parquet")
            {
                let batch = batch.expect("a batch");
                let view = Rows::new(&batch).expect("the contract's columns");
                rows.extend((0..view.len()).map(|n| archived_row(&view, n)));
            }
            assert_eq!(
                (rows.len() - before) as u64,
                segment.rows,
                "rows of {}",
                segment.path
            );
        }
        let archived = Self {
            rows,
            version: snapshot.version(),
            segments: segments.len(),
        };
        (archived, snapshot)
    }

    /// Sequences by origin, ascending, repeats included.
    fn sequences(&self) -> BTreeMap<String, Vec<u64>> {
        let mut origins: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for row in &self.rows {
            origins
                .entry(row.place.0.clone())
                .or_default()
                .push(row.place.1);
        }
        origins
            .values_mut()
            .for_each(|sequences| sequences.sort_unstable());
        origins
    }

    /// The rows that are quarantined records.
    pub fn quarantined(&self) -> impl Iterator<Item = &ArchivedRow> {
        self.rows
            .iter()
            .filter(|row| row.event_type == event_type::QUARANTINED)
    }

    /// Checks AR-1: every expected event is here once, under its id, and beside them only quarantined records.
    ///
    /// # Panics
    /// With the events that are missing, doubled or unexpected.
    pub fn assert_exactly_once(&self, expected: &BTreeMap<Place, String>, context: &str) {
        let mut found: BTreeMap<&Place, Vec<&str>> = BTreeMap::new();
        for row in self
            .rows
            .iter()
            .filter(|row| row.event_type != event_type::QUARANTINED)
        {
            found.entry(&row.place).or_default().push(&row.id);
        }
        let missing: Vec<_> = expected
            .keys()
            .filter(|place| !found.contains_key(place))
            .take(10)
            .collect();
        let doubled: Vec<_> = found
            .iter()
            .filter(|(_, ids)| ids.len() > 1)
            .take(10)
            .collect();
        let unexpected: Vec<_> = found
            .iter()
            .filter(|(place, ids)| expected.get(**place).is_none_or(|id| id != ids[0]))
            .take(10)
            .collect();
        assert!(
            missing.is_empty() && doubled.is_empty() && unexpected.is_empty(),
            "{context}: {} events expected, {} found\nmissing: {missing:?}\ndoubled: {doubled:?}\nunexpected: {unexpected:?}",
            expected.len(),
            found.len()
        );
    }
}

fn archived_row(rows: &Rows<'_>, n: usize) -> ArchivedRow {
    let row = rows.row(n);
    ArchivedRow {
        place: (row.event.origin.to_string(), row.event.sequence),
        id: row.event.id.to_string(),
        event_type: row.event.event_type.to_string(),
        message: row.event.message.id.as_deref().map(str::to_owned),
        raw: row.event.raw.as_deref().map(<[u8]>::to_vec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archived(places: &[(u64, &str)]) -> Archived {
        let row = |(sequence, id): &(u64, &str)| ArchivedRow {
            place: ("o".to_owned(), *sequence),
            id: (*id).to_owned(),
            event_type: event_type::MESSAGE_POSTED.to_owned(),
            message: None,
            raw: None,
        };
        Archived {
            rows: places.iter().map(row).collect(),
            version: 1,
            segments: 1,
        }
    }

    fn check(places: &[(u64, &str)]) -> bool {
        let expected = [(1, "a"), (2, "b")].map(|(n, id)| (("o".to_owned(), n), id.to_owned()));
        let archived = archived(places);
        std::panic::catch_unwind(|| archived.assert_exactly_once(&expected.into(), "")).is_ok()
    }

    #[test]
    fn the_check_sees_what_is_missing_doubled_or_something_else() {
        assert!(check(&[(2, "b"), (1, "a")]));
        assert!(!check(&[(1, "a")]), "missing");
        assert!(!check(&[(1, "a"), (2, "b"), (2, "b")]), "doubled");
        assert!(!check(&[(1, "a"), (2, "c")]), "another id");
        assert!(!check(&[(1, "a"), (2, "b"), (3, "c")]), "unexpected");
    }
}
