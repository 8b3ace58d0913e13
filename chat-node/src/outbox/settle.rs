//! A commit that was not answered: did it happen? What was asked for must be done or refused, never both.
//!
//! Every transaction that somebody is answered for puts an event into the outbox, and is known by that row. A transaction in doubt may still live
//! in the server; it holds its row's key then, so that inserting the same key waits for its end.

use std::time::Duration;

use super::insert::Receipt;
use crate::args;
use crate::db::{Db, Dialect};
use crate::error::{ChatError, Result};
use crate::node::Metrics;

/// How long the database is asked before those who asked for something are told that it is not known.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(100);

/// Finds out whether the transaction with this receipt happened; it did when this returns well.
///
/// # Errors
/// [`ChatError::NotTaken`]: it did not happen, and will not. [`ChatError::Unavailable`]: the database cannot be asked, and it is not known.
pub(crate) async fn settle(
    db: &Db,
    metrics: &Metrics,
    receipt: &Receipt,
    error: &ChatError,
) -> Result<()> {
    tracing::warn!(error = %error, row = receipt.id, "a commit was not answered; looking whether it happened");
    let asked = async {
        loop {
            match happened(db, receipt).await {
                Ok(happened) => return happened,
                Err(error) => tracing::info!(error = %error, row = receipt.id, "not known yet"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    // A database may fail, or not answer at all.
    let happened = tokio::time::timeout(PATIENCE, asked).await.ok();
    metrics.settled(happened);
    match happened {
        Some(true) => Ok(()),
        Some(false) => Err(ChatError::NotTaken),
        None => {
            tracing::error!(
                row = receipt.id,
                "it is not known whether a transaction happened"
            );
            Err(ChatError::Unavailable {
                problem: "the database does not answer, and it is not known whether this was done; read what is there, or ask again: \
                          the same post with the same client_id is one, and so is the same PATCH or PUT"
                    .into(),
            })
        }
    }
}

async fn happened(db: &Db, receipt: &Receipt) -> Result<bool> {
    let mut tx = db.begin().await?;
    // SQLite has one writer, and this is it.
    if tx.dialect() == Dialect::Postgres {
        let sql = "insert into outbox (id, event, created_us) overriding system value values ($1, '', 0) on conflict (id) do nothing";
        if tx.execute(sql, args![receipt.id]).await? == 1 {
            // Rolled back, with the transaction.
            return Ok(false);
        }
    }
    let row = tx
        .first("select event from outbox where id = $1", args![receipt.id])
        .await?;
    Ok(row.map(|row| row.text(0)).transpose()?.as_ref() == Some(&receipt.event))
}
