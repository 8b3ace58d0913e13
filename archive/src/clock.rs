//! Time and chance, passed in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ulid::Ulid;
use uuid::Uuid;

/// What an archive takes from outside besides its store: the time, and chance.
pub trait Environment: std::fmt::Debug + Send + Sync {
    /// Milliseconds since 1970, UTC.
    fn now_ms(&self) -> i64;
    /// Any 64 bits.
    fn random(&self) -> u64;
}

/// The machine's clock, and a generator seeded from the operating system.
#[derive(Debug)]
pub struct System {
    state: AtomicU64,
}

impl Default for System {
    fn default() -> Self {
        let (seed, _) = Uuid::new_v4().as_u64_pair();
        Self {
            state: AtomicU64::new(seed),
        }
    }
}

impl Environment for System {
    fn now_ms(&self) -> i64 {
        system_now_ms()
    }
    fn random(&self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014): enough for jitter.
        let mut z = self
            .state
            .fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// The machine's clock: milliseconds since 1970, UTC.
#[must_use]
pub fn system_now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A ULID of this moment; its random part is the operating system's.
pub(crate) fn new_ulid(now_ms: i64) -> Ulid {
    Ulid::from_parts(u64::try_from(now_ms).unwrap_or(0), Uuid::new_v4().as_u128())
}

/// How long to wait before attempt `attempt` (from 1): doubling from `first` up to `most`, of which a random part
/// between half and all, so that writers who collided once do not meet again.
pub(crate) fn backoff(attempt: u32, first: Duration, most: Duration, random: u64) -> Duration {
    let full = first
        .saturating_mul(1u32 << attempt.saturating_sub(1).min(16))
        .min(most);
    let nanos = u64::try_from(full.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(nanos / 2 + random % (nanos / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_cap_and_keeps_half() {
        let (first, most) = (Duration::from_millis(2), Duration::from_millis(500));
        for attempt in 1..40 {
            for random in [0, 1, u64::MAX / 3, u64::MAX] {
                let wait = backoff(attempt, first, most, random);
                let full = first.saturating_mul(1 << (attempt - 1).min(16)).min(most);
                assert!(
                    wait >= full / 2 && wait <= full,
                    "{attempt} {random}: {wait:?} of {full:?}"
                );
            }
        }
    }

    #[test]
    fn ulids_carry_their_time() {
        assert_eq!(
            new_ulid(1_700_000_000_123).timestamp_ms(),
            1_700_000_000_123
        );
        assert_ne!(new_ulid(5), new_ulid(5));
    }
}
