//! Nodes in SQL: who is there, in which state, and who has died.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_schemas::event_type;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::NodeInfo;
use crate::args;
use crate::error::{ChatError, Result};
use crate::node::Node;
use crate::outbox::Draft;
use crate::outbox::lease::{pool_now_us, pool_now_within_us};

/// How often a node tells that it lives.
const BEAT: Duration = Duration::from_millis(500);
/// A node that has not for this long is down: its users go elsewhere.
pub const DEAD: Duration = Duration::from_millis(2500);

fn dead_us() -> i64 {
    i64::try_from(DEAD.as_micros()).unwrap_or(i64::MAX)
}

/// How this node is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Where clients connect.
    pub client_url: String,
    /// Where peers connect; empty when it is alone.
    pub peer: String,
}

/// Waits until nobody can live under this node's name: a run of it that was killed may have beaten just now. Answers that run,
/// which may be taken the name from.
///
/// # Errors
/// Another process goes on beating, or what the database says.
async fn wait_for_name(node: &Node) -> Result<String> {
    let (begin, mut last, mut beats) = (Instant::now(), None, 0);
    loop {
        let now_us = pool_now_us(&node.own_db, node.clock.as_ref()).await?;
        let sql =
            "select run_id, beat_us from nodes where id = $1 and state <> 'down' and beat_us >= $2";
        let rows = node
            .own_db
            .all(sql, args![&node.name, now_us - dead_us()])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(String::new());
        };
        let beat = (row.text(0)?, row.int(1)?);
        // One more beat may have been on its way when its process was killed.
        beats += u32::from(last.as_ref().is_some_and(|last| *last != beat));
        if beats > 1 {
            return Err(taken(&node.name));
        }
        // The time of beats is the pool's, which may stand still or jump.
        if begin.elapsed() >= DEAD {
            return Ok(beat.0);
        }
        last = Some(beat);
        tokio::time::sleep(BEAT / 2).await;
    }
}

fn taken(name: &str) -> ChatError {
    ChatError::Conflict {
        problem: format!("another process runs as node {name:?}: give each its own --node"),
    }
}

/// That the pool does not know this run of the node any more.
pub(crate) fn lost(name: &str) -> ChatError {
    ChatError::Conflict {
        problem: format!(
            "node {name:?} is another process by now, which was started while this one was not heard of, or the database was restored: this one ends"
        ),
    }
}

/// Enters this run of the node, and its `chat.node.started`.
///
/// # Errors
/// Another process lives under its name, or what the database says.
pub async fn register(node: &Node, address: &Address, standby: bool) -> Result<()> {
    let gone = wait_for_name(node).await?;
    let now_us = pool_now_us(&node.own_db, node.clock.as_ref()).await?;
    let mut tx = node.own_db.begin().await?;
    let state = if standby { "standby" } else { "active" };
    let entered = tx.execute(
        "insert into nodes (id, run_id, client_url, peer_address, state, lived_as, version, started_us, beat_us) values ($1, $2, $3, $4, $5, $5, $6, $7, $7) \
         on conflict (id) do update set run_id = excluded.run_id, client_url = excluded.client_url, peer_address = excluded.peer_address, \
         state = excluded.state, lived_as = excluded.lived_as, version = excluded.version, started_us = excluded.started_us, beat_us = excluded.beat_us \
         where nodes.state = 'down' or nodes.beat_us < $8 or nodes.run_id = $9",
        args![&node.name, &node.run_id, &address.client_url, &address.peer, state, env!("CARGO_PKG_VERSION"), now_us, now_us - dead_us(), &gone],
    )
    .await?;
    // Somebody was quicker.
    if entered == 0 {
        return Err(taken(&node.name));
    }
    let person = node.person();
    let started = Draft {
        event_type: event_type::NODE_STARTED,
        time_us: node.clock.now_us(),
        room: None,
        actor: Some(&person),
        data: json!({"node": node.name, "version": env!("CARGO_PKG_VERSION"), "run": node.run_id}),
    };
    node.commit(tx, vec![node.event(started)?]).await
}

