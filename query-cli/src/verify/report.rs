//! What verification looked at and what it found wrong.

use serde::Serialize;

use super::completeness::Completeness;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Which check found it.
    pub check: &'static str,
    /// File, commit, position or origin.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

/// One kind of check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// How many things it looked at.
    pub checked: u64,
    /// What they are: `segments`, `events`.
    pub unit: &'static str,
    /// How many of them are wrong.
    pub problems: u64,
    /// What else is worth knowing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// All of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The version that was verified.
    pub version: u64,
    /// Each check once.
    pub checks: Vec<Check>,
    /// How far everything is captured, when that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completeness: Option<Completeness>,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Enters a check with its problems.
    pub fn enter(
        &mut self,
        name: &'static str,
        checked: u64,
        unit: &'static str,
        note: Option<String>,
        problems: Vec<Problem>,
    ) {
        let count = problems.len() as u64;
        self.checks.push(Check {
            name,
            checked,
            unit,
            problems: count,
            note,
        });
        self.problems.extend(problems);
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}
