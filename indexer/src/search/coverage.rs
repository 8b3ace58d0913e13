//! What a result speaks of, and what it could not see.

use serde::{Deserialize, Serialize};

/// The coverage statement of a search or count (promise SE-1): enough to ask again, and to know what is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Version of the archive that was searched: rows archived by later commits are left out.
    pub version: u64,
    /// Segments whose split answered.
    pub segments_searched: u64,
    /// Segments without a usable split, read row by row instead.
    pub segments_scanned: u64,
    /// Of the scanned ones those whose split opens and is damaged inside. Left out when there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub segments_damaged: u64,
    /// Segments whose year and statistics rule out every row.
    pub segments_pruned: u64,
    /// Events of that version in all these segments.
    pub events_considered: u64,
    /// Attachments of the events in the segments searched and scanned: their content is not searched, only their names.
    pub attachments_not_searchable: u64,
    /// Attachments whose bytes are not in the archive yet.
    pub attachments_pending: u64,
    /// Attachments of the archive whose events give no SHA-256: their bytes can be neither archived nor verified. Left out when there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attachments_undigested: u64,
    /// Zone in which dates of the query are days.
    pub time_zone: String,
    /// The query as understood, participants expanded.
    pub query: String,
    /// Whether words had to occur with the diacritics they are written with.
    #[serde(default)]
    pub exact_diacritics: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes references.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Coverage {
    /// Of a lookup, which states nothing.
    pub(crate) fn of_lookup(version: u64) -> Self {
        Self {
            version,
            segments_searched: 0,
            segments_scanned: 0,
            segments_damaged: 0,
            segments_pruned: 0,
            events_considered: 0,
            attachments_not_searchable: 0,
            attachments_pending: 0,
            attachments_undigested: 0,
            time_zone: String::new(),
            query: String::new(),
            exact_diacritics: false,
        }
    }
}
