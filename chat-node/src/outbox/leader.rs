//! The pool's leader: whoever holds the relay's lease sequences, relays, beats, and cleans up.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lease::{self, LIFE, Lease, RELAY, RENEW};
use super::origin::{self, MarkFile, Origin};
use super::sequencer::{self, Pass, PassContext};
use super::{relay, retention};
use crate::db::in_time;
use crate::error::{ChatError, Result};
use crate::node::Node;

/// How often a leader looks for rows that other nodes wrote.
const LOOK: Duration = Duration::from_millis(100);
/// After a pass, rows are left to gather for this long. A pass syncs the database's log, the mark's file and, later, Kafka's; a post that is committed
/// at the same time waits for that. With a pass every three seconds fewer than one post in a hundred does; and what comes alone is sequenced at once.
const GATHER: Duration = Duration::from_secs(3);
/// How often an origin tells that it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How often delivered rows are looked at for deletion.
const RETENTION: Duration = Duration::from_secs(600);

/// What leading needs beside the node.
#[derive(Debug, Clone)]
pub struct Leadership {
    /// The database's file, when it is one.
    pub sqlite_path: Option<PathBuf>,
    /// What is remembered outside of the database.
    pub mark: MarkFile,
    /// Kafka, when it is configured.
    pub kafka: Option<relay::KafkaSettings>,
    /// Delivered rows are kept for this long.
    pub safety_period: Duration,
}

/// Leads whenever the lease can be had, until `end` fires; then sequences what is there and gives the lease up.
pub async fn lead(node: Arc<Node>, leadership: Leadership, end: CancellationToken) {
    loop {
        let acquired = lease::acquire(&node.own_db, node.clock.as_ref(), RELAY, &node.run_id);
        match in_time(node.limits.database_answer, acquired).await {
            Ok(Some(lease)) => {
                node.backlog.leading.store(true, Ordering::Relaxed);
                tracing::info!(fence = lease.fence, "this node leads the pool's outbox");
                if let Err(error) = term(&node, &leadership, &lease, &end).await {
                    tracing::warn!(error = %error, "leading the outbox failed; trying again");
                }
                node.backlog.leading.store(false, Ordering::Relaxed);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %error, "the outbox's lease cannot be looked at"),
        }
        tokio::select! {
            () = tokio::time::sleep(RENEW) => {}
            () = end.cancelled() => return,
        }
    }
}

/// One term, until the lease is lost or the node ends.
async fn term(
    node: &Arc<Node>,
    leadership: &Leadership,
    lease: &Lease,
    end: &CancellationToken,
) -> Result<()> {
    let mark = &leadership.mark;
    let opening = open(node, leadership, lease);
    let Some(origin) = in_time(node.limits.database_answer, opening).await? else {
        return Ok(());
    };
    remember(mark, &origin).await?;
    let over = CancellationToken::new();
    let relay = leadership.kafka.clone().map(|kafka| {
        let (node, lease, over) = (Arc::clone(node), lease.clone(), over.clone());
        tokio::spawn(async move { relay::run(node, kafka, lease, over).await })
    });
    let cleaner = {
        let (node, lease, over, leadership) = (
            Arc::clone(node),
            lease.clone(),
            over.clone(),
            leadership.clone(),
        );
        tokio::spawn(async move { clean(&node, &leadership, &lease, &over).await })
    };
    let outcome = sequence(node, lease, origin, mark, end).await;
    over.cancel();
    for task in relay.into_iter().chain([cleaner]) {
        // A task that panicked has logged; the term ends all the same.
        let _ended = task.await;
    }
    // Before a new leader: it must find the lease free, not wait for it to run out.
    in_time(node.limits.database_answer, lease.release(&node.own_db)).await?;
    outcome
}

