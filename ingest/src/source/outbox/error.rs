//! Why an outbox cannot be read on. Each message says what was lost, if anything, and what to do.

/// The outbox cannot be read, or not without losing events.
#[derive(Debug, thiserror::Error)]
pub enum OutboxSourceError {
    /// The database does not answer, or not with what an outbox has.
    #[error(
        "the outbox in {database} cannot be read: {problem}\nhint: check the URL and that the database runs; a chat node makes the tables when it first starts; the user needs to read outbox and outbox_origins and to write outbox_readers. Nothing is lost or taken twice: positions are in the archive"
    )]
    Database {
        /// The database.
        database: String,
        /// What it says.
        problem: String,
    },
    /// Rows are gone that are not archived.
    #[error(
        "the outbox in {database} no longer holds sequences {first} to {last} of origin {origin} ({count} events), and they are not archived: their rows were deleted first\nhint: if a backup of the database has them, put the rows back and start again; else go on with --accept-loss {origin}:{first}-{last} (`holdfast verify --completeness` will name them as missing). What is before them is archived"
    )]
    Lost {
        /// The database.
        database: String,
        /// The origin.
        origin: String,
        /// First lost sequence.
        first: u64,
        /// Last lost sequence.
        last: u64,
        /// How many.
        count: u64,
    },
    /// An origin ends before the archive's position, and no newer incarnation explains it.
    #[error(
        "origin {origin} ends at sequence {last} in {database}, but sequence {position} is archived: the database was restored to an older state, or is another one\nhint: if it was restored, start the chat node on it first: it begins a new incarnation, whose events are then read (nothing archived is lost; what was posted after the backup and before the restore and is not archived is lost with the old database). If it is another database, correct the URL"
    )]
    Behind {
        /// The database.
        database: String,
        /// The origin.
        origin: String,
        /// Its last sequence.
        last: i64,
        /// The archive's position.
        position: i64,
    },
    /// An origin of this name began at another time than the archive's.
    #[error(
        "origin {origin} in {database} is not the one this archive was read from: it began at {found}, the archive's at {known}\nhint: it is another pool's database under the same name: correct the URL, or give the new pool a name of its own (holdfast-chat serve --pool NAME, on an empty database); its events would be taken for others that are archived under the same sequences"
    )]
    OtherOrigin {
        /// The database.
        database: String,
        /// The origin.
        origin: String,
        /// When it began.
        found: String,
        /// When the one that the archive knows began.
        known: String,
    },
    /// A sequence below 1, or an order that the database does not keep.
    #[error(
        "the outbox in {database} gives sequence {sequence} of origin {origin} after {after}\nhint: this is no outbox as docs/outbox-format.md describes it; nothing of it was archived beyond {after}"
    )]
    Disorder {
        /// The database.
        database: String,
        /// The origin.
        origin: String,
        /// The sequence found.
        sequence: i64,
        /// The one before.
        after: i64,
    },
}
