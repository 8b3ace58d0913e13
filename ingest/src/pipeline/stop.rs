//! Ending a run: asked for, or because a part failed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::IngestError;

/// Whether and why the run ends.
#[derive(Debug, Default)]
pub struct Stop {
    asked: AtomicBool,
    aborted: AtomicBool,
    first: Mutex<Option<IngestError>>,
}

impl Stop {
    /// Asks for a graceful end: the source stops, what was read is committed.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
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
