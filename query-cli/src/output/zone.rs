//! Times with their zone. Machine formats write UTC with microseconds; people get the zone they asked for.

use jiff::{Timestamp, tz::TimeZone};

/// Parses `--tz`: an IANA name (`Europe/Berlin`), `UTC`, or an offset (`+02:00`).
///
/// # Errors
/// Neither; the text says what to write, for clap to show.
pub fn parse(text: &str) -> Result<TimeZone, String> {
    if text.eq_ignore_ascii_case("utc") || text == "Z" {
        return Ok(TimeZone::UTC);
    }
    if text.starts_with(['+', '-']) {
        return offset(text)
            .ok_or_else(|| format!("`{text}` is no offset; write it like `+02:00`"));
    }
    TimeZone::get(text).map_err(|_| {
        format!("`{text}` is no time zone this system knows; write an IANA name like `Europe/Berlin`, `UTC`, or an offset like `+02:00`")
    })
}

fn offset(text: &str) -> Option<TimeZone> {
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let seconds = (hours * 60 + minutes) * 60;
    let signed = if text.starts_with('-') {
        -seconds
    } else {
        seconds
    };
    (minutes < 60).then_some(())?;
    jiff::tz::Offset::from_seconds(signed)
        .ok()
        .map(TimeZone::fixed)
}

/// The zone's name as `--tz` takes it.
#[must_use]
pub fn name(zone: &TimeZone) -> String {
    if let Some(name) = zone.iana_name() {
        return name.to_owned();
    }
    match zone.to_fixed_offset() {
        Ok(offset) if offset.is_zero() => "UTC".to_owned(),
        Ok(offset) => jiff::fmt::strtime::format(
            "%:z",
            &Timestamp::UNIX_EPOCH.to_zoned(TimeZone::fixed(offset)),
        )
        .unwrap_or_default(),
        Err(_) => "UTC".to_owned(),
    }
}

/// `2026-11-20 05:10:45Z`, or with the zone's offset at that moment. A time outside the calendar is shown as its number.
#[must_use]
pub fn seconds(us: i64, zone: &TimeZone) -> String {
    format(us, zone, "%Y-%m-%d %H:%M:%S")
}

/// As [`seconds`], with microseconds.
#[must_use]
pub fn micros(us: i64, zone: &TimeZone) -> String {
    format(us, zone, "%Y-%m-%d %H:%M:%S%.6f")
}

fn format(us: i64, zone: &TimeZone, pattern: &str) -> String {
    let Ok(time) = Timestamp::from_microsecond(us) else {
        return beyond(us);
    };
    let suffix = if zone.iana_name().is_none_or(|n| n == "UTC")
        && zone.to_fixed_offset().is_ok_and(jiff::tz::Offset::is_zero)
    {
        "Z"
    } else {
        "%:z"
    };
    jiff::fmt::strtime::format(format!("{pattern}{suffix}"), &time.to_zoned(zone.clone()))
        .unwrap_or_else(|_| format!("{us} us"))
}

/// The zones' calendar ends a day before the contract's: what lies between is shown in UTC.
fn beyond(us: i64) -> String {
    if us > 0 && holdfast_schemas::time::utc_year(us) <= 9999 {
        return holdfast_schemas::time::format_us(us);
    }
    format!("{us} us")
}

/// The day in the zone: `2026-11-20`.
#[must_use]
pub fn day(us: i64, zone: &TimeZone) -> String {
    Timestamp::from_microsecond(us)
        .map(|time| time.to_zoned(zone.clone()).date().to_string())
        .unwrap_or_else(|_| match beyond(us).split_once('T') {
            Some((day, _)) => day.to_owned(),
            None => "outside the calendar".to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_carry_their_zone() {
        let us = 1_795_151_445_123_456;
        assert_eq!(seconds(us, &TimeZone::UTC), "2026-11-20 05:10:45Z");
        assert_eq!(
            seconds(us, &parse("+05:30").unwrap()),
            "2026-11-20 10:40:45+05:30"
        );
        assert_eq!(micros(us, &TimeZone::UTC), "2026-11-20 05:10:45.123456Z");
        assert_eq!(day(us, &parse("-06:00").unwrap()), "2026-11-19");
        let last_us = 253_402_300_799_999_999;
        assert_eq!(
            seconds(last_us, &TimeZone::UTC),
            "9999-12-31T23:59:59.999999Z"
        );
        assert_eq!(day(last_us, &TimeZone::UTC), "9999-12-31");
        assert_eq!(
            seconds(i64::MAX, &TimeZone::UTC),
            format!("{} us", i64::MAX)
        );
    }

    #[test]
    fn zones_parse_and_name_themselves() {
        assert_eq!(name(&parse("utc").unwrap()), "UTC");
        assert_eq!(name(&parse("+02:00").unwrap()), "+02:00");
        for bad in ["", "Nowhere/At_All", "+2", "+02:99", "+aa:00"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
