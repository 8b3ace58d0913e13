//! A commit that was not answered: did it happen? A post must be there or refused, never both.

use std::time::Duration;

use tokio::time::Instant;

use super::PostJob;
use super::context::Context;
use crate::args;
use crate::error::{ChatError, Result};
use crate::model::Entry;
use crate::node::Node;

/// How long the database is asked before those who posted are told that it is not known.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(100);

/// Whether the transaction that was to insert `fresh` happened.
///
/// # Errors
/// [`ChatError::Unavailable`]: the database cannot be asked, and it is not known. `error` itself, when there is nothing to ask for.
pub(super) async fn happened(
    node: &Node,
    posts: &[PostJob],
    fresh: &[Entry],
    error: ChatError,
) -> Result<bool> {
    let Some(one) = fresh.first() else {
        return Err(error);
    };
    tracing::warn!(error = %error, posts = fresh.len(), "a commit was not answered; looking whether it happened");
    let begun = Instant::now();
    loop {
        match look(node, posts, &one.id).await {
            Ok(happened) => return Ok(happened),
            Err(error) if begun.elapsed() >= PATIENCE => {
                tracing::error!(error = %error, posts = fresh.len(), "it is not known whether posts were written");
                return Err(ChatError::Unavailable {
                    problem: "the database does not answer, and it is not known whether this was posted; post again with the same client_id".into(),
                });
            }
            Err(_away) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// The rooms are locked first: as long as the transaction in doubt lives somewhere, it holds that lock, so that what is read behind it is final.
async fn look(node: &Node, posts: &[PostJob], id: &str) -> Result<bool> {
    let mut tx = node.db.begin().await?;
    Context::default().load_rooms(&mut tx, posts).await?;
    let found = tx
        .first(
            "select 1 from messages where id = $1 and action = 'posted'",
            args![id],
        )
        .await?;
    Ok(found.is_some())
}
