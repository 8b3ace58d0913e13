//! Every limit of the contract, with its unit in its name.

/// An encoded event, as produced to Kafka.
pub const EVENT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A message body, and a title.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Names, ids, URIs and other short text.
pub const NAME_BYTES_MAX: usize = 1024;
/// Attachments of one event.
pub const ATTACHMENTS_MAX: usize = 1000;
/// Nesting of arrays and objects in an event.
pub const JSON_DEPTH_MAX: usize = 64;
