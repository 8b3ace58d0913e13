//! A clock to be moved by hand.

use std::sync::atomic::{AtomicI64, Ordering};

use holdfast_archive::clock::Environment;

pub const DAY_MS: i64 = 24 * 3_600_000;

#[derive(Debug)]
pub struct Hand(pub AtomicI64);

impl Hand {
    /// A clock that stands at this moment, milliseconds since 1970.
    pub fn at(now_ms: i64) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self(AtomicI64::new(now_ms)))
    }
}

impl Environment for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
    fn random(&self) -> u64 {
        42
    }
}
