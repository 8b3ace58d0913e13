//! The pool: nodes that share a database and hand each other their rooms' messages.
//!
//! Every node dials every other; whoever dials publishes, whoever accepts tells the rooms it has subscribers for:
//!
//! ```text
//! chat-1 ──dials──▶ chat-2     ▶ published messages, rechecks, rosters     ◀ rooms with subscribers on chat-2
//! chat-1 ◀──dials── chat-2     ◀ the same the other way round
//! ```
//!
//! Links lose messages when they break or their queue is full. That is no harm: SQL is the truth. A gap is read from there at the next message,
//! and [`gaps`] looks for rooms whose last message was lost.

mod door;
mod frame;
pub mod gaps;
mod handshake;
mod line;
mod link;
mod peers;
pub mod registry;

pub use door::{Door, accept};
pub use frame::NodeInfo;
pub use link::dial_all;
pub use peers::Peers;
