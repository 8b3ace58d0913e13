//! The table of results.

use anyhow::{Result, ensure};

use crate::events::Events;

/// What a row must reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// The figure or ratio must be at least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

impl Goal {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(goal) => value >= goal,
            Self::AtMost(goal) => value <= goal,
        }
    }

    fn print(self) -> String {
        match self {
            Self::AtLeast(goal) => format!(">= {goal}"),
            Self::AtMost(goal) => format!("<= {goal}"),
        }
    }
}

/// One measured row.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// Our figure with its unit.
    pub(crate) ours: String,
    /// The figure it is held against, with its unit.
    pub(crate) other: String,
    /// What is judged: their ratio, or our figure by itself.
    pub(crate) judged: f64,
    /// What it must reach.
    pub(crate) goal: Goal,
}

/// Prints rows as they come.
pub(crate) struct Table {
    missed: usize,
}

impl Table {
    pub(crate) fn new(events: Option<&Events>) -> Self {
        if let Some(events) = events {
            println!("{}", events.describe());
        }
        println!(
            "{:<58} {:>18} {:>18} {:>9} {:>9}",
            "what", "Holdfast", "other", "judged", "goal"
        );
        Self { missed: 0 }
    }

    pub(crate) fn add(&mut self, row: &Row) {
        let met = row.goal.met(row.judged);
        self.missed += usize::from(!met);
        let mark = if met { "" } else { "  MISSED" };
        println!(
            "{:<58} {:>18} {:>18} {:>9.3} {:>9}{mark}",
            row.what,
            row.ours,
            row.other,
            row.judged,
            row.goal.print()
        );
    }

    pub(crate) fn finish(self) -> Result<()> {
        ensure!(self.missed == 0, "{} rows missed their goal", self.missed);
        Ok(())
    }
}
