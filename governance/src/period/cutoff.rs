//! The moment before which events have expired.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::Period;

/// What happened before this moment has expired at `now_us`, and nothing else has: UTC microseconds, always the
/// beginning of a day in `zone`. `i64::MIN` when nothing can have expired.
///
/// This is the one comparison that expiry is: `event_time < cutoff`. A segment has wholly expired when its greatest
/// event time is below it ([`wholly_expired`]), never by overlap.
#[must_use]
pub fn cutoff_us(period: Period, now_us: i64, zone: &TimeZone) -> i64 {
    let Some(today) = day_of(now_us, zone) else {
        return i64::MIN;
    };
    let Some(mut first_kept) = period.before(today) else {
        return i64::MIN;
    };
    // Taking months away and adding them again need not meet: what counts is how a period ends.
    let kept = |day: Date| period.after(day).is_none_or(|end| end >= today);
    while kept(first_kept) {
        match first_kept.yesterday() {
            Ok(earlier) => first_kept = earlier,
            Err(_) => return i64::MIN,
        }
    }
    while !kept(first_kept) {
        match first_kept.tomorrow() {
            Ok(later) => first_kept = later,
            Err(_) => return i64::MAX,
        }
    }
    begin_us(first_kept, zone).unwrap_or(i64::MIN)
}

/// From when on an event that happened at `time_us` has expired, UTC microseconds; nothing when it never does.
#[must_use]
pub fn expires_us(period: Period, time_us: i64, zone: &TimeZone) -> Option<i64> {
    let end = period.after(day_of(time_us, zone)?)?;
    begin_us(end.checked_add(1.day()).ok()?, zone)
}

/// Whether every event of a segment has expired: its greatest event time lies before the cutoff.
#[must_use]
pub fn wholly_expired(event_time_us: (i64, i64), cutoff_us: i64) -> bool {
    event_time_us.1 < cutoff_us
}

fn day_of(time_us: i64, zone: &TimeZone) -> Option<Date> {
    let at = Timestamp::from_microsecond(time_us).ok()?;
    Some(zone.to_datetime(at).date())
}

fn begin_us(day: Date, zone: &TimeZone) -> Option<i64> {
    let begin = day.to_zoned(zone.clone()).ok()?;
    Some(begin.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    fn shown(us: i64) -> String {
        Timestamp::from_microsecond(us).unwrap().to_string()
    }

    #[test]
    fn leap_days_end_with_february() {
        let utc = TimeZone::UTC;
        let expires = |period: &str, time: &str| {
            shown(expires_us(period.parse().unwrap(), at(time), &utc).unwrap())
        };
        assert_eq!(
            expires("1y", "2024-02-29T12:00:00Z"),
            "2025-03-01T00:00:00Z"
        );
        assert_eq!(
            expires("4y", "2024-02-29T12:00:00Z"),
            "2028-03-01T00:00:00Z"
        );
        assert_eq!(
            expires("1y", "2023-02-28T23:59:59Z"),
            "2024-02-29T00:00:00Z"
        );
        assert_eq!(
            expires("1m", "2025-01-31T08:00:00Z"),
            "2025-03-01T00:00:00Z"
        );
        assert_eq!(
            expires("7y", "2019-11-20T09:00:00Z"),
            "2026-11-21T00:00:00Z"
        );
        assert_eq!(
            expires("0d", "2026-11-20T09:00:00Z"),
            "2026-11-21T00:00:00Z"
        );
        assert_eq!(expires_us(Period::Forever, 0, &utc), None);
    }

    #[test]
    fn days_of_23_and_25_hours_are_days() {
        let madrid = TimeZone::get("Europe/Madrid").unwrap();
        let expires = |time: &str| shown(expires_us(Period::Days(1), at(time), &madrid).unwrap());
        // 29 March 2026 has 23 hours there, 25 October 25.
        assert_eq!(expires("2026-03-28T12:00:00Z"), "2026-03-29T22:00:00Z");
        assert_eq!(expires("2026-03-27T12:00:00Z"), "2026-03-28T23:00:00Z");
        assert_eq!(expires("2026-10-24T12:00:00Z"), "2026-10-25T23:00:00Z");
        // A zone whose midnight does not exist on the day of change: the day begins at one o'clock.
        let beirut = TimeZone::get("Asia/Beirut").unwrap();
        let time = at("2025-03-28T12:00:00Z");
        let end = expires_us(Period::Days(1), time, &beirut).unwrap();
        assert!(end > time && cutoff_us(Period::Days(1), end, &beirut) > time);
        // Samoa had no 30 December 2011.
        let apia = TimeZone::get("Pacific/Apia").unwrap();
        let time = at("2011-12-29T12:00:00Z");
        let end = expires_us(Period::Days(1), time, &apia).unwrap();
        assert!(cutoff_us(Period::Days(1), end, &apia) > time);
    }

    #[test]
    fn the_zone_decides_on_which_day_something_happened() {
        let time = at("2026-03-01T23:30:00Z");
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        assert_eq!(
            shown(expires_us(Period::Days(1), time, &TimeZone::UTC).unwrap()),
            "2026-03-03T00:00:00Z"
        );
        assert_eq!(
            shown(expires_us(Period::Days(1), time, &tokyo).unwrap()),
            "2026-03-03T15:00:00Z"
        );
    }

    const ZONES: [&str; 6] = [
        "UTC",
        "Europe/Madrid",
        "America/New_York",
        "Pacific/Apia",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
    ];

    fn period() -> impl Strategy<Value = Period> {
        prop_oneof![
            (0u32..12).prop_map(Period::Years),
            (0u32..150).prop_map(Period::Months),
            (0u32..500).prop_map(Period::Weeks),
            (0u32..4000).prop_map(Period::Days),
        ]
    }

    proptest! {
        #[test]
        fn an_event_has_expired_exactly_when_it_lies_before_the_cutoff(
            period in period(), zone in 0usize..ZONES.len(), now in 0i64..2_000_000_000, ago in -1_000_000i64..400_000_000, near in -200_000i64..200_000,
        ) {
            let zone = TimeZone::get(ZONES[zone]).unwrap();
            let now_us = now * 1_000_000;
            let cutoff = cutoff_us(period, now_us, &zone);
            for time_us in [now_us - ago * 1_000_000, cutoff - 1, cutoff, cutoff + near * 1_000_000] {
                let expired = expires_us(period, time_us, &zone).is_some_and(|from| from <= now_us);
                prop_assert_eq!(expired, time_us < cutoff, "{} at {}", time_us, cutoff);
                prop_assert_eq!(expired, wholly_expired((i64::MIN, time_us), cutoff));
            }
        }

        #[test]
        fn the_younger_never_expires_first_and_time_brings_nothing_back(
            period in period(), zone in 0usize..ZONES.len(), a in 0i64..2_000_000_000, b in 0i64..2_000_000_000, later in 0i64..100_000_000,
        ) {
            let zone = TimeZone::get(ZONES[zone]).unwrap();
            let (a, b) = (a.min(b) * 1_000_000, a.max(b) * 1_000_000);
            prop_assert!(expires_us(period, a, &zone) <= expires_us(period, b, &zone));
            prop_assert!(cutoff_us(period, a, &zone) <= cutoff_us(period, a + later * 1_000_000, &zone));
        }
    }
}
