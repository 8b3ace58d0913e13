//! Asking the outbox: its origins, one page after the other, and what to make of a page's end.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roaring::RoaringTreemap;

use super::collect::{End, Page};
use super::database::{Database, DatabaseError};
use super::error::OutboxSourceError;
use super::reader::Reader;
use crate::source::{Draft, Records, SourceError, row_source};

/// Shortest and longest time between two attempts at a database that does not answer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));
/// Time after which it is said again that rows wait for a node.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// What a look at the outbox brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A page, and there is more.
    More,
    /// A page, and there was no more for now.
    Last,
    /// Nothing.
    Nothing,
}

impl Reader {
    /// Asks for the origins and compares them with what is archived; false when the run is to end meanwhile.
    pub(super) fn look(&mut self) -> Result<bool, SourceError> {
        let Some(found) = self.patiently(Database::origins)? else {
            return Ok(false);
        };
        self.origins.look(found, &self.database.name())?;
        for origin in self.origins.iter() {
            // From here on the node keeps what this archive does not have.
            self.told.add(&origin.name, origin.committed);
        }
        Ok(true)
    }

    /// Reads one page of the oldest origin that has something unread.
    pub(super) fn step(&mut self) -> Result<Step, SourceError> {
        if self.origins.first_unread().is_none() && !self.look()? {
            return Ok(Step::Nothing);
        }
        let Some(origin) = self.origins.first_unread() else {
            return Ok(Step::Nothing);
        };
        let (name, position) = (Arc::clone(&origin.name), origin.position());
        let rows = self.page_size.rows();
        let page = self.patiently(|database| {
            let mut page = Page::new(Arc::clone(&name), position, rows);
            database.events(&mut page, rows)?;
            Ok(page)
        })?;
        let Some(page) = page else {
            return Ok(Step::Nothing);
        };
        self.page_size.learn(page.records.len(), page.bytes.len());
        self.hand_on(page, position)
    }

    /// Hands a page on, with the position that it moves; a loss behind it ends the run once everything before it is committed.
    fn hand_on(&mut self, page: Page, position: i64) -> Result<Step, SourceError> {
        let Some(origin) = self.origins.named(&page.origin) else {
            return Ok(Step::Nothing);
        };
        let missing = match &page.end {
            End::Hole(hole) => Some(hole.clone()),
            End::Exhausted if page.last < origin.last_sequence => {
                Some(page.last + 1..=origin.last_sequence)
            }
            End::Exhausted | End::Full | End::Disorder(_) => None,
        };
        let mut problem = match page.end {
            End::Disorder(sequence) => Some(OutboxSourceError::Disorder {
                database: self.database.name(),
                origin: page.origin.to_string(),
                sequence,
                after: page.last,
            }),
            End::Exhausted | End::Full | End::Hole(_) => None,
        };
        let mut to = page.last;
        if let Some(hole) = missing {
            match self.judge_hole(&page.origin, &hole)? {
                None => to = *hole.end(),
                lost => problem = lost,
            }
        }
        if to > position
            && let Some(origin) = self.origins.named(&page.origin)
        {
            let draft = Draft {
                generation: self.generation,
                positions: origin.advance(to),
                bytes: page.bytes,
                records: Records::Rows {
                    origin: page.origin,
                    rows: page.records,
                },
                flush: false,
            };
            self.offer(draft);
        }
        match problem {
            Some(problem) => {
                self.finish()?;
                Err(problem.into())
            }
            None if page.end == End::Exhausted => Ok(Step::Last),
            None => Ok(Step::More),
        }
    }

    /// What is lost of a hole in the sequences: nothing when each of them is archived, from Kafka before or from a file, or was given up.
    fn judge_hole(
        &self,
        origin: &str,
        hole: &RangeInclusive<i64>,
    ) -> Result<Option<OutboxSourceError>, SourceError> {
        let mut missing = RoaringTreemap::new();
        missing.insert_range(hole.start().unsigned_abs()..=hole.end().unsigned_abs());
        for archived in [origin, &format!("quarantine/{}", row_source(origin))] {
            missing -= &*self.feed.origin_set(archived)?;
        }
        let (Some(first), Some(last)) = (missing.min(), missing.max()) else {
            tracing::info!(
                origin,
                ?hole,
                "rows are gone that another source has archived"
            );
            return Ok(None);
        };
        if (self.settings.accept_loss.iter()).any(|loss| loss.covers(origin, first, last)) {
            tracing::error!(
                origin,
                first,
                last,
                count = missing.len(),
                "sequences are passed over, as --accept-loss says"
            );
            return Ok(None);
        }
        Ok(Some(OutboxSourceError::Lost {
            database: self.database.name(),
            origin: origin.to_owned(),
            first,
            last,
            count: missing.len(),
        }))
    }

    pub(super) fn all_sequenced(&mut self) -> Result<bool, SourceError> {
        let Some(rows) = self.patiently(Database::unsequenced)? else {
            return Ok(false);
        };
        if rows > 0 && self.said_waiting.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
            self.said_waiting = Some(Instant::now());
            tracing::info!(
                rows,
                "rows wait for their sequence; a chat node of the pool gives it when it runs"
            );
        }
        Ok(rows == 0)
    }

    /// Asks until there is an answer; nothing when the run is to end before. At the start a database that does not answer, or has no tables yet,
    /// is given a short time, since a node may be starting beside this process; later, one that restarts is given as long as it takes.
    pub(super) fn patiently<T>(
        &mut self,
        mut ask: impl FnMut(&mut Database) -> Result<T, DatabaseError>,
    ) -> Result<Option<T>, SourceError> {
        let (mut pause, since) = (PAUSES.0, Instant::now());
        loop {
            let error = match ask(&mut self.database) {
                Ok(answer) => {
                    if pause != PAUSES.0 {
                        tracing::info!("the outbox answers again");
                    }
                    if !std::mem::replace(&mut self.contacted, true) {
                        self.feed.metrics().set_ready(true);
                    }
                    return Ok(Some(answer));
                }
                Err(error) => error,
            };
            let wait = if self.contacted {
                error.passes()
            } else {
                (error.passes() || error.may_come())
                    && since.elapsed() < self.settings.start_patience
            };
            if !wait {
                return Err(OutboxSourceError::Database {
                    database: self.database.name(),
                    problem: error.to_string(),
                }
                .into());
            }
            self.feed.metrics().source_failed();
            tracing::warn!(outbox = self.database.name(), %error, again_in = ?pause, "the outbox does not answer");
            if self.feed.stop.wait(pause) {
                return Ok(None);
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}
