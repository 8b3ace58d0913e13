//! When joins and leaves are told to everybody.

use crate::limits::{ROSTER_RESUME, ROSTER_STOP};

/// Whether roster updates are told, given whether they were and how many participants there are now: they stop above
/// [`ROSTER_STOP`] and resume under [`ROSTER_RESUME`].
#[must_use]
pub fn roster_open(open: bool, participants: usize) -> bool {
    if open {
        participants <= ROSTER_STOP
    } else {
        participants < ROSTER_RESUME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_above_75_and_resumes_under_60() {
        let mut open = true;
        let mut changes = Vec::new();
        for participants in (1..=80).chain((50..80).rev()).chain(50..=75) {
            let now = roster_open(open, participants);
            if now != open {
                changes.push((participants, now));
            }
            open = now;
        }
        assert_eq!(changes, [(76, false), (59, true)]);
    }
}