/// The origin to sequence with; `None`: another node has taken over.
async fn open(node: &Node, leadership: &Leadership, lease: &Lease) -> Result<Option<Origin>> {
    let identity = origin::identity(&node.own_db, leadership.sqlite_path.as_deref()).await?;
    let mut tx = node.own_db.begin().await?;
    if !lease.holds(&mut tx).await? {
        return Ok(None);
    }
    let mark = Some(&leadership.mark);
    let origin = origin::open(&mut tx, &node.pool, &identity, mark, node.clock.now_us()).await?;
    node.commit(tx, Vec::new()).await?;
    Ok(Some(origin))
}

async fn sequence(
    node: &Node,
    lease: &Lease,
    mut origin: Origin,
    mark: &MarkFile,
    end: &CancellationToken,
) -> Result<()> {
    let mut renewed = Instant::now();
    // The first heartbeat at once: a new leader tells that the origin lives.
    let mut beaten: Option<Instant> = None;
    loop {
        let ending = end.is_cancelled();
        let due = ending || beaten.is_none_or(|at| at.elapsed() >= HEARTBEAT);
        let context = PassContext {
            lease,
            partitions: node.backlog.topic_partitions(),
            heartbeat_source: due.then_some(node.source.as_str()),
            now_us: node.clock.now_us(),
        };
        let begun = Instant::now();
        let pass = in_time(
            node.limits.database_answer,
            sequencer::pass(&node.own_db, &mut origin, &context),
        );
        let Pass::Sequenced { rows, drained } = pass.await? else {
            return taken_over();
        };
        if rows > 0 {
            renewed = begun;
            remember(mark, &origin).await?;
            node.metrics.sequenced(rows);
            node.backlog.sequenced.notify_one();
            if !drained {
                continue;
            }
            if due {
                beaten = Some(begun);
            }
        } else if renewed.elapsed() >= RENEW {
            let renewing = lease.renew(&node.own_db, node.clock.as_ref());
            if !in_time(node.limits.database_answer, renewing).await? {
                return taken_over();
            }
            renewed = begun;
        }
        if ending {
            return Ok(());
        }
        if rows > 0 {
            match gather(node, lease, renewed, end).await? {
                Some(at) => renewed = at,
                None => return taken_over(),
            }
        } else {
            tokio::select! {
                () = end.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
                () = node.sequence.notified() => {}
            }
        }
    }
}

/// Lets rows gather, and the lease live on meanwhile. Answers when it was renewed last; nothing when another node has taken over.
async fn gather(
    node: &Node,
    lease: &Lease,
    mut renewed: Instant,
    end: &CancellationToken,
) -> Result<Option<Instant>> {
    let until = Instant::now() + GATHER;
    loop {
        let next = until.min(renewed + LIFE / 2);
        tokio::select! {
            () = end.cancelled() => return Ok(Some(renewed)),
            () = tokio::time::sleep_until(next) => {}
        }
        if Instant::now() >= until {
            return Ok(Some(renewed));
        }
        let begun = Instant::now();
        let renewing = lease.renew(&node.own_db, node.clock.as_ref());
        if !in_time(node.limits.database_answer, renewing).await? {
            return Ok(None);
        }
        renewed = begun;
    }
}

fn taken_over() -> Result<()> {
    tracing::warn!("another node has taken over the outbox");
    Ok(())
}

/// Writing a file waits for the disk: not on a thread that serves users.
async fn remember(mark: &MarkFile, origin: &Origin) -> Result<()> {
    let (mark, origin) = (mark.clone(), origin.clone());
    tokio::task::spawn_blocking(move || mark.write(&origin))
        .await
        .map_err(|error| ChatError::Internal(error.to_string()))?
}

async fn clean(node: &Node, leadership: &Leadership, lease: &Lease, over: &CancellationToken) {
    loop {
        let cleaning = retention::run(
            node,
            lease,
            leadership.kafka.is_some(),
            leadership.safety_period,
        );
        let outcome = tokio::select! {
            outcome = cleaning => outcome,
            () = over.cancelled() => return,
        };
        if let Err(error) = outcome {
            tracing::warn!(error = %error, "delivered events could not be deleted; trying again later");
        }
        tokio::select! {
            () = tokio::time::sleep(RETENTION) => {}
            () = over.cancelled() => return,
        }
    }
}
