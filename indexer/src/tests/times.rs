//! Random dates in several zones, and the instants that they stand for: worked out with the offsets that those zones have
//! around the corpora.

use jiff::civil::{Date, date};
use jiff::tz::{Offset, TimeZone};
use proptest::prelude::*;

use super::corpus::YEAR_END_US;

/// A zone of queries: its name, none for a plain offset, and seconds east of UTC around the corpora.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zone(&'static str, i32);

const UTC: Zone = Zone("UTC", 0);

/// One of them begins its days two seconds late, so that midnight lies within the corpora as it does in UTC.
const ZONES: [Zone; 5] = [
    UTC,
    Zone("Asia/Tokyo", 9 * 3_600),
    Zone("America/New_York", -5 * 3_600),
    Zone("Asia/Kathmandu", 5 * 3_600 + 45 * 60),
    Zone("", -2),
];

pub(super) fn zone() -> impl Strategy<Value = Zone> {
    prop_oneof![2 => Just(UTC), 3 => prop::sample::select(ZONES.to_vec())]
}

impl Zone {
    pub(super) fn time_zone(self) -> TimeZone {
        match self {
            Zone("", seconds) => TimeZone::fixed(Offset::from_seconds(seconds).unwrap()),
            Zone(name, _) => TimeZone::get(name).unwrap(),
        }
    }
}

/// How a time is compared.
#[derive(Debug, Clone, Copy)]
enum How {
    Within,
    Before,
    Until,
    After,
    From,
}

/// `date>2020-12-31` and its like.
#[derive(Debug, Clone)]
pub(super) struct When {
    /// As written.
    pub(super) text: String,
    received: bool,
    how: How,
    span: Span,
}

/// From the first second of these, microseconds of UTC, until before the other.
type Span = (i64, i64);

impl When {
    /// Whether an event of that time, taken in at the other, is meant. A span is compared by its nearer end, as "both ends
    /// inclusive" wants it.
    pub(super) fn holds(&self, event_us: i64, ingest_us: i64) -> bool {
        let at = if self.received { ingest_us } else { event_us };
        let (from_us, to_us) = self.span;
        match self.how {
            How::Within => from_us <= at && at < to_us,
            How::Before => at < from_us,
            How::Until => at < to_us,
            How::After => to_us <= at,
            How::From => from_us <= at,
        }
    }
}

const EPOCH: Date = date(1970, 1, 1);

fn day_number(day: Date) -> i64 {
    day.duration_since(EPOCH).as_hours() / 24
}

/// What somebody writes who means the second that is so many after the year's end, and the span of it.
fn written(form: usize, seconds: i64, offset: i64) -> (String, Span) {
    let utc = YEAR_END_US / 1_000_000 + seconds;
    let at = utc + if form == 7 { 0 } else { offset };
    let (day, second) = (at.div_euclid(86_400), at.rem_euclid(86_400));
    let shown = EPOCH.checked_add(jiff::Span::new().days(day)).unwrap();
    let clock = format!("{:02}:{:02}", second / 3_600, second / 60 % 60);
    let whole = format!("{shown}T{clock}:{:02}", second % 60);
    let us = |local_seconds: i64| (local_seconds - offset) * 1_000_000;
    let days = |from: Date, to: Date| {
        let start = |day| us(day_number(day) * 86_400);
        (start(from), start(to))
    };
    let (year, month) = (shown.first_of_year(), shown.first_of_month());
    let plus = |from: Date, span: jiff::Span| from.checked_add(span).unwrap();
    let one = jiff::Span::new();
    match form {
        0 => (
            shown.to_string()[..4].to_owned(),
            days(year, plus(year, one.years(1))),
        ),
        1 => (
            shown.to_string()[..7].to_owned(),
            days(month, plus(month, one.months(1))),
        ),
        2 | 3 => (shown.to_string(), days(shown, plus(shown, one.days(1)))),
        4 => {
            let from = us(at - at.rem_euclid(60));
            (format!("{shown}T{clock}"), (from, from + 60_000_000))
        }
        5 => {
            let from = us(at) + 500_000;
            (format!("{whole}.5"), (from, from + 100_000))
        }
        7 => (
            format!("{whole}Z"),
            (utc * 1_000_000, (utc + 1) * 1_000_000),
        ),
        _ => (whole, (us(at), us(at + 1))),
    }
}

/// A date or time of ingest in the neighbourhood of the corpora.
pub(super) fn when(zone: Zone) -> impl Strategy<Value = When> {
    let offset = i64::from(zone.1);
    let name = prop::sample::select(vec!["date", "date", "DATE", "sent", "received"]);
    let one = || (0..9_usize, -4..5_i64);
    (name, 0..7_usize, one(), one()).prop_map(move |(name, operator, first, second)| {
        let received = name == "received";
        // Rows are taken in ten seconds after the year's end.
        let written =
            |(form, seconds)| written(form, if received { seconds + 10 } else { seconds }, offset);
        let (mut a, mut b) = (written(first), written(second));
        if a.1.0 >= b.1.1 {
            std::mem::swap(&mut a, &mut b);
        }
        let (how, text) = match operator {
            0 => (How::Within, format!("{name}:{}", a.0)),
            1 => (How::Within, format!("{name}={}", a.0)),
            2 => (How::Before, format!("{name}<{}", a.0)),
            3 => (How::Until, format!("{name}<={}", a.0)),
            4 => (How::After, format!("{name}>{}", a.0)),
            5 => (How::From, format!("{name}>={}", a.0)),
            _ => (How::Within, format!("{name}:{}..{}", a.0, b.0)),
        };
        let to_us = if operator == 6 { b.1.1 } else { a.1.1 };
        When {
            text,
            received,
            how,
            span: (a.1.0, to_us),
        }
    })
}
