//! The rows, in groups that share what they prepare.

pub(crate) mod chat;
mod governance;
mod growth;
mod ingest;
mod kafka;
mod scale;
mod search;

use std::path::Path;

use anyhow::{Context, Result};
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
    /// Rate over millions of events; memory with merges beside; commit time as a table grows
    Growth,
    /// Disposition, plans, the ledger and verification
    Governance,
    /// A table of 100,000 commits against one of 1,000 (minutes)
    Scale,
    /// Users connected to one chat node, and its memory
    ChatUsers,
    /// A chat pool under the published user models: post to delivery (minutes each)
    ChatModels,
    /// Posts a second that one chat node accepts, against pgbench and SQLite with the same statements
    ChatPosts,
    /// Latency of posts with compliance on, off, and Kafka down
    ChatCompliance,
    /// A chat node killed: until its users are back
    ChatKill,
}

impl Group {
    /// What is measured unless groups are named.
    pub(crate) fn usual() -> Vec<Self> {
        Self::value_variants()
            .iter()
            .copied()
            .filter(|group| {
                !matches!(
                    group,
                    Self::Scale
                        | Self::ChatUsers
                        | Self::ChatModels
                        | Self::ChatPosts
                        | Self::ChatCompliance
                        | Self::ChatKill
                )
            })
            .collect()
    }

    /// Whether its rows are measured with [`Events`].
    pub(crate) fn needs_events(self) -> bool {
        matches!(
            self,
            Self::Ingest | Self::Search | Self::Kafka | Self::Governance
        )
    }

    pub(crate) fn measure(self, given: &Given<'_>) -> Result<Vec<Row>> {
        let Given {
            folder,
            rounds,
            chat,
            ..
        } = *given;
        match self {
            Self::Ingest => ingest::measure(given.events()?, folder, rounds),
            Self::Search => search::measure(given.events()?, folder, rounds),
            Self::Kafka => kafka::measure(given.events()?, folder, rounds),
            Self::Growth => growth::measure(folder, rounds),
            Self::Governance => governance::measure(given.events()?, folder, rounds),
            Self::Scale => scale::measure(given.tables),
            Self::ChatUsers => chat::connected(folder, chat),
            Self::ChatModels => chat::models(folder, chat),
            Self::ChatPosts => chat::posts::measure(folder, rounds, chat),
            Self::ChatCompliance => chat::latency::measure(folder, chat),
            Self::ChatKill => chat::kill::measure(folder, rounds, chat),
        }
    }
}

/// What groups measure with.
#[derive(Debug)]
pub(crate) struct Given<'a> {
    pub(crate) events: Option<&'a Events>,
    /// Everything is made below this, but for [`Given::tables`].
    pub(crate) folder: &'a Path,
    /// The tables of `scale`: made when missing.
    pub(crate) tables: &'a Path,
    pub(crate) rounds: usize,
    pub(crate) chat: chat::Size,
}

impl Given<'_> {
    fn events(&self) -> Result<&Events> {
        self.events.context("no events were prepared")
    }
}
