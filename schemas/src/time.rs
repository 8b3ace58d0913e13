//! Times of the contract: RFC 3339 text to UTC microseconds and back.

use thiserror::Error;

/// Microseconds of one day.
pub const DAY_US: i64 = 86_400_000_000;

/// A time read from text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedTime {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub us: i64,
    /// Whether UTC microseconds say less than the text did: another offset than `Z`, finer digits or a leap second.
    pub lossy: bool,
}

/// The text is not an RFC 3339 date-time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an RFC 3339 time with offset, such as 2026-11-20T05:10:45.123456Z")]
pub struct TimeError;

/// Reads an RFC 3339 date-time with offset.
///
/// # Errors
/// The text is something else, or names a day or an hour that does not exist.
pub fn parse_rfc3339(text: &str) -> Result<ParsedTime, TimeError> {
    let b = text.as_bytes();
    if b.len() < 20
        || b[4] != b'-'
        || b[7] != b'-'
        || !matches!(b[10], b'T' | b't')
        || b[13] != b':'
        || b[16] != b':'
    {
        return Err(TimeError);
    }
    let (year, month, day) = (number(&b[0..4])?, number(&b[5..7])?, number(&b[8..10])?);
    let (hour, minute, second) = (
        number(&b[11..13])?,
        number(&b[14..16])?,
        number(&b[17..19])?,
    );
    let in_range = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 60 {
        return Err(TimeError);
    }
    let (fraction_us, finer, rest) = fraction(&b[19..])?;
    let (offset_minutes, is_utc) = offset(rest)?;
    let leap_second = second == 60;
    let seconds =
        days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second.min(59);
    let us = (seconds - offset_minutes * 60) * 1_000_000 + fraction_us;
    // An offset can carry a time out of the years that RFC 3339 can write in UTC: it could not be told again.
    if !(0..=9999).contains(&utc_year(us)) {
        return Err(TimeError);
    }
    Ok(ParsedTime {
        us,
        lossy: finer || !is_utc || leap_second,
    })
}

/// Writes microseconds since the epoch as `2026-11-20T05:10:45.123456Z`, always with six digits.
#[must_use]
pub fn format_us(us: i64) -> String {
    let mut out = Vec::with_capacity(27);
    write_us(us, &mut out);
    // Digits and punctuation only: the conversion keeps every byte.
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends what [`format_us`] returns.
pub fn write_us(us: i64, out: &mut Vec<u8>) {
    let (days, in_day) = (us.div_euclid(DAY_US), us.rem_euclid(DAY_US));
    let (year, month, day) = civil_from_days(days);
    let (seconds, fraction) = (in_day / 1_000_000, in_day % 1_000_000);
    let begin = out.len();
    out.extend_from_slice(b"0000-00-00T00:00:00.000000Z");
    let text = &mut out[begin..];
    digits(year, &mut text[..4]);
    digits(month, &mut text[5..7]);
    digits(day, &mut text[8..10]);
    digits(seconds / 3600, &mut text[11..13]);
    digits(seconds / 60 % 60, &mut text[14..16]);
    digits(seconds % 60, &mut text[17..19]);
    digits(fraction, &mut text[20..26]);
}

/// UTC year of a time.
#[must_use]
pub fn utc_year(us: i64) -> i32 {
    let (year, _, _) = civil_from_days(us.div_euclid(DAY_US));
    i32::try_from(year).unwrap_or(i32::MAX)
}

fn number(digits: &[u8]) -> Result<i64, TimeError> {
    digits.iter().try_fold(0, |n, d| {
        if d.is_ascii_digit() {
            Ok(n * 10 + i64::from(d - b'0'))
        } else {
            Err(TimeError)
        }
    })
}

/// Writes as many of the last decimal digits as there are places.
fn digits(value: i64, places: &mut [u8]) {
    let mut rest = value;
    for place in places.iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
}

/// Microseconds of an optional fraction, whether a digit beyond them is not zero, and what follows.
fn fraction(b: &[u8]) -> Result<(i64, bool, &[u8]), TimeError> {
    if b.first() != Some(&b'.') {
        return Ok((0, false, b));
    }
    let end = b[1..]
        .iter()
        .position(|c| !c.is_ascii_digit())
        .ok_or(TimeError)?
        + 1;
    let written = &b[1..end];
    if written.is_empty() {
        return Err(TimeError);
    }
    let us = (0..6).fold(0, |us, i| {
        us * 10 + written.get(i).map_or(0, |d| i64::from(d - b'0'))
    });
    let finer = written.iter().skip(6).any(|d| *d != b'0');
    Ok((us, finer, &b[end..]))
}

/// Offset in minutes, and whether it says plain UTC (`-00:00` says "unknown local time": RFC 3339, section 4.3).
fn offset(b: &[u8]) -> Result<(i64, bool), TimeError> {
    match b {
        b"Z" | b"z" => Ok((0, true)),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return Err(TimeError);
            }
            let total = hours * 60 + minutes;
            Ok(if *sign == b'+' {
                (total, total == 0)
            } else {
                (-total, false)
            })
        }
        _ => Err(TimeError),
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar; years run from March so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (
        day_of_year - (153 * shifted + 2) / 5 + 1,
        (shifted + 2) % 12 + 1,
    );
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn us(text: &str) -> (i64, bool) {
        let t = parse_rfc3339(text).unwrap();
        (t.us, t.lossy)
    }

    #[test]
    fn reads_what_rfc_3339_allows() {
        assert_eq!(us("1970-01-01T00:00:00Z"), (0, false));
        assert_eq!(
            us("2026-11-20T05:10:45.123456Z"),
            (1_795_151_445_123_456, false)
        );
        assert_eq!(
            us("2026-11-20T05:10:45.123456000Z"),
            (1_795_151_445_123_456, false)
        );
        assert_eq!(us("2026-11-20T05:10:45.1Z").0, 1_795_151_445_100_000);
        assert_eq!(
            us("2026-11-20T07:10:45.123456+02:00"),
            (1_795_151_445_123_456, true)
        );
        assert_eq!(
            us("2026-11-20T05:10:45.1234567Z"),
            (1_795_151_445_123_456, true)
        );
        assert_eq!(us("2026-11-20t05:10:45z"), (1_795_151_445_000_000, false));
        assert_eq!(us("1990-12-31T23:59:60Z"), (662_687_999_000_000, true));
        assert_eq!(us("1969-12-31T23:59:59.999999+00:00"), (-1, false));
        assert!(us("1970-01-01T00:00:00-00:00").1);
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "2026-11-20",
            "2026-11-20T05:10:45",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20T05:10:45.Z",
            "2026-11-20 05:10:45Z",
            "2026-11-20T05:10:45+2:00",
            "2026-11-20T05:10:45Zz",
            "+026-11-20T05:10:45Z",
            "2026-11-20T05:10:45+24:00",
            "9999-12-31T23:59:59-00:01",
            "0000-01-01T00:00:00+00:01",
        ] {
            assert_eq!(parse_rfc3339(text), Err(TimeError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_jiff(us in -62_135_596_800_000_000_i64..253_402_207_200_000_000) {
            let text = format_us(us);
            prop_assert_eq!(parse_rfc3339(&text), Ok(ParsedTime { us, lossy: false }));
            let theirs: jiff::Timestamp = text.parse().unwrap();
            prop_assert_eq!(theirs.as_microsecond(), us);
            prop_assert_eq!(utc_year(us), i32::from(theirs.to_zoned(jiff::tz::TimeZone::UTC).year()));
        }
    }
}
