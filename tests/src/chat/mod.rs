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

use std::time::Duration;

use holdfast_fixtures::chat::Person;
use serde_json::json;

mod node;
mod sink;
mod stage;
mod truth;

pub use node::ChatNode;
pub use sink::Sink;
pub use stage::{Kafka, Stage};
pub use truth::{Entry, Event, Truth};

/// A room that everybody may join, in a category of its own.
///
/// # Panics
/// The node refuses it.
pub async fn open_room(admin: &Person, name: &str) -> String {
    let category = admin.create_category("all", json!({})).await.unwrap();
    let settings = json!({"privacy": "open"});
    admin.create_room(name, &category, settings).await.unwrap()
}

/// Posts `count` messages, each of which must be accepted quickly; their ids.
///
/// # Panics
/// One is not.
pub async fn post_quickly(person: &Person, room: &str, count: usize, what: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        let body = format!("{what} {n}");
        let posted = person.post(room, &body, None);
        let posted = tokio::time::timeout(Duration::from_secs(5), posted).await;
        match posted {
            Ok(Ok(posted)) => ids.push(posted.id),
            Ok(Err(failure)) => panic!("{body}: {failure}"),
            Err(_elapsed) => panic!("{body}: the post waited"),
        }
    }
    ids
}
