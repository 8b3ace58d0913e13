//! How many frames a client may send: a token bucket.

use crate::limits::{FRAMES_A_SECOND_MAX, FRAMES_BURST_MAX};

/// The bucket of one connection. Time is passed in.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Millionths of a frame.
    level: i64,
    filled_us: i64,
}

const FRAME: i64 = 1_000_000;

impl Bucket {
    pub(super) fn full(now_us: i64) -> Self {
        Self {
            level: i64::from(FRAMES_BURST_MAX) * FRAME,
            filled_us: now_us,
        }
    }

    /// Whether one more frame is in order.
    pub(super) fn take(&mut self, now_us: i64) -> bool {
        let gained = (now_us - self.filled_us)
            .max(0)
            .saturating_mul(i64::from(FRAMES_A_SECOND_MAX));
        self.level = self
            .level
            .saturating_add(gained)
            .min(i64::from(FRAMES_BURST_MAX) * FRAME);
        self.filled_us = now_us;
        if self.level < FRAME {
            return false;
        }
        self.level -= FRAME;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_steady_rate() {
        let mut bucket = Bucket::full(0);
        assert!((0..FRAMES_BURST_MAX).all(|_frame| bucket.take(0)));
        assert!(!bucket.take(0));
        let second = 1_000_000;
        let in_a_second = (0..1000)
            .filter(|step| bucket.take(second * step / 1000))
            .count();
        assert!(in_a_second <= FRAMES_A_SECOND_MAX as usize);
        assert!(bucket.take(2 * second));
    }
}
