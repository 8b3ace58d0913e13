//! A chat node's SQL outbox: compliance events without a broker between. `docs/outbox-format.md` is the contract.
//!
//! Positions `outbox/<origin>` (last sequence archived) come from the table and move in the commit of the rows. Sequences are dense, so that
//! nothing has to be guessed:
//!
//! | what the outbox holds | what the source does |
//! |---|---|
//! | position + 1 and on, without a hole | reads it, oldest incarnation first, a bounded page at a time |
//! | a hole, or a first row beyond position + 1, that another source has archived | passes over it; the position moves |
//! | a hole, or a first row beyond position + 1 | commits what is before it, stops hard and names what is lost, unless it was accepted |
//! | an origin that ends below the position | stops hard, unless a newer incarnation explains it |
//! | an origin of this name that began at another time | stops hard: it is another database |
//! | the table has another position than this process | another process reads this outbox into this archive: stands by until it rests |
//! | nothing for now | looks again, ever more rarely, at least four times a second |
//! | no answer | connects again, ever more rarely; sequences tell where to go on |
//!
//! No statement is open while the source waits for the pipeline: on SQLite it would keep the node's write-ahead log from being reset, on
//! PostgreSQL rows from being vacuumed. The one statement that writes tells the node how far the archive has come (`outbox_readers`), after the
//! commit. It may fail without harm: rows are kept longer then.

mod collect;
mod database;
mod error;
mod lag;
mod origins;
mod read;
mod reader;
mod standby;
mod told;
mod url;

pub use error::OutboxSourceError;
pub use url::OutboxUrl;

use self::reader::Reader;
use super::{Feed, Source, SourceError};
use crate::settings::OutboxSettings;

/// Reads the outbox of a chat pool.
#[derive(Debug)]
pub struct OutboxSource {
    url: OutboxUrl,
    settings: OutboxSettings,
    until_idle: bool,
}

impl OutboxSource {
    /// A source that has not connected yet.
    #[must_use]
    pub fn new(url: OutboxUrl, settings: OutboxSettings, until_idle: bool) -> Self {
        Self {
            url,
            settings,
            until_idle,
        }
    }
}

impl Source for OutboxSource {
    fn run(self: Box<Self>, feed: Feed) -> Result<(), SourceError> {
        Reader::new(self.url, self.settings, self.until_idle, feed)?.run()
    }
}
