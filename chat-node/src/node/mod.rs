//! One running node: what every operation needs, passed as one `Arc`.

mod background;
mod connections;
mod metrics;
mod own_time;
mod repair;
mod start;

pub use connections::Connections;
pub use metrics::Metrics;
pub use start::{Running, StartError, start};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::auth::{FileTokens, Tokens};
use crate::clock::SharedClock;
use crate::db::{Db, Tx, in_time};
use crate::error::{ChatError, Result};
use crate::files::FileStore;
use crate::hub::{Farewell, Hub, Published};
use crate::model::{Entry, Person, RoomEvent, ServerFrame};
use crate::ops::users::UserCache;
use crate::outbox::{Draft, OutboxRow, insert, settle};
use crate::pool::{NodeInfo, Peers};
use crate::rate::UserRates;
use crate::settings::Limits;
use crate::wire::SharedFrame;
use crate::write::WriteQueue;

/// How the outbox stands, as the relay last saw it.
#[derive(Debug, Default)]
pub struct Backlog {
    /// Rows that are not delivered.
    pub rows: AtomicI64,
    /// When the oldest of them was written; 0 when there is none.
    pub oldest_us: AtomicI64,
    /// Whether this node is the pool's relay.
    pub leading: AtomicBool,
    /// What keeps the relay from delivering, for metrics and `/readyz`.
    pub blocked: AtomicBool,
    /// Partitions of the topic, 0 while unknown.
    pub topic_partitions: AtomicU32,
    /// Wakes the relay when rows were sequenced.
    pub sequenced: Notify,
}

impl Backlog {
    /// Partitions of the topic, once known.
    #[must_use]
    pub fn topic_partitions(&self) -> Option<u32> {
        Some(self.topic_partitions.load(Ordering::Relaxed)).filter(|count| *count > 0)
    }
}

/// A node.
#[derive(Debug)]
pub struct Node {
    /// Its name, unique in the pool.
    pub name: String,
    /// The pool's name.
    pub pool: String,
    /// The CloudEvents `source` of its events.
    pub source: String,
    /// One run of this process: another run of the same node has another.
    pub run_id: String,
    /// The content database.
    pub db: Db,
    /// Connections of the node's own: what tells the pool that it lives, and what leads the outbox, waits for no user.
    pub own_db: Db,
    /// The present.
    pub clock: SharedClock,
    /// Who listens to what.
    pub hub: Hub,
    /// Group commit.
    pub writes: WriteQueue,
    /// Ends it.
    pub writes_end: CancellationToken,
    /// Wakes the sequencer after a commit with events.
    pub sequence: Notify,
    /// Counters.
    pub metrics: Metrics,
    /// Bytes of files.
    pub files: FileStore,
    /// Checks bearer tokens.
    pub tokens: Tokens,
    /// Makes and checks tokens of files.
    pub file_tokens: FileTokens,
    /// What is configured.
    pub limits: Limits,
    /// How often users ask.
    pub rates: UserRates,
    /// Users seen lately.
    pub users: UserCache,
    /// The other nodes.
    pub peers: Peers,
    /// How the outbox stands.
    pub backlog: Backlog,
    /// Requests that may be worked on at a time.
    pub requests: Semaphore,
    /// Fires when the node stops taking users and requests.
    pub draining: CancellationToken,
    /// Fires when the pool does not know this run of the node any more: it must end.
    pub name_lost: CancellationToken,
    /// Live WebSocket connections.
    pub connections: Connections,
    /// The pool's nodes as last seen; this one's state decides whether it takes users.
    pub nodes: watch::Sender<Vec<NodeInfo>>,
}

impl Node {
    /// The node as the actor of what it does by itself.
    #[must_use]
    pub fn person(&self) -> Person {
        Person::system(&self.name)
    }

    /// Commits a transaction with its events, and wakes the sequencer. A commit that is not answered, or not in time, is looked up.
    ///
    /// # Errors
    /// What the database says: the transaction did not happen. Only when the database stays away too long for the looking up is that unknown
    /// ([`ChatError::Unavailable`], which says so), and for a transaction without events.
    pub async fn commit(&self, mut tx: Tx, events: Vec<OutboxRow>) -> Result<()> {
        let limit = self.limits.database_answer;
        let receipt = in_time(limit, insert(&mut tx, events)).await?;
        match (in_time(limit, tx.commit()).await, &receipt) {
            (Ok(()), _) => {}
            (Err(error), Some(receipt)) if !error.is_undone() => {
                settle(&self.db, &self.metrics, receipt, &error).await?;
            }
            (Err(error), _) => return Err(error),
        }
        self.sequence.notify_one();
        Ok(())
    }

    /// An event's row, from this node.
    ///
    /// # Errors
    /// It would be over 2 MiB.
    pub fn event(&self, draft: Draft<'_>) -> Result<OutboxRow> {
        draft.encode(&self.source)
    }

