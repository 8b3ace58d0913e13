//! Ending a run: asked for, or because a part failed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::IngestError;

/// Whether and why the run ends.
#[derive(Debug, Default)]
pub struct Stop {
    asked: AtomicBool,
    aborted: AtomicBool,
    first: Mutex<Option<IngestError>>,
    told: Condvar,
}

impl Stop {
    /// Asks for a graceful end: the source stops, what was read is committed.
    pub fn ask(&self) {
        let _first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        self.asked.store(true, Ordering::Release);
        self.told.notify_all();
    }

    /// Waits for `patience`, or until the run is to end; true when it is.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> bool {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let _first = self
            .told
            .wait_timeout_while(first, patience, |_| !self.asked());
        self.asked()
    }

    /// Ends the run with an error; the first one is kept, since others follow from it.
    pub fn fail(&self, error: IngestError) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            *first = Some(error);
        } else {
            tracing::debug!(%error, "a later failure");
        }
        self.aborted.store(true, Ordering::Release);
        self.asked.store(true, Ordering::Release);
        self.told.notify_all();
    }

    /// Whether the source is to stop reading.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Whether nothing more will be committed.
    #[must_use]
    pub fn aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// The error that ended the run.
    #[must_use]
    pub fn take_error(&self) -> Option<IngestError> {
        self.first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_when_the_run_is_to_end() {
        let stop = Stop::default();
        assert!(!stop.wait(Duration::ZERO));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| stop.wait(Duration::from_secs(3600)));
            stop.ask();
            assert!(waiting.join().unwrap());
        });
    }
}
