//! Periods of retention: `7y`, `6m`, `2w`, `90d`, or `forever`, counted in calendar days of a named time zone.
//!
//! An event is kept through the whole calendar day on which its period ends, and can go when the next day begins. So a
//! period never falls short by hours, a day that is 23 or 25 hours long is a day all the same, and a period that would
//! end on a day that does not exist (29 February, 31 April) ends with the last day of that month. Counting by days also
//! makes expiry monotone: of two events the younger never expires first, which counting by the second does not promise
//! (30 January 01:00 and 29 January 23:00 would both end a month later on 28 February, the younger one first).

mod cutoff;

use std::fmt;
use std::str::FromStr;

use jiff::Span;
use jiff::civil::Date;

pub use cutoff::{cutoff_us, expires_us, wholly_expired};

/// Years of a period, at most: what calendars of the field reach with room to spare.
pub const YEARS_MAX: u32 = 1_000;

/// How long something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// Without end.
    Forever,
    /// Calendar years.
    Years(u32),
    /// Calendar months.
    Months(u32),
    /// Seven days each.
    Weeks(u32),
    /// Calendar days.
    Days(u32),
}

/// A period that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no period: {problem}\nhint: a whole number and y, m, w or d, as in 7y, 6m, 2w or 90d; or forever"
)]
pub struct PeriodError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Period {
    /// The day on which a period that begins with `day` ends; nothing when it does not end within the calendar.
    #[must_use]
    pub fn after(self, day: Date) -> Option<Date> {
        day.checked_add(self.span()?).ok()
    }

    /// The day so long before.
    fn before(self, day: Date) -> Option<Date> {
        day.checked_sub(self.span()?).ok()
    }

    fn span(self) -> Option<Span> {
        let span = Span::new();
        match self {
            Self::Forever => None,
            Self::Years(count) => span.try_years(count).ok(),
            Self::Months(count) => span.try_months(count).ok(),
            Self::Weeks(count) => span.try_weeks(count).ok(),
            Self::Days(count) => span.try_days(count).ok(),
        }
    }

    /// Whether every event is kept at least as long by `self` as by `other`, whatever day it happened. A month has 28
    /// to 31 days, twelve of them 365 or 366: where the calendar can go either way, the answer is no.
    #[must_use]
    pub fn at_least(self, other: Self) -> bool {
        match (self.months(), other.months()) {
            (Some(ours), Some(theirs)) => ours >= theirs,
            _ => self.days().0 >= other.days().1,
        }
    }

    fn months(self) -> Option<u64> {
        match self {
            Self::Years(count) => Some(u64::from(count) * 12),
            Self::Months(count) => Some(u64::from(count)),
            Self::Forever | Self::Weeks(_) | Self::Days(_) => None,
        }
    }

    /// The fewest and the most days that it can have.
    fn days(self) -> (u64, u64) {
        // Of 400 Gregorian years 97 are leap years; eight years around 1900 hold none, and no four years hold two.
        let of_months = |months: u64| {
            let (years, rest) = (months / 12, months % 12);
            let fewest = years * 365 + (years * 97 / 400).saturating_sub(2) + rest * 28;
            let most = years * 365 + years / 4 + 1 + rest * 31;
            (fewest, most)
        };
        match self {
            Self::Forever => (u64::MAX, u64::MAX),
            Self::Years(count) => of_months(u64::from(count) * 12),
            Self::Months(count) => of_months(u64::from(count)),
            Self::Weeks(count) => (u64::from(count) * 7, u64::from(count) * 7),
            Self::Days(count) => (u64::from(count), u64::from(count)),
        }
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let error = |problem| PeriodError {
            text: text.chars().take(40).collect(),
            problem,
        };
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(error("it does not begin with a number"));
        }
        let number: u32 = number.parse().map_err(|_| error("it is too long"))?;
        let (period, years) = match unit {
            "y" => (Self::Years(number), u64::from(number)),
            "m" => (Self::Months(number), u64::from(number) / 12),
            "w" => (Self::Weeks(number), u64::from(number) / 52),
            "d" => (Self::Days(number), u64::from(number) / 365),
            "" => return Err(error("its unit is missing")),
            _ => return Err(error("its unit is none of y, m, w, d")),
        };
        if years > u64::from(YEARS_MAX) {
            return Err(error("it is too long: say forever"));
        }
        Ok(period)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forever => f.write_str("forever"),
            Self::Years(count) => write!(f, "{count}y"),
            Self::Months(count) => write!(f, "{count}m"),
            Self::Weeks(count) => write!(f, "{count}w"),
            Self::Days(count) => write!(f, "{count}d"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn periods_are_read_as_they_are_printed() {
        for text in ["7y", "6m", "2w", "90d", "0d", "forever"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
        for (text, part) in [
            ("", "number"),
            ("y", "number"),
            ("7", "unit is missing"),
            ("7 y", "none of"),
            ("-7y", "number"),
            ("99999999999y", "too long"),
            ("1001y", "forever"),
            ("7Y", "none of"),
            ("1h", "none of"),
        ] {
            let error = text.parse::<Period>().unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("hint:"),
                "{text}: {error}"
            );
        }
    }

    fn any_period() -> impl Strategy<Value = Period> {
        prop_oneof![
            (0u32..40).prop_map(Period::Years),
            (0u32..500).prop_map(Period::Months),
            (0u32..2000).prop_map(Period::Weeks),
            (0u32..15_000).prop_map(Period::Days),
            Just(Period::Forever),
        ]
    }

    proptest! {
        #[test]
        fn what_is_at_least_as_long_ends_no_earlier_on_any_day(a in any_period(), b in any_period(), day in -20_000i32..20_000) {
            let day = Date::constant(1970, 1, 1).checked_add(Span::new().days(day)).unwrap();
            if a.at_least(b) {
                let end = |period: Period| period.after(day).unwrap_or(Date::MAX);
                prop_assert!(end(a) >= end(b), "{a} {b} from {day}");
            }
            prop_assert!(a.at_least(a) || !matches!(a, Period::Years(_) | Period::Months(_)));
        }
    }
}