    /// Brings a committed entry to its room's subscribers, here and on other nodes.
    pub fn publish(self: &Arc<Self>, entry: &Entry, epoch: i64) {
        let mut encoded: Option<SharedFrame> = None;
        let mut frame = || {
            encoded
                .get_or_insert_with(|| ServerFrame::Message(entry).encode())
                .clone()
        };
        let outcome = self
            .hub
            .publish(&entry.room, entry.room_seq, epoch, &mut frame);
        self.peers
            .publish(&entry.room, entry.room_seq, epoch, &mut frame);
        match outcome {
            Published::NobodyListens | Published::Done => {}
            Published::Repair => self.spawn_repair(&entry.room),
        }
    }

    /// An entry that a peer published.
    pub fn publish_from_peer(
        self: &Arc<Self>,
        room: &str,
        room_seq: i64,
        epoch: i64,
        frame: &SharedFrame,
    ) {
        match self.hub.publish(room, room_seq, epoch, || frame.clone()) {
            Published::NobodyListens | Published::Done => {}
            Published::Repair => self.spawn_repair(room),
        }
    }

    /// Somebody may have lost the right to read a room: its listeners are judged anew, here and on other nodes.
    pub fn recheck(self: &Arc<Self>, room: &str, epoch: i64) {
        self.peers.recheck(room, epoch);
        self.recheck_here(room, epoch);
    }

    /// [`Node::recheck`] without telling peers.
    pub fn recheck_here(self: &Arc<Self>, room: &str, epoch: i64) {
        if self.hub.demand(room, 0, epoch) {
            self.spawn_repair(room);
        }
    }

    /// SQL holds entries of a room through `last_seq`: subscribers here must get them, whoever failed to bring them.
    pub fn catch_up(self: &Arc<Self>, room: &str, last_seq: i64, epoch: i64) {
        if self.hub.demand(room, last_seq, epoch) {
            self.spawn_repair(room);
        }
    }

    /// Tells a room's subscribers, here and on other nodes, something that has no place in its order.
    pub fn tell_room(&self, room: &str, event: RoomEvent<'_>) {
        let frame = ServerFrame::Event(event).encode();
        self.hub.tell(room, None, &frame);
        self.peers.tell(room, &frame);
    }

    /// Tells a user something, on whichever nodes they are connected.
    pub fn tell_user(&self, user: &str, event: RoomEvent<'_>) {
        let frame = ServerFrame::Event(event).encode();
        self.connections.tell_user(user, &frame);
        self.peers.tell_user(user, &frame);
    }

    /// Ends a user's connections, here and on other nodes.
    pub fn end_user(&self, user: &str) {
        self.users.forget(user);
        self.peers.end_user(user);
        self.end_user_here(user, Farewell::UserDisabled);
    }

    /// [`Node::end_user`] without telling peers.
    pub fn end_user_here(&self, user: &str, why: Farewell) {
        self.users.forget(user);
        self.connections.end_user(user, why);
    }

    /// What the pool looks like now; when this node no longer takes users, those it has are sent away.
    pub fn nodes_seen(&self, nodes: Vec<NodeInfo>) {
        let before = self.takes_users();
        if *self.nodes() == nodes {
            return;
        }
        let frame = ServerFrame::Nodes(&nodes).encode();
        self.nodes.send_replace(nodes);
        self.connections.tell_all(&frame);
        if before && !self.takes_users() {
            self.connections.end_all(Farewell::Draining);
        }
    }

    /// The pool's nodes, as this one last saw them.
    #[must_use]
    pub fn nodes(&self) -> watch::Ref<'_, Vec<NodeInfo>> {
        self.nodes.borrow()
    }

    /// Whether clients may connect here: the node is active and not on its way out.
    #[must_use]
    pub fn takes_users(&self) -> bool {
        !self.draining.is_cancelled() && self.state() == "active"
    }

    /// `active`, `standby` or `draining`, as this node last saw itself.
    #[must_use]
    pub fn state(&self) -> String {
        let nodes = self.nodes();
        let own = nodes.iter().find(|known| known.node == self.name);
        own.map_or_else(|| "active".into(), |own| own.state.clone())
    }

    /// Refuses posts when compliance is required and the outbox is not emptied (`compliance.required`).
    ///
    /// # Errors
    /// [`ChatError::Unavailable`].
    pub fn check_compliance(&self) -> Result<()> {
        match self.limits.compliance_backlog_max {
            Some(max) if self.backlog.rows.load(Ordering::Relaxed) > max => Err(ChatError::Unavailable {
                problem: "compliance is required here and its archive is behind; posting goes on when it has caught up".into(),
            }),
            Some(_) | None => Ok(()),
        }
    }
}
