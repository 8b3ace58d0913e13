//! The contract of Holdfast: compliance events, archive columns, hashes and limits. No I/O, no clock.

pub mod columns;
pub mod event;
pub mod event_type;
pub mod limits;

pub use event::{Actor, Attachment, Event, Intake, Message, Room, Row};
