//! Families: the unit of holding and disposal.
//!
//! | family | its events |
//! |---|---|
//! | a message | all its versions, deletion, replacement, reactions, and the uploads and downloads of its files |
//! | a state record | itself: what a room, a member, a person, a category or a node was from then on |
//! | anything else | itself |
//!
//! A message's events share the room and the message id; a file's events and the messages that carry it share the
//! file's id, so that they are one family, however many messages carry it. Families are told apart by a 64-bit hash of
//! these: two that collide are judged as one, which keeps both as long as the longer-lived, and never removes either.

mod class;
mod explains;
mod key;

pub use class::{Class, Subject, class_of, contract_class};
pub use explains::{Interval, KeptDays, Reach, Record, intervals};
pub use key::{Chain, Told, domain, file_key, keys_of, message_key};
