//! A message through the whole path, to see that the path is there: post, commit, outbox. It is posted like any other, by whoever asks, into a room
//! that they may post in, and its text says what it is.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;

use super::check_admin;
use crate::error::Result;
use crate::model::Caller;
use crate::node::Node;
use crate::ops::messages::{NewPost, post};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Synthetic {
    /// The message.
    pub id: String,
    /// Its place.
    pub room_seq: i64,
    /// From asking to the commit, in milliseconds.
    pub milliseconds: f64,
    /// The node that did it.
    pub node: String,
}

/// Posts one.
///
/// # Errors
/// Whatever stands in the way of posting.
pub async fn synthetic(node: &Node, caller: &Arc<Caller>, room_id: &str) -> Result<Synthetic> {
    check_admin(caller)?;
    let begun = Instant::now();
    let body = format!("synthetic test message by node {}", node.name);
    let posted = post(
        node,
        caller,
        room_id,
        NewPost {
            body,
            ..NewPost::default()
        },
    )
    .await?;
    Ok(Synthetic {
        id: posted.entry.id,
        room_seq: posted.entry.room_seq,
        milliseconds: begun.elapsed().as_secs_f64() * 1000.0,
        node: node.name.clone(),
    })
}
