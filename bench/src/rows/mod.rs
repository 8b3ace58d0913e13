//! The rows, in groups that share what they prepare.

mod governance;
mod growth;
mod ingest;
mod kafka;
mod scale;
mod search;

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

use crate::events::Events;
use crate::table::Row;

pub(crate) use governance::raw_verify;
pub(crate) use scale::prepare as prepare_scale;

/// Rows that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Ingest of JSON lines against the raw libraries and PostgreSQL; bytes on disk; memory
    Ingest,
    /// `search WORD --count` against PostgreSQL
    Search,
    /// Ingest from Kafka against JSON lines; time from produce to searchable
    Kafka,
    /// Rate over millions of events; commit time as a table grows
    Growth,
    /// Disposition, plans, the ledger and verification
    Governance,
    /// A table of 100,000 commits against one of 1,000 (minutes)
    Scale,
}

impl Group {
    /// What is measured unless groups are named.
    pub(crate) fn usual() -> Vec<Self> {
        Self::value_variants()
            .iter()
            .copied()
            .filter(|group| *group != Self::Scale)
            .collect()
    }

    /// Measures its rows. Everything is made below `folder`, but for the tables of `scale`.
    pub(crate) fn measure(
        self,
        events: &Events,
        folder: &Path,
        tables: &Path,
        rounds: usize,
    ) -> Result<Vec<Row>> {
        match self {
            Self::Ingest => ingest::measure(events, folder, rounds),
            Self::Search => search::measure(events, folder, rounds),
            Self::Kafka => kafka::measure(events, folder, rounds),
            Self::Growth => growth::measure(folder),
            Self::Governance => governance::measure(events, folder, rounds),
            Self::Scale => scale::measure(tables),
        }
    }
}
