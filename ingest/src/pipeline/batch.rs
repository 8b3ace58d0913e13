//! What is committed at once, and when it is closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_archive::Counts;
use roaring::RoaringTreemap;
use uuid::Uuid;

use super::Grant;
use super::judge::Verdict;
use super::rows::{AttachmentRef, Rows};
use crate::attachments::undigested;
use crate::error::IngestError;
use crate::settings::FlushSettings;
use crate::source::Moved;

/// Rows, positions and counts of one commit.
#[derive(Debug)]
pub struct Batch {
    /// Dense from 0 within a run: the order of commits.
    pub number: u64,
    /// The generation its records were read under.
    pub generation: u64,
    /// The commit's id, in its footers too.
    pub commit_id: Uuid,
    /// Its rows, in the order they came.
    pub rows: Vec<Rows>,
    /// Their sequences, by origin.
    pub sequences: BTreeMap<Arc<str>, RoaringTreemap>,
    /// Positions that it moves: where they stood, and where they stand then.
    pub positions: BTreeMap<Arc<str>, (Option<i64>, i64)>,
    /// Records by what became of them.
    pub counts: Counts,
    /// Chunks in it.
    pub chunks: u64,
    /// When its first record was read.
    pub first_at: Instant,
    /// Its share of the memory budget.
    pub grant: Option<Grant>,
}

impl Batch {
    /// An empty one.
    #[must_use]
    pub fn new(number: u64, generation: u64, now: Instant) -> Self {
        Self {
            number,
            generation,
            commit_id: Uuid::new_v4(),
            rows: Vec::new(),
            sequences: BTreeMap::new(),
            positions: BTreeMap::new(),
            counts: Counts::default(),
            chunks: 0,
            first_at: now,
            grant: None,
        }
    }

    /// Rows in it.
    #[must_use]
    pub fn row_count(&self) -> u64 {
        self.counts.archived + self.counts.quarantined
    }

    /// Attachments that its rows refer to.
    pub(crate) fn attachments(&self) -> impl Iterator<Item = &AttachmentRef> {
        self.rows.iter().flat_map(|rows| &rows.attachments)
    }

    /// How many of them have no digest.
    pub(crate) fn undigested(&self) -> u64 {
        undigested(self.attachments())
    }

    /// Whether a commit would change nothing: no rows, no positions.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.rows.is_empty() && self.positions.is_empty()
    }

    /// Adds a chunk that was judged.
    ///
    /// # Errors
    /// Its positions do not follow the batch's, or its counts do not add up.
    pub fn add(
        &mut self,
        verdict: Verdict,
        consumed: u64,
        positions: Vec<Moved>,
        grant: Grant,
    ) -> Result<(), IngestError> {
        for moved in positions {
            match self.positions.get_mut(&moved.app_id) {
                None => {
                    self.positions.insert(moved.app_id, (moved.from, moved.to));
                }
                // Records between the two would be passed over for ever, since the table keeps the last position only.
                Some((_, to)) if moved.from != Some(*to) => {
                    return Err(IngestError::Gap {
                        app_id: moved.app_id.to_string(),
                        expected: *to,
                        found: moved.from,
                    });
                }
                Some((_, to)) => *to = moved.to,
            }
        }
        let (mut rows, mut quarantined) = (0, 0);
        for kept in verdict.kept {
            rows += kept.hashes.len() as u64;
            quarantined += kept.quarantined.len() as u64;
            for origin in &kept.origins {
                *self
                    .sequences
                    .entry(Arc::clone(&origin.origin))
                    .or_default() |= &origin.sequences;
            }
            self.rows.push(kept);
        }
        self.counts.consumed += consumed;
        self.counts.archived += rows - quarantined;
        self.counts.quarantined += quarantined;
        self.counts.duplicates += verdict.duplicates;
        self.chunks += 1;
        match &mut self.grant {
            Some(held) => held.merge(grant),
            none => *none = Some(grant),
        }
        check(&self.counts)
    }
}

/// AR-1, in numbers: every record consumed is archived, quarantined or a duplicate.
///
/// # Errors
/// It is not so.
pub(super) fn check(counts: &Counts) -> Result<(), IngestError> {
    let Counts {
        consumed,
        archived,
        quarantined,
        duplicates,
    } = *counts;
    if consumed == archived + quarantined + duplicates {
        return Ok(());
    }
    Err(IngestError::DoesNotAddUp {
        consumed,
        archived,
        quarantined,
        duplicates,
    })
}

/// What an open batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fill {
    /// Rows.
    pub rows: u64,
    /// Bytes that it holds of the memory budget.
    pub bytes: u64,
    /// Time since its first record was read.
    pub age: Duration,
    /// Batches that are being built or wait for it.
    pub building: usize,
    /// Whether the source waits for memory.
    pub starved: bool,
}

/// Why a batch was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It has as many rows as one may.
    Rows,
    /// It has as many bytes as one may.
    Bytes,
    /// It is as old as one may be.
    Age,
    /// The builders have nothing to do, and it is worth a segment.
    Idle,
    /// The source waits for memory that only a commit gives back.
    Memory,
    /// The source has nothing more.
    End,
}

