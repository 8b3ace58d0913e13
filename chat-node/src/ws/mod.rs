//! WebSocket at `/v1/ws`.
//!
//! | from the client | |
//! |---|---|
//! | `{"subscribe": {"room", "after_seq"?, "history"?, "endpoint"?}}` | joins; entries after `after_seq`, or the last `history` (30) ones, then live |
//! | `{"unsubscribe": {"room"}}` | leaves |
//! | `{"post": {"room", "kind"?, "title"?, "body", "reply_to"?, "attachments"?, "mentions"?, "client_id"}}` | posts |
//! | `{"ack": {"room", "room_seq"}}` | has seen through this: kept for nothing, so that clients may say it and servers may use it |
//!
//! | from the node | |
//! |---|---|
//! | `{"nodes": [{"node", "url", "state"}]}` | first, and whenever the pool changes |
//! | `{"joined": {"room", "last_seq", "role", "participants", "history"}}` | answers `subscribe`; entries follow |
//! | `{"message": Entry}` | an entry, in the room's order |
//! | `{"ack": {"client_id", "id", "room_seq", "time", "repeated"}}` | answers `post`, after the commit |
//! | `{"event": {"kind", …}}` | roster, invitation, reaction, removal, purge |
//! | `{"error": {"of", "room"?, "client_id"?, "status", "detail"}}` | answers what was refused |

mod connection;
mod frame;
mod leave;
mod participation;
mod post;
mod put_out;
mod roster;
mod subscribe;
pub(crate) mod upgrade;

pub use put_out::{NO_LONGER, put_out};
pub use roster::tell_roster;

use utoipa::OpenApi;

/// The frames, for the OpenAPI document.
#[derive(Debug, OpenApi)]
#[openapi(components(schemas(frame::ClientFrame, crate::model::ServerFrame)))]
pub(crate) struct Frames;
