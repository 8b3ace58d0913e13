//! What is copied: every table with its columns, in an order in which nothing refers to what is not there yet.

/// How a column's values are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Bool,
}

use Kind::{Bool, Int, Text};

/// A table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Columns, the ones of its key first.
    pub(super) columns: &'static [(&'static str, Kind)],
    /// How many columns its key has: rows are read and hashed in its order.
    pub(super) key: usize,
    /// The numbering column that the database would fill, if there is one.
    pub(super) identity: Option<&'static str>,
}

macro_rules! tables {
    ($($name:literal key $key:literal $(identity $identity:literal)?: $($column:literal $kind:ident),*;)*) => {
        /// All of them. Nodes and leases are not: they are of the old database.
        pub(super) const TABLES: &[Table] = &[$(Table {
            name: $name,
            columns: &[$(($column, $kind)),*],
            key: $key,
            identity: { let identity: Option<&'static str> = None; $(let identity = { let _ = identity; Some($identity) };)? identity },
        }),*];
    };
}

tables! {
    "users" key 1: "id" Text, "uri" Text, "name" Text, "email" Text, "internal" Bool, "kind" Text, "state" Text, "created_us" Int, "updated_us" Int;
    "user_groups" key 2: "user_id" Text, "group_id" Text;
    "categories" key 1: "id" Text, "name" Text, "name_key" Text, "allowed" Text, "denied" Text, "creators" Text, "invitations" Bool, "files" Bool,
        "history" Bool, "version" Int, "created_us" Int, "updated_us" Int;
    "rooms" key 1: "id" Text, "category_id" Text, "name" Text, "name_key" Text, "description" Text, "kind" Text, "privacy" Text,
        "invitations" Text, "addin_url" Text, "disabled" Bool, "last_seq" Int, "epoch" Int, "version" Int, "snapshot_due_us" Int,
        "created_us" Int, "updated_us" Int;
    "room_members" key 2: "room_id" Text, "user_id" Text, "role" Text, "added_us" Int;
    "messages" key 1 identity "row_id": "row_id" Int, "room_id" Text, "room_seq" Int, "id" Text, "action" Text, "author_id" Text, "kind" Text,
        "title" Text, "body" Text, "reply_to" Text, "attachments" Text, "mentions" Text, "client_id" Text, "time_us" Int, "edited_seq" Int,
        "deleted" Bool, "reason" Text;
    "message_versions" key 2: "message_id" Text, "room_seq" Int, "title" Text, "body" Text, "time_us" Int;
    "reactions" key 3: "message_id" Text, "user_id" Text, "value" Text, "time_us" Int;
    "files" key 1: "id" Text, "room_id" Text, "name" Text, "media_type" Text, "size" Int, "sha256" Text, "uploader_id" Text, "time_us" Int;
    "outbox_origins" key 1: "origin" Text, "pool" Text, "incarnation" Int, "identity" Text, "last_sequence" Int, "digest" Text, "created_us" Int;
    "outbox" key 1 identity "id": "id" Int, "room_id" Text, "event" Text, "created_us" Int, "origin" Text, "sequence" Int, "partition" Int,
        "delivered_us" Int;
    "outbox_readers" key 2: "reader" Text, "origin" Text, "through_sequence" Int, "updated_us" Int;
}
