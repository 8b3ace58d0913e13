//! Times as a query writes them: each is a span, as long as what is left out.
//!
//! | written | span |
//! |---|---|
//! | `2026` | that year in the query's time zone |
//! | `2026-11` | that month |
//! | `2026-11-20` | that day, however long |
//! | `2026-11-20T05:10`, `…T05:10:45`, `…T05:10:45.5` | that minute, second, tenth of a second; in the query's time zone |
//! | the same followed by `Z` or `±HH:MM` | the same, at that offset (RFC 3339) |
//! | `today`, `yesterday` | that day in the query's time zone, written out when the query is parsed |
//!
//! `>` begins after the span, `>=` at its beginning, `<` ends before it, `<=` at its end.

use holdfast_schemas::time::format_us;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// 0000-01-01T00:00:00Z, the first microsecond that events may have.
const CALENDAR_FROM_US: i64 = -62_167_219_200_000_000;
/// 10000-01-01T00:00:00Z, the first one after the last. The time zone library ends a day and two hours before.
const CALENDAR_TO_US: i64 = 253_402_300_800_000_000;
/// A day without a change of clocks.
const DAY_US: i64 = 86_400_000_000;

/// A time as written, and the instants it stands for: microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeSpan {
    /// As written; `today` as a date.
    pub text: String,
    /// Its first microsecond.
    pub from_us: i64,
    /// The first one after it.
    pub to_us: i64,
}

impl TimeSpan {
    /// The span of one microsecond.
    #[must_use]
    pub fn instant(us: i64) -> TimeSpan {
        TimeSpan {
            text: format_us(us.clamp(CALENDAR_FROM_US, CALENDAR_TO_US - 1)),
            from_us: us,
            to_us: us.saturating_add(1),
        }
    }

    /// Reads one of the forms above.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str, zone: &TimeZone, now: Timestamp) -> Result<TimeSpan, String> {
        let today = || zone.to_datetime(now).date();
        match text {
            "today" => return days(today(), None, today().to_string(), zone),
            "yesterday" => {
                let day = today().yesterday().map_err(|_| out_of_range(text))?;
                return days(day, None, day.to_string(), zone);
            }
            _ => {}
        }
        let (date, time) = match text.split_once(['T', 't', ' ']) {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let parts: Vec<&str> = date.split('-').collect();
        match (parts.as_slice(), time) {
            ([year], None) => {
                let from = civil(number(year, 4, text)?, 1, 1, text)?;
                let next = civil(from.year() + 1, 1, 1, text).ok();
                days(from, Some(next), text.to_owned(), zone)
            }
            ([year, month], None) => {
                let from = civil(number(year, 4, text)?, number(month, 2, text)?, 1, text)?;
                let (year, month) = if from.month() == 12 {
                    (from.year() + 1, 1)
                } else {
                    (from.year(), from.month() + 1)
                };
                days(
                    from,
                    Some(civil(year, month, 1, text).ok()),
                    text.to_owned(),
                    zone,
                )
            }
            ([year, month, day], time) => {
                let date = civil(
                    number(year, 4, text)?,
                    number(month, 2, text)?,
                    number(day, 2, text)?,
                    text,
                )?;
                match time {
                    None => days(date, None, text.to_owned(), zone),
                    Some(time) => clock(date, time, text, zone),
                }
            }
            _ => Err(not_a_time(text)),
        }
    }
}

fn not_a_time(text: &str) -> String {
    format!(
        "`{text}` is no date: YYYY, YYYY-MM, YYYY-MM-DD, YYYY-MM-DDTHH:MM[:SS[.ffffff]][Z|+HH:MM], today or yesterday"
    )
}

fn out_of_range(text: &str) -> String {
    format!("`{text}` lies outside the years 0000 to 9999")
}

/// Exactly `digits` ASCII digits.
fn number<N: TryFrom<i64>>(part: &str, digits: usize, text: &str) -> Result<N, String> {
    let digital = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
    let value = digital.then(|| part.parse::<i64>().ok()).flatten();
    value
        .and_then(|v| N::try_from(v).ok())
        .ok_or_else(|| not_a_time(text))
}

fn civil(year: i16, month: i8, day: i8, text: &str) -> Result<Date, String> {
    Date::new(year, month, day).map_err(|_| format!("there is no day {text}"))
}

/// From the first instant of `from` to the first one of `next`: of the day after, if `None`; of no day, if that lies
/// beyond the last year.
fn days(
    from: Date,
    next: Option<Option<Date>>,
    text: String,
    zone: &TimeZone,
) -> Result<TimeSpan, String> {
    let next = next.unwrap_or_else(|| from.tomorrow().ok());
    let from_us = start_of_day(from, zone).ok_or_else(|| out_of_range(&text))?;
    let to_us = match next {
        Some(next) => start_of_day(next, zone).ok_or_else(|| out_of_range(&text))?,
        // The last day ends in no zone before the last event.
        None => from_us.saturating_add(DAY_US).max(CALENDAR_TO_US),
    };
    Ok(TimeSpan {
        text,
        from_us,
        to_us,
    })
}

