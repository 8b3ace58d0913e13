//! What stands around the hits: `--context N` messages or `--context 12h`, in the hit's room.
//!
//! A reply brings the root of its thread, which gets a window of its own. Windows with nothing between them are one. Everything
//! that happened in the room within a window belongs to it, joins and edits too; posted messages are what N counts.

mod source;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use holdfast_indexer::HitBatch;

use crate::output::duration;

pub use source::Source;

/// Messages before and after, at most.
const MESSAGES_MAX: u32 = 1_000;

/// How much context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// Messages before and after.
    Messages(u32),
    /// Time before and after, microseconds.
    Time(i64),
}

impl FromStr for Context {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return match text.parse() {
                Ok(n) if n <= MESSAGES_MAX => Ok(Self::Messages(n)),
                _ => Err(format!(
                    "at most {MESSAGES_MAX} messages before and after; give a duration like `12h` for more"
                )),
            };
        }
        let time: Duration = duration::parse(text).map_err(|_| {
            format!(
                "`{text}` is neither a number of messages, like `5`, nor a duration, like `12h`"
            )
        })?;
        i64::try_from(time.as_micros())
            .map(Self::Time)
            .map_err(|_| format!("`{text}` is too long"))
    }
}

impl std::fmt::Display for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Messages(n) => write!(f, "{n} messages"),
            Self::Time(us) => f.write_str(&duration::people(*us)),
        }
    }
}

/// A hit, or the root of a hit's thread, that a window is put around.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anchor {
    /// When, UTC microseconds.
    pub time_us: i64,
    /// The event.
    pub event_id: String,
}

/// A hit as the windows need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HitKey {
    /// The event.
    pub anchor: Anchor,
    /// Its room; a hit without one stands alone.
    pub room_id: Option<String>,
    /// The message it answers.
    pub reply_to: Option<String>,
}

impl HitKey {
    /// Of a row.
    #[must_use]
    pub fn of(event: &holdfast_schemas::Event<'_>) -> Self {
        Self {
            anchor: Anchor {
                time_us: event.time_us,
                event_id: event.id.to_string(),
            },
            room_id: event.room.id.as_deref().map(str::to_owned),
            reply_to: event.message.reply_to.as_deref().map(str::to_owned),
        }
    }
}

/// One event of a window.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The batch it lies in.
    pub batch: Arc<HitBatch>,
    /// Its row there.
    pub index: usize,
    /// Its key in the one order of everything.
    pub key: Anchor,
    /// Whether the query hit it.
    pub is_hit: bool,
}

/// Events of one room that follow each other.
#[derive(Debug, Clone)]
pub struct Window {
    /// In (event_time, event_id) order, never empty.
    pub entries: Vec<Entry>,
}

impl Window {
    /// A hit that stands in no room.
    #[must_use]
    pub fn alone(batch: &Arc<HitBatch>, index: usize, key: HitKey) -> Self {
        Self {
            entries: vec![Entry {
                batch: Arc::clone(batch),
                index,
                key: key.anchor,
                is_hit: true,
            }],
        }
    }

    /// Its place in the order of windows.
    #[must_use]
    pub fn first(&self) -> Option<&Anchor> {
        self.entries.first().map(|e| &e.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_parses() {
        assert_eq!("5".parse(), Ok(Context::Messages(5)));
        assert_eq!("12h".parse(), Ok(Context::Time(43_200_000_000)));
        for bad in ["", "five", "-1", "1.5h", "100000"] {
            assert!(bad.parse::<Context>().is_err(), "{bad}");
        }
    }
}
