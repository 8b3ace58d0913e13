//! Group commit: posts that arrive while a transaction is being committed share the next one.
//!
//! ```text
//! request ─▶ queue of the room's shard (bounded) ─▶ batch of ≤ 256 ─▶ one transaction ─▶ answers, frames to subscribers and peers
//! ```
//!
//! A room always goes to the same shard, so that this node publishes its entries in their order. SQLite has one shard (it has one writer),
//! PostgreSQL several, so that one's disk sync overlaps with another's statements. Nothing here knows Kafka: CH-1.

mod batch;
mod context;
pub mod sql;
mod statements;

use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::Arc;

use rustc_hash::FxHasher;
use tokio::sync::{mpsc, oneshot};

use crate::error::{ChatError, Result};
use crate::limits::{BATCH_WRITES_MAX, WRITES_QUEUED_MAX};
use crate::model::{Caller, Entry, FileInfo, MessageKind};
use crate::node::Node;
use crate::outbox::OutboxRow;

/// A message that passed every check that needs no transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Its kind.
    pub kind: MessageKind,
    /// A story's title.
    pub title: Option<String>,
    /// Its text.
    pub body: String,
    /// Id of the message it answers.
    pub reply_to: Option<String>,
    /// Its files.
    pub attachments: Vec<FileInfo>,
    /// Users it mentions.
    pub mentions: Vec<String>,
    /// The client's own id of the post: the same one again is the same post.
    pub client_id: Option<String>,
}

/// A post, accepted.
#[derive(Debug, Clone)]
pub struct Posted {
    /// The entry as everybody sees it.
    pub entry: Entry,
    /// It was there already, under the same `client_id`.
    pub repeated: bool,
}

/// A message on its way into a batch.
#[derive(Debug)]
pub struct PostJob {
    /// The room.
    pub room_id: String,
    /// The author.
    pub caller: Arc<Caller>,
    /// The message.
    pub message: NewMessage,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<Posted>>,
}

/// One thing to be written.
#[derive(Debug)]
pub enum Job {
    /// A post.
    Post(Box<PostJob>),
    /// Events that change nothing else: joins, leaves, history viewed. They ride along with whatever is committed next.
    Events(Vec<OutboxRow>, Option<oneshot::Sender<Result<()>>>),
}

/// The queues.
#[derive(Debug)]
pub struct WriteQueue {
    shards: Vec<mpsc::Sender<Job>>,
}

/// The receiving ends, to be served by [`serve`].
#[derive(Debug)]
pub struct Inbox(Vec<mpsc::Receiver<Job>>);

impl WriteQueue {
    /// `shards` queues.
    #[must_use]
    pub fn new(shards: usize) -> (Self, Inbox) {
        let (senders, receivers) = (0..shards.max(1))
            .map(|_shard| mpsc::channel(WRITES_QUEUED_MAX / shards.max(1)))
            .unzip();
        (Self { shards: senders }, Inbox(receivers))
    }

    fn shard(&self, key: &str) -> &mpsc::Sender<Job> {
        let hash = BuildHasherDefault::<FxHasher>::default().hash_one(key);
        let index = usize::try_from(hash >> 40).unwrap_or(0) % self.shards.len();
        &self.shards[index]
    }

    fn send(&self, key: &str, job: Job) -> Result<()> {
        self.shard(key)
            .try_send(job)
            .map_err(|error| ChatError::Unavailable {
                problem: match error {
                    mpsc::error::TrySendError::Full(_) => {
                        "more is written than the database takes; try again later".into()
                    }
                    mpsc::error::TrySendError::Closed(_) => {
                        "this node is going away; use another".into()
                    }
                },
            })
    }

    /// Posts a message; answered after its commit.
    ///
    /// # Errors
    /// The queue is full, the caller may not, or the database failed. Only where it stays away too long to be asked may the
    /// post have happened all the same; the text says so, and `client_id` tells on repeating.
    pub async fn post(
        &self,
        room_id: &str,
        caller: Arc<Caller>,
        message: NewMessage,
    ) -> Result<Posted> {
        let (answer, answered) = oneshot::channel();
        self.send(
            room_id,
            Job::Post(Box::new(PostJob {
                room_id: room_id.to_owned(),
                caller,
                message,
                answer,
            })),
        )?;
        answered.await.map_err(|_gone| ChatError::Unavailable {
            problem: "this node is going away; use another".into(),
        })?
    }

    /// Writes events; answered after their commit.
    ///
    /// # Errors
    /// The queue is full, or the database failed.
    pub async fn events(&self, key: &str, rows: Vec<OutboxRow>) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.send(key, Job::Events(rows, Some(answer)))?;
        answered.await.map_err(|_gone| ChatError::Unavailable {
            problem: "this node is going away; use another".into(),
        })?
    }
}

/// Serves the queues until every sender is gone and the rest is written.
pub fn serve(node: &Arc<Node>, inbox: Inbox) -> Vec<tokio::task::JoinHandle<()>> {
    inbox
        .0
        .into_iter()
        .map(|jobs| tokio::spawn(serve_shard(Arc::clone(node), jobs)))
        .collect()
}

/// Writes batch after batch. What became of one is told, in order, while the next is written: the database does not wait for that.
async fn serve_shard(node: Arc<Node>, mut jobs: mpsc::Receiver<Job>) {
    let (written, mut to_tell) = mpsc::channel::<batch::Written>(1);
    let telling = tokio::spawn({
        let node = Arc::clone(&node);
        async move {
            while let Some(batch) = to_tell.recv().await {
                batch.tell(&node);
            }
        }
    });
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            received = jobs.recv_many(&mut batch, BATCH_WRITES_MAX) => if received == 0 { break },
            // After the signal nothing new is taken; what is queued is still written.
            () = node.writes_end.cancelled(), if !jobs.is_closed() => { jobs.close(); continue }
        }
        if written
            .send(batch::write(&node, batch).await)
            .await
            .is_err()
        {
            // Telling has panicked, and has logged.
            break;
        }
    }
    drop(written);
    let _ended = telling.await;
}