/// Midnight, or the first instant after it where the clocks skip midnight.
fn start_of_day(date: Date, zone: &TimeZone) -> Option<i64> {
    let zoned = date.to_zoned(zone.clone()).and_then(|z| z.start_of_day());
    match zoned {
        Ok(zoned) => Some(zoned.timestamp().as_microsecond()),
        Err(_) => after_the_last_change(date.at(0, 0, 0, 0), zone),
    }
}

/// A time too late for the time zone library, with the offset that the zone ends with; `None` when it is not too late.
fn after_the_last_change(at: DateTime, zone: &TimeZone) -> Option<i64> {
    let offset = zone.to_offset(Timestamp::MAX);
    let us = as_utc(at) - i64::from(offset.seconds()) * 1_000_000;
    (us > Timestamp::MAX.as_microsecond()).then_some(us)
}

/// The instant at which clocks in UTC show this time, UTC microseconds.
fn as_utc(at: DateTime) -> i64 {
    let since = at.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0));
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A time of day: HH:MM[:SS[.ffffff]][offset].
fn clock(date: Date, written: &str, text: &str, zone: &TimeZone) -> Result<TimeSpan, String> {
    let offset_at = written.find(['Z', 'z', '+', '-']).unwrap_or(written.len());
    let (time, offset) = written.split_at(offset_at);
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    let parts: Vec<&str> = whole.split(':').collect();
    let (hour, minute, second) = match parts.as_slice() {
        [h, m] if !time.contains('.') => (number(h, 2, text)?, number(m, 2, text)?, None),
        [h, m, s] => (
            number(h, 2, text)?,
            number(m, 2, text)?,
            Some(number::<i8>(s, 2, text)?),
        ),
        _ => return Err(not_a_time(text)),
    };
    let (fraction_us, unit_us) = match (second, time.contains('.')) {
        (None, _) => (0, 60_000_000),
        (Some(_), false) => (0, 1_000_000),
        (Some(_), true) => {
            let digits = fraction.len();
            if !(1..=6).contains(&digits) || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!(
                    "`{text}`: fractions of a second go to microseconds, six digits"
                ));
            }
            let unit = 10_i64.pow(6 - u32::try_from(digits).unwrap_or(6));
            (fraction.parse::<i64>().unwrap_or(0) * unit, unit)
        }
    };
    let time = Time::new(hour, minute, second.unwrap_or(0), 0)
        .map_err(|_| format!("there is no time {text}"))?;
    let from_us = instant(date.to_datetime(time), offset, text, zone)? + fraction_us;
    Ok(TimeSpan {
        text: text.replacen(' ', "T", 1),
        from_us,
        to_us: from_us + unit_us,
    })
}

