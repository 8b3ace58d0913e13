//! Two processes, one outbox, one archive: whoever lost a commit to the other stands by, so that not everything is read, built and put twice.
//!
//! There is no lease: the commit protocol alone keeps every event to once. Standing by only saves work, and ends by itself when nobody moves the
//! positions although there is something to read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What is seen of the other process.
#[derive(Debug)]
pub(super) struct Standby {
    positions: BTreeMap<String, i64>,
    moved: Instant,
    patience: Duration,
}

impl Standby {
    /// Begins to stand by: these are the positions now, and for so long the other may rest.
    pub(super) fn new(positions: BTreeMap<String, i64>, patience: Duration, now: Instant) -> Self {
        Self {
            positions,
            moved: now,
            patience,
        }
    }

    /// Looks again. True: the other rests although something is `unread`, and this process takes over.
    pub(super) fn rests(
        &mut self,
        positions: BTreeMap<String, i64>,
        unread: bool,
        now: Instant,
    ) -> bool {
        if positions != self.positions || !unread {
            self.positions = positions;
            self.moved = now;
        }
        now.saturating_duration_since(self.moved) >= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_stands_by_takes_over_when_nothing_moves_and_something_waits() {
        let begin = Instant::now();
        let at = |n: i64| BTreeMap::from([("outbox/main.1".to_owned(), n)]);
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut standby = Standby::new(at(1), Duration::from_secs(10), begin);
        assert!(!standby.rests(at(1), true, after(9)));
        assert!(!standby.rests(at(2), true, after(11)), "it moved");
        assert!(!standby.rests(at(2), false, after(30)), "nothing waits");
        assert!(!standby.rests(at(2), true, after(39)));
        assert!(standby.rests(at(2), true, after(40)));
    }
}
