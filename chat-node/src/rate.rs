//! How much one client or user may ask for: token buckets. Time is passed in.

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use crate::error::{ChatError, Result};

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    burst: u32,
    /// Steadily, each second.
    a_second: u32,
}

impl Rate {
    /// So many a second, and those of four seconds at once. At least one: with none nobody could ever ask.
    #[must_use]
    pub const fn a_second(count: u32) -> Self {
        let count = if count == 0 { 1 } else { count };
        Self {
            burst: count.saturating_mul(4),
            a_second: count,
        }
    }
}

/// What is left of it.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// Millionths of a request.
    level: i64,
    filled_us: i64,
}

const ONE: i64 = 1_000_000;

impl Bucket {
    /// Nothing was taken yet.
    #[must_use]
    pub fn full(rate: Rate, now_us: i64) -> Self {
        Self {
            level: i64::from(rate.burst) * ONE,
            filled_us: now_us,
        }
    }

    fn fill(&mut self, rate: Rate, now_us: i64) {
        let gained = (now_us - self.filled_us)
            .max(0)
            .saturating_mul(i64::from(rate.a_second));
        self.level = self
            .level
            .saturating_add(gained)
            .min(i64::from(rate.burst) * ONE);
        self.filled_us = now_us;
    }

    /// Whether one more is in order.
    pub fn take(&mut self, rate: Rate, now_us: i64) -> bool {
        self.fill(rate, now_us);
        if self.level < ONE {
            return false;
        }
        self.level -= ONE;
        true
    }
}

/// Users whose buckets are kept before those that are full again are forgotten.
const USERS_KEPT: usize = 50_000;

/// A bucket for each user that asked lately.
#[derive(Debug)]
pub struct UserRates {
    rate: Rate,
    buckets: Mutex<FxHashMap<String, Bucket>>,
}

impl UserRates {
    /// Everybody may ask at this rate.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: Mutex::default(),
        }
    }

    /// Takes one request of `user`.
    ///
    /// # Errors
    /// [`ChatError::TooMany`]: the user asks too often. A second later there is room for another request.
    pub fn take(&self, user: &str, now_us: i64) -> Result<()> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(user) {
            if bucket.take(self.rate, now_us) {
                return Ok(());
            }
            return Err(ChatError::TooMany {
                problem: format!(
                    "more than {} requests a second by one user",
                    self.rate.a_second
                ),
            });
        }
        if buckets.len() >= USERS_KEPT {
            let full = i64::from(self.rate.burst) * ONE;
            buckets.retain(|_user, bucket| {
                bucket.fill(self.rate, now_us);
                bucket.level < full
            });
        }
        let mut bucket = Bucket::full(self.rate, now_us);
        bucket.take(self.rate, now_us);
        buckets.insert(user.to_owned(), bucket);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_burst_then_the_steady_rate() {
        let rate = Rate::a_second(100);
        let mut bucket = Bucket::full(rate, 0);
        assert!((0..400).all(|_frame| bucket.take(rate, 0)));
        assert!(!bucket.take(rate, 0));
        let in_a_second = (0..1000)
            .filter(|step| bucket.take(rate, SECOND * step / 1000))
            .count();
        assert!(in_a_second <= 100);
        assert!(bucket.take(rate, 2 * SECOND));
    }

    #[test]
    fn users_have_buckets_of_their_own_and_those_who_rest_are_forgotten() {
        let rates = UserRates::new(Rate::a_second(1));
        for _request in 0..4 {
            rates.take("u-1", 0).unwrap();
        }
        assert!(matches!(
            rates.take("u-1", 0),
            Err(ChatError::TooMany { .. })
        ));
        rates.take("u-2", 0).unwrap();
        rates.take("u-1", SECOND).unwrap();
        for user in 0..USERS_KEPT {
            rates.take(&format!("other-{user}"), SECOND).unwrap();
        }
        // u-1 has used all of it and is remembered; by then u-2 has rested, and the others have.
        rates.take("another", 3 * SECOND).unwrap();
        let buckets = rates.buckets.lock().unwrap();
        assert!(buckets.contains_key("u-1") && !buckets.contains_key("u-2"));
        assert!(buckets.len() < USERS_KEPT);
    }
}