fn instant(at: DateTime, offset: &str, text: &str, zone: &TimeZone) -> Result<i64, String> {
    if offset.is_empty() {
        return match zone.to_zoned(at) {
            Ok(zoned) => Ok(zoned.timestamp().as_microsecond()),
            Err(_) => after_the_last_change(at, zone).ok_or_else(|| out_of_range(text)),
        };
    }
    let utc_us = as_utc(at);
    if offset.eq_ignore_ascii_case("z") {
        return Ok(utc_us);
    }
    let (hours, minutes) = match offset[1..].split_once(':') {
        Some((h, m)) => (number::<i64>(h, 2, text)?, number::<i64>(m, 2, text)?),
        None => return Err(not_a_time(text)),
    };
    if hours > 23 || minutes > 59 {
        return Err(format!("`{text}`: an offset is at most 23:59"));
    }
    let east_us = (hours * 60 + minutes) * 60_000_000;
    Ok(if offset.starts_with('-') {
        utc_us + east_us
    } else {
        utc_us - east_us
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str, zone: &str) -> Result<(String, String), String> {
        let zone = TimeZone::get(zone).unwrap();
        let now: Timestamp = "2026-11-20T23:30:00Z".parse().unwrap();
        let span = TimeSpan::parse(text, &zone, now)?;
        let shown = |us| Timestamp::from_microsecond(us).unwrap().to_string();
        Ok((shown(span.from_us), shown(span.to_us)))
    }

    fn is(text: &str, zone: &str, from: &str, to: &str) {
        assert_eq!(
            span(text, zone),
            Ok((from.to_owned(), to.to_owned())),
            "{text} in {zone}"
        );
    }

    #[test]
    fn a_date_alone_is_that_whole_day_in_the_zone() {
        is(
            "2026",
            "UTC",
            "2026-01-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
        );
        is(
            "2026-12",
            "UTC",
            "2026-12-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
        );
        is(
            "2024-02",
            "UTC",
            "2024-02-01T00:00:00Z",
            "2024-03-01T00:00:00Z",
        );
        is(
            "2026-11-20",
            "Europe/Berlin",
            "2026-11-19T23:00:00Z",
            "2026-11-20T23:00:00Z",
        );
        is(
            "2026-03-29",
            "Europe/Berlin",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
        );
        is(
            "2026-10-25",
            "Europe/Berlin",
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
        );
        is(
            "today",
            "UTC",
            "2026-11-20T00:00:00Z",
            "2026-11-21T00:00:00Z",
        );
        is(
            "today",
            "Asia/Tokyo",
            "2026-11-20T15:00:00Z",
            "2026-11-21T15:00:00Z",
        );
        is(
            "yesterday",
            "UTC",
            "2026-11-19T00:00:00Z",
            "2026-11-20T00:00:00Z",
        );
    }

    #[test]
    fn a_time_is_as_long_as_what_is_left_out() {
        is(
            "2026-11-20T05:10",
            "UTC",
            "2026-11-20T05:10:00Z",
            "2026-11-20T05:11:00Z",
        );
        is(
            "2026-11-20T05:10:45Z",
            "Asia/Tokyo",
            "2026-11-20T05:10:45Z",
            "2026-11-20T05:10:46Z",
        );
        is(
            "2026-11-20t05:10:45.5z",
            "UTC",
            "2026-11-20T05:10:45.5Z",
            "2026-11-20T05:10:45.6Z",
        );
        is(
            "2026-11-20T05:10:45.123456+01:30",
            "UTC",
            "2026-11-20T03:40:45.123456Z",
            "2026-11-20T03:40:45.123457Z",
        );
        is(
            "2026-11-20T05:10-08:00",
            "UTC",
            "2026-11-20T13:10:00Z",
            "2026-11-20T13:11:00Z",
        );
        is(
            "2026-11-20 05:10",
            "Asia/Tokyo",
            "2026-11-19T20:10:00Z",
            "2026-11-19T20:11:00Z",
        );
    }

    #[test]
    fn what_is_no_time_says_so() {
        for text in [
            "",
            "26",
            "2026-1",
            "2026-13",
            "2026-02-30",
            "2026-11-20T",
            "2026-11-20T25:00",
            "2026-11-20T05:10:45.",
            "2026-11-20T05:10:45.1234567",
            "2026-11-20T05:10+1",
            "2026-11-20T05:10+24:00",
            "2026-11-20T05.5",
            "x",
            "2026-11-20-01",
            "+026",
            "2026-11-20T05:1é",
        ] {
            assert!(span(text, "UTC").is_err(), "{text}");
        }
    }

    #[test]
    fn the_last_days_of_the_calendar_are_days_too() {
        let now = Timestamp::UNIX_EPOCH;
        let span = |text: &str, zone: &str| {
            let span = TimeSpan::parse(text, &TimeZone::get(zone).unwrap(), now).unwrap();
            (CALENDAR_TO_US - span.from_us, CALENDAR_TO_US - span.to_us)
        };
        let hour_us = 3_600_000_000;
        for zone in ["UTC", "Europe/Berlin", "America/New_York"] {
            for text in ["9999", "9999-12", "9999-12-31", "9999-12-31T23:59:59Z"] {
                let (from, to) = span(text, zone);
                assert!(from > 0 && to <= 0, "{text} in {zone}: {from} {to}");
            }
        }
        assert_eq!(span("9999-12-31", "UTC"), (DAY_US, 0));
        assert_eq!(span("9999-12-30", "UTC"), (2 * DAY_US, DAY_US));
        assert_eq!(
            span("9999-12-31T22:00", "UTC"),
            (2 * hour_us, 2 * hour_us - 60_000_000)
        );
        assert_eq!(span("9999-12-31T10:00", "Asia/Tokyo").0, DAY_US - hour_us);
        let last = TimeSpan::instant(CALENDAR_TO_US - 1);
        assert_eq!(last.text, "9999-12-31T23:59:59.999999Z");
        assert_eq!(TimeSpan::parse(&last.text, &TimeZone::UTC, now), Ok(last));
    }

    #[test]
    fn an_instant_prints_as_itself() {
        let us = 1_795_000_000_123_456;
        let span = TimeSpan::instant(us);
        let again = TimeSpan::parse(&span.text, &TimeZone::UTC, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(again, span);
        assert_eq!(TimeSpan::instant(0).text, "1970-01-01T00:00:00.000000Z");
    }
}
