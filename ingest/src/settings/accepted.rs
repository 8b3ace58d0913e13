//! Losses that the operator gave up, as the errors that named them print them.

use std::str::FromStr;

use super::SettingsError;

/// A range of offsets the operator gave up: `PARTITION:FIRST-LAST`, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedLoss {
    /// The partition.
    pub partition: i32,
    /// First lost offset.
    pub first: i64,
    /// Last lost offset.
    pub last: i64,
}

/// A range of sequences of an outbox the operator gave up: `ORIGIN:FIRST-LAST`, both inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedSequences {
    /// The origin.
    pub origin: String,
    /// First lost sequence.
    pub first: u64,
    /// Last lost sequence.
    pub last: u64,
}

impl AcceptedSequences {
    /// Whether these sequences of this origin were given up.
    #[must_use]
    pub fn covers(&self, origin: &str, first: u64, last: u64) -> bool {
        self.origin == origin && self.first <= first && last <= self.last
    }
}

/// The parts of `PLACE:FIRST-LAST`. A place may have colons in it.
fn parts<N: FromStr + PartialOrd>(text: &str) -> Option<(&str, N, N)> {
    let (place, range) = text.rsplit_once(':')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (!place.is_empty() && first <= last).then_some((place, first, last))
}

fn wrong(text: &str, problem: &str, hint: &str) -> SettingsError {
    SettingsError::Value {
        what: "accept-loss",
        value: text.to_owned(),
        problem: problem.to_owned(),
        hint: format!("{hint}, as the error that named the loss prints it"),
    }
}

impl FromStr for AcceptedLoss {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            let (partition, first, last) = parts::<i64>(text)?;
            let partition = partition.parse().ok()?;
            (partition >= 0 && first >= 0).then_some(Self {
                partition,
                first,
                last,
            })
        };
        parsed().ok_or_else(|| {
            wrong(
                text,
                "it is not a partition and a range of offsets",
                "PARTITION:FIRST-LAST, both offsets included",
            )
        })
    }
}

impl FromStr for AcceptedSequences {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            let (origin, first, last) = parts::<u64>(text)?;
            (first > 0).then(|| Self {
                origin: origin.to_owned(),
                first,
                last,
            })
        };
        parsed().ok_or_else(|| {
            wrong(
                text,
                "it is not an origin and a range of sequences",
                "ORIGIN:FIRST-LAST, both sequences included",
            )
        })
    }
}
