//! The contract of Holdfast: compliance events, archive columns, hashes and limits. No I/O, no clock.

pub mod canonical;
pub mod columns;
pub mod decode;
pub mod event;
pub mod event_type;
pub mod hash;
pub mod json;
pub mod ledger;
pub mod limits;
pub mod merkle;
mod normalise;
pub mod outbox;

pub mod quarantine;
pub mod time;

pub use event::{Actor, Attachment, Event, Intake, Message, Room, Row};
pub use hash::EventHash;
pub use json::DecodeError;
