//! The outbox: the SQL tables between a chat node, which writes them, and whoever archives events without a broker. `docs/outbox-format.md`
//! describes them; the names below are what both sides use.

mod complete;

pub use complete::{IncompleteEvent, complete, complete_into};

/// A table or column name of the contract.
pub type Name = &'static str;

/// Table of events: one row an event, written in the transaction of what it tells about.
pub const OUTBOX: Name = "outbox";
/// Table of origins: one row an incarnation of a pool's outbox.
pub const ORIGINS: Name = "outbox_origins";
/// Table of readers: how far each program that reads the outbox has archived it. The only one that readers write.
pub const READERS: Name = "outbox_readers";

/// One column: name, type in SQLite, type in PostgreSQL, and whether it may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Name,
    /// Declared type in SQLite.
    pub sqlite: &'static str,
    /// Type in PostgreSQL.
    pub postgres: &'static str,
    /// Whether it may be null.
    pub nullable: bool,
}

const fn column(
    name: Name,
    sqlite: &'static str,
    postgres: &'static str,
    nullable: bool,
) -> Column {
    Column {
        name,
        sqlite,
        postgres,
        nullable,
    }
}

/// Columns of [`OUTBOX`].
pub const OUTBOX_COLUMNS: [Column; 8] = [
    column("id", "integer", "bigint", false),
    column("room_id", "text", "text", true),
    column("event", "text", "text", false),
    column("created_us", "bigint", "bigint", false),
    column("origin", "text", "text", true),
    column("sequence", "bigint", "bigint", true),
    column("partition", "bigint", "bigint", true),
    column("delivered_us", "bigint", "bigint", true),
];

/// Columns of [`ORIGINS`].
pub const ORIGINS_COLUMNS: [Column; 7] = [
    column("origin", "text", "text", false),
    column("pool", "text", "text", false),
    column("incarnation", "bigint", "bigint", false),
    column("identity", "text", "text", false),
    column("last_sequence", "bigint", "bigint", false),
    column("digest", "text", "text", false),
    column("created_us", "bigint", "bigint", false),
];

/// Columns of [`READERS`].
pub const READERS_COLUMNS: [Column; 4] = [
    column("reader", "text", "text", false),
    column("origin", "text", "text", false),
    column("through_sequence", "bigint", "bigint", false),
    column("updated_us", "bigint", "bigint", false),
];

/// Origins with their last sequences and the times at which they began, oldest first. Same on both databases.
pub const SELECT_ORIGINS: &str =
    "select origin, last_sequence, created_us from outbox_origins order by pool, incarnation";

/// The next events of one origin: parameters are the origin, the last sequence already read, and how many rows. Same on both databases.
pub const SELECT_EVENTS: &str = "select sequence, event from outbox where origin = $1 and sequence > $2 order by sequence limit $3";

/// When the first event of one origin behind a sequence happened: parameters are the origin and the sequence. Same on both databases.
pub const SELECT_OLDEST: &str =
    "select created_us from outbox where origin = $1 and sequence > $2 order by sequence limit 1";

/// Rows that have no sequence yet: a reader that must drain the outbox waits until there are none. Same on both databases.
pub const COUNT_UNSEQUENCED: &str = "select count(*) from outbox where sequence is null";

/// A reader tells how far it has archived an origin: parameters are the reader's name, the origin, the sequence and the time in microseconds.
/// Rows beyond the smallest of these are never deleted. It never moves back. Same on both databases.
pub const UPSERT_READER: &str = "insert into outbox_readers (reader, origin, through_sequence, updated_us) values ($1, $2, $3, $4) \
     on conflict (reader, origin) do update set through_sequence = excluded.through_sequence, updated_us = excluded.updated_us \
     where outbox_readers.through_sequence <= excluded.through_sequence";
