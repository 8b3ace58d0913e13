//! The publishing barrier: who loses a partition closes the gate, and nothing read before is committed after.
//!
//! Each draft carries the generation it was read under; the committer passes the gate with a batch's generation and holds it until the
//! commit has ended.
//!
//! | at the gate | what happens |
//! |---|---|
//! | a commit is in flight, [`Gate::close`] is called | it waits until the commit has ended, then raises the generation |
//! | a batch of an older generation arrives | it is refused and dropped |
//! | a batch of this generation arrives | its commit holds the gate |
//!
//! Were the generation a plain number, a commit could begin between the check and the loss of the partition, beside the new owner's
//! first commit. (The table would refuse one of the two, since both name the position they start from; the gate makes that the
//! exception it should be.)

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The barrier.
#[derive(Debug, Default)]
pub struct Gate {
    generation: AtomicU64,
    passing: Mutex<()>,
}

/// A commit in flight.
#[derive(Debug)]
#[must_use]
pub struct Pass<'a> {
    _held: MutexGuard<'a, ()>,
}

impl Gate {
    /// The generation under which records are read now.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Lets a batch pass whose generation is the current one.
    pub fn pass(&self, generation: u64) -> Option<Pass<'_>> {
        let held = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        (generation == self.generation()).then_some(Pass { _held: held })
    }

    /// Waits for the commit in flight, and refuses everything read so far from then on. Returns the new generation.
    pub fn close(&self) -> u64 {
        let _held = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        self.generation.fetch_add(1, Ordering::AcqRel) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn older_generations_are_refused() {
        let gate = Gate::default();
        assert!(gate.pass(0).is_some());
        assert_eq!(gate.close(), 1);
        assert!(gate.pass(0).is_none());
        assert!(gate.pass(1).is_some());
    }

    #[test]
    fn ar2_closing_waits_for_the_commit_in_flight() {
        let gate = Gate::default();
        let committed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let pass = gate.pass(0).unwrap();
            let closer = scope.spawn(|| {
                gate.close();
                committed.load(Ordering::SeqCst)
            });
            // The closer may not get on before the pass is dropped, however long it has had.
            for _ in 0..1000 {
                std::thread::yield_now();
                assert_eq!(gate.generation(), 0);
            }
            committed.store(true, Ordering::SeqCst);
            drop(pass);
            assert!(closer.join().unwrap());
        });
    }
}
