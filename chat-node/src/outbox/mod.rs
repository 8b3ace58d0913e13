//! From a committed row to the archive's door: rows are written by operations, sequenced by the pool's leader, produced to Kafka by its relay or
//! read from SQL, and deleted when nobody can need them.
//!
//! | step | in a transaction with | guarded by |
//! |---|---|---|
//! | [`insert`] | what the event tells about | |
//! | sequencing ([`sequencer`]) | the origin's `last_sequence` and digest | the lease's fence, `unique (origin, sequence)` |
//! | producing ([`relay`]) | nothing: it may happen again, with the same sequence and partition | Kafka's idempotent producer within a session |
//! | marking delivered | | the fence |
//! | deleting ([`retention`]) | | the fence, the safety period, the readers' positions |
//!
//! A leader that was paused and goes on when another has taken over (a zombie) can only produce rows again; everything it would change in SQL
//! fails on the fence.

mod event;
mod insert;
mod leader;
pub mod lease;
pub mod origin;
mod partition;
pub mod relay;
pub mod retention;
pub mod sequencer;
mod settle;
mod status;

pub use event::{Draft, EventRoom, OutboxRow};
pub use insert::{Receipt, insert, insert_sql};
pub use leader::{Leadership, lead};
pub use origin::MarkFile;
pub use partition::partition_for;
pub(crate) use settle::settle;
pub use status::watch_backlog;
