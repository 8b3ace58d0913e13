//! The clock guard: what is disposed of on the word of `now` is not disposed of on the word of a clock that jumped.

use holdfast_schemas::time::format_us;

/// How far our clock and the store's may be apart, microseconds.
pub const APART_MAX_US: i64 = 5 * 60 * 1_000_000;

/// Our clock and the store's disagree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "our clock says {}, the store dates the same entry {}: more than 5 minutes apart; set the clock right, then run the command again",
    format_us(*ours_us), format_us(*store_us)
)]
pub struct ClockError {
    /// Ours, UTC microseconds.
    pub ours_us: i64,
    /// The store's, UTC microseconds.
    pub store_us: i64,
}

/// Compares our time with the store's time stamp of the same put, both UTC microseconds.
///
/// # Errors
/// They are more than [`APART_MAX_US`] apart.
pub fn agree(ours_us: i64, store_us: i64) -> Result<(), ClockError> {
    if ours_us.abs_diff(store_us) <= APART_MAX_US.unsigned_abs() {
        Ok(())
    } else {
        Err(ClockError { ours_us, store_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_minutes_either_way_and_not_a_microsecond_more() {
        let store = 1_800_000_000_000_000;
        for ours in [store - APART_MAX_US, store, store + APART_MAX_US] {
            assert_eq!(agree(ours, store), Ok(()));
        }
        for ours in [
            store - APART_MAX_US - 1,
            store + APART_MAX_US + 1,
            0,
            i64::MIN,
        ] {
            let error = agree(ours, store).unwrap_err();
            assert_eq!(error.ours_us, ours);
        }
        assert!(
            agree(0, store)
                .unwrap_err()
                .to_string()
                .contains("1970-01-01")
        );
    }
}