impl Cause {
    /// Every one of them.
    pub const ALL: [Self; 6] = [
        Self::Rows,
        Self::Bytes,
        Self::Age,
        Self::Idle,
        Self::Memory,
        Self::End,
    ];

    /// Its name in the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Idle => "idle",
            Self::Memory => "memory",
            Self::End => "end",
        }
    }
}

/// Rows from which a batch is worth a segment of its own when the builders have nothing to do: waiting for more would leave cores
/// idle, and much smaller ones would cost Tantivy and Parquet more for each row.
pub const IDLE_ROWS_MIN: u64 = 64 * 1024;

/// Whether a batch is to be closed now.
#[must_use]
pub(super) fn due(settings: &FlushSettings, building_max: usize, fill: &Fill) -> Option<Cause> {
    if fill.rows >= settings.rows {
        Some(Cause::Rows)
    } else if fill.bytes >= settings.bytes {
        Some(Cause::Bytes)
    } else if fill.age >= settings.age {
        Some(Cause::Age)
    } else if fill.building < building_max && fill.rows >= IDLE_ROWS_MIN {
        Some(Cause::Idle)
    } else if fill.starved && fill.building == 0 {
        Some(Cause::Memory)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTINGS: FlushSettings = FlushSettings {
        rows: 500_000,
        bytes: 1 << 28,
        age: Duration::from_secs(2),
    };

    fn fill(rows: u64, bytes: u64, age_ms: u64) -> Fill {
        Fill {
            rows,
            bytes,
            age: Duration::from_millis(age_ms),
            building: 1,
            starved: false,
        }
    }

    #[test]
    fn a_batch_is_closed_by_whatever_comes_first() {
        let due = |fill| due(&SETTINGS, 1, &fill);
        assert_eq!(due(fill(499_999, (1 << 28) - 1, 1999)), None);
        assert_eq!(due(fill(500_000, 0, 0)), Some(Cause::Rows));
        assert_eq!(due(fill(1, 1 << 28, 0)), Some(Cause::Bytes));
        assert_eq!(due(fill(1, 1, 2000)), Some(Cause::Age));
        assert_eq!(
            due(Fill {
                building: 0,
                ..fill(IDLE_ROWS_MIN, 0, 0)
            }),
            Some(Cause::Idle)
        );
        assert_eq!(
            due(Fill {
                building: 0,
                ..fill(IDLE_ROWS_MIN - 1, 0, 0)
            }),
            None
        );
        assert_eq!(
            due(Fill {
                starved: true,
                ..fill(1, 0, 0)
            }),
            None
        );
        assert_eq!(
            due(Fill {
                starved: true,
                building: 0,
                ..fill(1, 0, 0)
            }),
            Some(Cause::Memory)
        );
    }

    proptest! {
        #[test]
        fn no_batch_waits_beyond_its_bounds(rows in 0u64..600_000, bytes in 0u64..1 << 29, age in 0u64..3000, building in 0usize..3, starved: bool) {
            let state = Fill { building, starved, ..fill(rows, bytes, age) };
            let beyond = rows >= SETTINGS.rows || bytes >= SETTINGS.bytes || age >= 2000;
            prop_assert!(!beyond || due(&SETTINGS, 1, &state).is_some());
            // Nothing downstream gives memory back, and the source waits: whoever does not close here waits for ever.
            prop_assert!(!(starved && building == 0) || due(&SETTINGS, 1, &state).is_some());
        }
    }

    #[test]
    fn ar2_a_gap_between_chunks_is_an_error() {
        let budget = crate::pipeline::Budget::new(1000);
        let grant = || budget.acquire(1, Duration::ZERO, || false).unwrap();
        let moved = |from, to| {
            vec![Moved {
                app_id: Arc::from("kafka/c/t/0"),
                from,
                to,
            }]
        };
        let mut batch = Batch::new(0, 0, Instant::now());
        batch
            .add(Verdict::default(), 0, moved(None, 9), grant())
            .unwrap();
        batch
            .add(Verdict::default(), 0, moved(Some(9), 12), grant())
            .unwrap();
        assert_eq!(
            batch.positions[&Arc::from("kafka/c/t/0") as &Arc<str>],
            (None, 12)
        );
        for from in [Some(11), Some(13), None] {
            assert!(matches!(
                batch.add(Verdict::default(), 0, moved(from, 20), grant()),
                Err(IngestError::Gap { .. })
            ));
        }
    }

    #[test]
    fn ar1_counts_that_do_not_add_up_are_an_error() {
        let counts = |consumed| Counts {
            consumed,
            archived: 2,
            quarantined: 1,
            duplicates: 3,
        };
        assert!(check(&counts(6)).is_ok());
        assert!(matches!(
            check(&counts(7)),
            Err(IngestError::DoesNotAddUp { .. })
        ));
    }
}
