//! `hold.place`, `hold.expand` and `hold.release`.

use serde::{Deserialize, Serialize};

use super::person::Identity;

/// A custodian as resolved when the hold was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custodian {
    /// As given.
    pub given: String,
    /// The person of `person.add`, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Every name of theirs that was known.
    pub identities: Vec<Identity>,
}

/// A room as resolved when the hold was placed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoomRef {
    /// Its id.
    pub id: String,
    /// Its name then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What a hold covers: custodians, rooms and categories widen, types, dates and query narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldScope {
    /// Whose messages, and what they could see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custodians: Vec<Custodian>,
    /// Which rooms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<RoomRef>,
    /// Which categories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Which event types; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// From here on, UTC microseconds, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_us: Option<i64>,
    /// Until here, UTC microseconds, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<i64>,
    /// A query, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The time zone of the query's dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// A hold begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldPlace {
    /// Unique name, for ever.
    pub name: String,
    /// Its matter.
    pub matter: String,
    /// What it covers.
    pub scope: HoldScope,
    /// Why.
    pub reason: String,
    /// The table version that names were resolved on.
    pub table_version: u64,
}

/// What a hold covers, as found at a disposition: it may grow, never shrink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldExpand {
    /// Which.
    pub name: String,
    /// The table version it was found on.
    pub table_version: u64,
    /// The scope with everything known of its custodians and rooms.
    pub scope: HoldScope,
    /// By room id: spans that a custodian could see, UTC microseconds, both ends included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<SeenRoom>,
}

/// What a custodian could see of a room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeenRoom {
    /// Its id.
    pub room: String,
    /// Spans, UTC microseconds, both ends included; `null` is open.
    pub spans_us: Vec<(Option<i64>, Option<i64>)>,
}

/// A hold ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRelease {
    /// Which.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Until when it holds all the same, UTC microseconds.
    pub holds_until_us: i64,
}
