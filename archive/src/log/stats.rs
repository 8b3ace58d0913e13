//! The statistics of an add action: counts and bounds of columns without content.
//!
//! Delta keeps timestamps to the millisecond, truncated. A truncated maximum would lie below rows of the file, and a
//! search would prune it: ours is rounded up before it is written ([`ceil_to_ms`]), and one that another program wrote
//! is taken as the end of its millisecond.

use serde::Deserialize;

use holdfast_schemas::time::parse_rfc3339;

use crate::segment::SegmentStats;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    num_records: u64,
    min_values: Values,
    max_values: Values,
}

#[derive(Deserialize)]
struct Values {
    event_time: String,
    ingest_time: String,
    origin: String,
    origin_seq: i64,
}

/// Rows and bounds from the JSON in an add action.
pub(crate) fn parse_stats(json: &str) -> Result<(u64, SegmentStats), String> {
    let stats: Stats = serde_json::from_str(json).map_err(|e| e.to_string())?;
    let (min, max) = (stats.min_values, stats.max_values);
    let seq =
        |value: i64| u64::try_from(value).map_err(|_| format!("origin_seq {value} is negative"));
    Ok((
        stats.num_records,
        SegmentStats {
            event_time_us: (time_us(&min.event_time)?, max_time_us(&max.event_time)?),
            ingest_time_us: (time_us(&min.ingest_time)?, max_time_us(&max.ingest_time)?),
            origin: (min.origin, max.origin),
            origin_seq: (seq(min.origin_seq)?, seq(max.origin_seq)?),
        },
    ))
}

/// The last millisecond that four digits of a year can write. A maximum in it cannot be rounded up, so that it means
/// the whole of it.
const LAST_MS_US: i64 = 253_402_300_799_999_000;

fn max_time_us(text: &str) -> Result<i64, String> {
    let us = time_us(text)?;
    Ok(if us == LAST_MS_US { us + 999 } else { us })
}

fn time_us(text: &str) -> Result<i64, String> {
    // A compaction by another program may leave the offset out; Delta's timestamps are UTC.
    let parsed = parse_rfc3339(text).or_else(|e| parse_rfc3339(&format!("{text}Z")).map_err(|_| e));
    parsed
        .map(|time| time.us)
        .map_err(|e| format!("{text}: {e}"))
}

/// The next whole millisecond, for a maximum that will be truncated to milliseconds.
pub(crate) fn ceil_to_ms(us: i64) -> i64 {
    us.saturating_add((1_000 - us.rem_euclid(1_000)) % 1_000)
        .min(LAST_MS_US)
}

/// The whole millisecond before or at `us`, for a minimum.
pub(crate) fn floor_to_ms(us: i64) -> i64 {
    us.saturating_sub(us.rem_euclid(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_time_of_the_calendar_is_read_back_and_not_pruned() {
        let last_us = parse_rfc3339("9999-12-31T23:59:59.999999Z").unwrap().us;
        assert_eq!(ceil_to_ms(last_us), LAST_MS_US);
        assert_eq!(time_us("9999-12-31T23:59:59.999Z"), Ok(LAST_MS_US));
        assert_eq!(max_time_us("9999-12-31T23:59:59.999Z"), Ok(last_us));
        assert_eq!(
            max_time_us("2026-01-01T00:00:00"),
            Ok(1_767_225_600_000_000)
        );
    }

    #[test]
    fn bounds_enclose_what_they_stand_for() {
        for us in [
            0,
            1,
            999,
            1_000,
            1_001,
            -1,
            -999,
            -1_000,
            -1_001,
            1_763_600_000_123_456,
        ] {
            let (low, high) = (floor_to_ms(us), ceil_to_ms(us));
            assert!(
                low <= us && us <= high && high - low <= 1_000,
                "{us}: {low}..{high}"
            );
            assert_eq!((low % 1_000, high % 1_000), (0, 0), "{us}");
        }
    }
}
