//! Limits of a chat node, with their units in their names. Those of events are in `holdfast_schemas::limits`.

use std::time::Duration;

use crate::rate::Rate;

/// Characters of a room's or category's name.
pub const NAME_CHARS_MAX: usize = 256;
/// A room's description, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 4096;
/// Entries of one of a category's lists.
pub const LIST_ENTRIES_MAX: usize = 1000;
/// Users mentioned by one message.
pub const MENTIONS_MAX: usize = 100;
/// Attachments of one message. The contract allows more; a client that needs them sends a second message.
pub const MESSAGE_ATTACHMENTS_MAX: usize = 100;
/// A reaction's value, in bytes: an emoji with modifiers, or a short name.
pub const REACTION_BYTES_MAX: usize = 64;
/// A client's own id of a post, in bytes.
pub const CLIENT_ID_BYTES_MAX: usize = 128;
/// A reason for a deletion, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;
/// Entries of one page of history.
pub const HISTORY_PAGE_MAX: i64 = 500;
/// Text of one page of history, in bytes: with this much a page ends early.
pub const HISTORY_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Entries shown on join, when nothing else is asked for.
pub const HISTORY_PAGE_DEFAULT: i64 = 30;
/// Hits of one page of search.
pub const SEARCH_PAGE_MAX: i64 = 100;
/// Words and phrases of one search.
pub const SEARCH_TERMS_MAX: usize = 32;
/// Rooms of one page of a listing.
pub const LIST_PAGE_MAX: i64 = 500;
/// A JSON request body, in bytes: a story of the largest size with every character escaped fits.
pub const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A file, in bytes, unless configured otherwise: the 20,000 KB that the field is used to.
pub const FILE_BYTES_DEFAULT: u64 = 20_000 * 1024;
/// An upload of which nothing came for this long is given up.
pub const UPLOAD_SILENCE: Duration = Duration::from_secs(30);
/// How long a file's token is good for.
pub const FILE_TOKEN_LIFE: Duration = Duration::from_secs(30 * 60);
/// Requests worked on at a time; more wait for their turn.
pub const REQUESTS_AT_ONCE: usize = 1024;
/// Writes that wait for their batch, in all; more are answered 503.
pub const WRITES_QUEUED_MAX: usize = 16 * 1024;
/// Writes of one SQL transaction.
pub const BATCH_WRITES_MAX: usize = 256;
/// Frames that wait for one WebSocket's client; a client that is further behind is disconnected.
pub const FRAMES_QUEUED_MAX: usize = 256;
/// A frame from a client, in bytes.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Rooms that one WebSocket subscribes.
pub const SUBSCRIPTIONS_MAX: usize = 1000;
/// Subscriptions of one WebSocket that are worked on together, when they came together.
pub const SUBSCRIBED_AT_ONCE: usize = 64;
/// Frames a client may send.
pub const FRAMES: Rate = Rate::a_second(100);
/// HTTP requests a user may send to one node, unless configured otherwise.
pub const REQUESTS_DEFAULT: Rate = Rate::a_second(100);
/// WebSockets that one user may have to one node, unless configured otherwise: a person's devices and windows, and those that were lost and are not
/// given up yet.
pub const CONNECTIONS_DEFAULT: usize = 32;
/// How long the database gets for a batch of posts, and for a commit, unless configured otherwise.
pub const DATABASE_ANSWER_DEFAULT: Duration = Duration::from_secs(10);
/// Participants above which joins and leaves are no longer told to everybody…
pub const ROSTER_STOP: usize = 75;
/// …and under which they are again: 80 % of the former, so that one person at the border does not switch it to and fro.
pub const ROSTER_RESUME: usize = 60;
/// How long a message of a category without history is kept for clients that reconnect.
pub const RESUME_WINDOW: Duration = Duration::from_secs(3600);
