//! How far the archive is behind the outbox, for the metrics.

use std::time::{Duration, Instant};

use super::database::{Database, DatabaseError};
use super::origins::Origins;
use crate::clock;
use crate::metrics::Metrics;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// When it was looked at last.
#[derive(Debug, Default)]
pub(super) struct LagWatch(Option<Instant>);

impl LagWatch {
    /// Looks, when it is time to. What the database says against it is not said here: reading says it.
    pub(super) fn look(
        &mut self,
        origins: &Origins,
        database: &mut Database,
        metrics: &Metrics,
        now: Instant,
    ) {
        if self.0.is_some_and(|at| now < at + LOOK_EVERY) {
            return;
        }
        self.0 = Some(now);
        if let Err(error) = measure(origins, database, metrics) {
            tracing::debug!(%error, "how far the archive is behind cannot be told");
        }
    }
}

/// Also while nothing is read because the pipeline is full: the outbox is asked how far it is now, and when the oldest that waits happened.
fn measure(
    origins: &Origins,
    database: &mut Database,
    metrics: &Metrics,
) -> Result<(), DatabaseError> {
    let found = database.origins()?;
    for origin in origins.iter() {
        let last = found
            .iter()
            .find(|found| *found.name == *origin.name)
            .map_or(origin.last_sequence, |found| found.last_sequence);
        let events = (last - origin.committed).max(0);
        let oldest_us = if events == 0 {
            None
        } else {
            database.oldest_us(&origin.name, origin.committed)?
        };
        let age_us = oldest_us.map_or(0, |oldest| (clock::now_us() - oldest).max(0));
        metrics.outbox_lag(&origin.name, events, age_us as f64 / 1e6);
    }
    metrics.outbox_unsequenced(database.unsequenced()?);
    Ok(())
}
