//! Chat nodes, their database, their broker and their archive as processes, and what SQL says about what must have arrived.
//!
//! | type | what it is |
//! |---|---|
//! | [`Stage`] | a pool's folder, secret, database and topic; starts nodes and makes people |
//! | [`ChatNode`] | one `holdfast-chat serve`: started, awaited, killed, stopped in its tracks |
//! | [`Truth`] | content and outbox as SQL holds them, and the checks against an archive |
//! | [`Sink`] | an archive and the `holdfast-ingest` processes that fill it |
//!
//! The client side (people, WebSockets, logs) is [`holdfast_fixtures::chat`].

mod node;
mod sink;
mod stage;
mod truth;

pub use node::ChatNode;
pub use sink::Sink;
pub use stage::{Kafka, Stage};
pub use truth::{Entry, Event, Truth};