/// Takes this run out, with its `chat.node.stopped`.
///
/// # Errors
/// What the database says.
pub async fn unregister(node: &Node, reason: &str) -> Result<()> {
    let mut tx = node.own_db.begin().await?;
    tx.execute(
        "update nodes set state = 'down' where id = $1 and run_id = $2",
        args![&node.name, &node.run_id],
    )
    .await?;
    let person = node.person();
    let stopped = Draft {
        event_type: event_type::NODE_STOPPED,
        time_us: node.clock.now_us(),
        room: None,
        actor: Some(&person),
        data: json!({"node": node.name, "reason": reason, "run": node.run_id}),
    };
    node.commit(tx, vec![node.event(stopped)?]).await
}

/// Beats, follows what administrators decide about this node, and notes nodes that died, until `end` fires or the node's name is lost.
pub async fn beat(node: Arc<Node>, end: CancellationToken) {
    loop {
        if let Err(error) = beat_once(&node).await {
            tracing::warn!(error = %error, "this node cannot tell the pool that it lives");
        }
        tokio::select! {
            () = tokio::time::sleep(BEAT) => {}
            () = end.cancelled() => return,
            () = node.name_lost.cancelled() => return,
        }
    }
}

/// One beat.
///
/// # Errors
/// What the database says.
pub async fn beat_once(node: &Arc<Node>) -> Result<()> {
    let mut tx = node.own_db.begin().await?;
    // A beat that a crash takes back is followed by the next one: posts need not wait for its sync.
    tx.relax().await?;
    let now_us = pool_now_within_us(&mut tx, node.clock.now_us()).await?;
    // Others may have taken it for dead: it lives all the same, and is what it was. If it sent its users to them, a moment in which everything is
    // slow would become a storm of logins.
    let sql = "update nodes set beat_us = $1, state = case when state = 'down' then lived_as else state end, \
               lived_as = case when state = 'down' then lived_as else state end where id = $2 and run_id = $3";
    let beaten = tx
        .execute(sql, args![now_us, &node.name, &node.run_id])
        .await?;
    tx.commit().await?;
    if beaten == 0 {
        node.name_lost.cancel();
        return Err(lost(&node.name));
    }
    let rows = node
        .own_db
        .all(
            "select id, run_id, client_url, state, beat_us, lived_as from nodes order by id",
            Vec::new(),
        )
        .await?;
    let mut nodes = Vec::with_capacity(rows.len());
    for row in &rows {
        let (id, run_id, mut state, beat_us) =
            (row.text(0)?, row.text(1)?, row.text(3)?, row.int(4)?);
        if id == node.name {
            if state == "down" {
                state = row.text(5)?;
            }
        } else if state != "down" && beat_us < now_us - dead_us() {
            note_death(node, &id, &run_id, beat_us).await?;
            state = "down".into();
        }
        nodes.push(NodeInfo {
            node: id,
            url: row.text(2)?,
            state,
        });
    }
    node.nodes_seen(nodes);
    Ok(())
}

/// Notes that a run of a node, last heard of at `beat_us`, is down. Of all nodes that see it, one does.
///
/// # Errors
/// What the database says.
pub async fn note_death(node: &Node, id: &str, run_id: &str, beat_us: i64) -> Result<()> {
    let mut tx = node.own_db.begin().await?;
    let sql = "update nodes set lived_as = state, state = 'down' where id = $1 and run_id = $2 and state <> 'down' and beat_us = $3";
    if tx.execute(sql, args![id, run_id, beat_us]).await? == 0 {
        return Ok(());
    }
    tracing::warn!(
        dead = id,
        "a node of the pool is down; its users go to the others"
    );
    let person = node.person();
    let failed = Draft {
        event_type: event_type::NODE_FAILED_OVER,
        time_us: node.clock.now_us(),
        room: None,
        actor: Some(&person),
        data: json!({"from": id, "to": node.name, "run": run_id, "last_beat": crate::model::time_text(beat_us)}),
    };
    node.commit(tx, vec![node.event(failed)?]).await
}

/// Names and addresses of the other nodes that live and can be dialed.
///
/// # Errors
/// What the database says.
pub async fn peers(node: &Node) -> Result<Vec<(String, String)>> {
    let now_us = pool_now_us(&node.db, node.clock.as_ref()).await?;
    let sql = "select id, peer_address from nodes where id <> $1 and state <> 'down' and beat_us >= $2 and peer_address <> ''";
    let rows = node
        .db
        .all(sql, args![&node.name, now_us - dead_us()])
        .await?;
    rows.iter()
        .map(|row| Ok((row.text(0)?, row.text(1)?)))
        .collect()
}
