//! The bound on memory: bytes of records between a source and their commit.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A number of bytes that may be held at the same time.
#[derive(Debug)]
pub struct Budget {
    bytes_max: u64,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    used: u64,
    waiting: bool,
}

/// A share of a budget, given back when dropped.
#[derive(Debug)]
pub struct Grant {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            state: Mutex::default(),
            freed: Condvar::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a share, waiting at most `patience` and not beyond `given_up`. A share larger than the whole budget is given when
    /// nothing else is held, since it would wait for ever otherwise.
    pub fn acquire(
        self: &Arc<Self>,
        bytes: u64,
        patience: Duration,
        given_up: impl Fn() -> bool,
    ) -> Option<Grant> {
        let until = Instant::now() + patience;
        let mut state = self.state();
        while state.used > 0 && state.used + bytes > self.bytes_max {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || given_up() {
                return None;
            }
            state.waiting = true;
            // Woken often enough to notice that the pipeline has failed.
            let (woken, _) = self
                .freed
                .wait_timeout(state, left.min(Duration::from_millis(100)))
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
        }
        state.waiting = false;
        state.used += bytes;
        Some(Grant {
            budget: Arc::clone(self),
            bytes,
        })
    }

    /// Bytes held.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().used
    }

    /// Whether the source found no room at its last attempt.
    #[must_use]
    pub fn starved(&self) -> bool {
        self.state().waiting
    }
}

impl Grant {
    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Changes its size to what is really held now. Growing never waits: what is held is held.
    pub fn resize(&mut self, bytes: u64) {
        let mut state = self.budget.state();
        state.used = state.used - self.bytes + bytes;
        self.bytes = bytes;
        drop(state);
        self.budget.freed.notify_all();
    }

    /// Takes the other's share over. Both are of one budget.
    pub fn merge(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.budget.state().used -= self.bytes;
        self.budget.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn what_is_held_is_bounded_and_comes_back() {
        let budget = Budget::new(10);
        let mut first = budget.acquire(6, NOW, || false).unwrap();
        assert!(budget.acquire(5, NOW, || false).is_none());
        first.resize(5);
        let second = budget.acquire(5, NOW, || false).unwrap();
        first.merge(second);
        assert_eq!((budget.used(), first.bytes()), (10, 10));
        drop(first);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_share_over_the_whole_budget_is_given_alone() {
        let budget = Budget::new(10);
        let large = budget.acquire(50, NOW, || false).unwrap();
        assert!(budget.acquire(1, NOW, || false).is_none());
        drop(large);
        assert!(budget.acquire(1, NOW, || false).is_some());
    }

    #[test]
    fn a_waiting_source_is_seen_and_served() {
        let budget = Budget::new(10);
        let held = budget.acquire(10, NOW, || false).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                budget
                    .acquire(1, Duration::from_secs(60), || false)
                    .is_some()
            });
            while !budget.starved() {
                std::thread::yield_now();
            }
            drop(held);
            assert!(waiter.join().unwrap());
        });
        assert!(!budget.starved());
    }

    #[test]
    fn waiting_ends_when_the_pipeline_has_failed() {
        let budget = Budget::new(1);
        let _held = budget.acquire(1, NOW, || false).unwrap();
        assert!(
            budget
                .acquire(1, Duration::from_secs(3600), || true)
                .is_none()
        );
    }
}
