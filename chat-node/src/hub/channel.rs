//! One room's subscribers on this node. Called under the shard's lock: nothing here waits.

use std::sync::Arc;

use super::{Delivery, Outlet, roster_open};
use crate::model::Caller;
use crate::wire::SharedFrame;

/// A subscriber.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The connection's number on this node.
    pub connection: u64,
    /// The way to it.
    pub outlet: Arc<Outlet>,
    /// Who it is: judged anew when the room's epoch changes.
    pub caller: Arc<Caller>,
    /// The connection's name in events.
    pub session: Arc<str>,
    /// The device that the client named.
    pub endpoint: Option<Arc<str>>,
}

/// What became of a published entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// No subscriber on this node.
    NobodyListens,
    /// Delivered, known already, or a running repair will deliver it.
    Done,
    /// Entries before it are missing here, or listeners must be judged: the caller starts a repair.
    Repair,
}

/// Who takes a subscriber out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Its connection.
    ByItself,
    /// Whoever dismissed it.
    Dismissed,
}

#[derive(Debug)]
struct Subscription {
    listener: Listener,
    /// `Some`: live, and has everything through this.
    cursor: Option<i64>,
    /// The event of its join is written.
    arrived: bool,
    /// It is put out of the room: it gets nothing more, and is here only until that is written.
    dismissed: bool,
}

impl Subscription {
    fn hears(&self) -> bool {
        !self.dismissed
    }

    /// Whether it is the connection's own to take it out. What has arrived and was dismissed belongs to whoever dismissed it.
    fn is_its_own(&self) -> bool {
        !(self.arrived && self.dismissed)
    }
}

#[derive(Debug)]
pub(super) struct Channel {
    subscriptions: Vec<Subscription>,
    last_seq: i64,
    /// What must be delivered before a repair may end.
    target_seq: i64,
    judged_epoch: i64,
    target_epoch: i64,
    repairing: bool,
    roster_open: bool,
}

impl Channel {
    pub(super) fn new(last_seq: i64, epoch: i64) -> Self {
        Self {
            subscriptions: Vec::new(),
            last_seq,
            target_seq: last_seq,
            judged_epoch: epoch,
            target_epoch: epoch,
            repairing: false,
            roster_open: true,
        }
    }

    /// Whether the user was not there before.
    pub(super) fn join(&mut self, listener: Listener) -> bool {
        let new = !self.has_user(listener.caller.id());
        self.subscriptions.push(Subscription {
            listener,
            cursor: None,
            arrived: false,
            dismissed: false,
        });
        new
    }

    fn find(&mut self, connection: u64) -> Option<&mut Subscription> {
        self.subscriptions
            .iter_mut()
            .find(|s| s.listener.connection == connection)
    }

    /// The event of the join is written; `false` when it was dismissed before.
    pub(super) fn arrived(&mut self, connection: u64) -> bool {
        self.find(connection).is_some_and(|subscription| {
            subscription.arrived = !subscription.dismissed;
            subscription.arrived
        })
    }

    /// Who was dismissed; `None` when it is not the caller's to take the subscriber out.
    pub(super) fn dismiss(&mut self, connection: u64) -> Option<Listener> {
        let subscription = self.find(connection)?;
        let already = std::mem::replace(&mut subscription.dismissed, true);
        (subscription.arrived && !already).then(|| subscription.listener.clone())
    }

    fn has_user(&self, user: &str) -> bool {
        self.subscriptions
            .iter()
            .any(|s| s.listener.caller.id() == user)
    }

    /// Whether the user is gone with it; `None` when the connection was not subscribed, or somebody else takes it out.
    pub(super) fn leave(&mut self, connection: u64, leaving: Leaving) -> Option<bool> {
        let index = self
            .subscriptions
            .iter()
            .position(|s| s.listener.connection == connection)?;
        if self.subscriptions[index].is_its_own() != (leaving == Leaving::ByItself) {
            return None;
        }
        let gone = self.subscriptions.swap_remove(index);
        Some(!self.has_user(gone.listener.caller.id()))
    }

    pub(super) fn go_live(&mut self, connection: u64, cursor: i64) -> bool {
        // While a repair runs, entries through `target_seq` exist; whoever has them all may be live.
        if cursor < self.last_seq {
            return false;
        }
        match self.find(connection) {
            Some(subscription) if subscription.hears() => {
                subscription.cursor = Some(cursor);
                true
            }
            Some(_) | None => false,
        }
    }

    pub(super) fn listens(&self, connection: u64) -> bool {
        self.subscriptions
            .iter()
            .any(|s| s.listener.connection == connection && s.hears())
    }

    pub(super) fn holds(&self, connection: u64) -> bool {
        self.subscriptions
            .iter()
            .any(|s| s.listener.connection == connection)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// Distinct users. Rooms whose roster is told are small; in large ones a user with two devices counts twice, which decides nothing there.
    pub(super) fn participants(&self) -> usize {
        if self.subscriptions.len() > 4 * crate::limits::ROSTER_STOP {
            return self.subscriptions.len();
        }
        let mut users: Vec<&str> = self
            .subscriptions
            .iter()
            .map(|s| s.listener.caller.id())
            .collect();
        users.sort_unstable();
        users.dedup();
        users.len()
    }

    pub(super) fn last_seq(&self) -> i64 {
        self.last_seq
    }

    pub(super) fn judged_epoch(&self) -> i64 {
        self.judged_epoch
    }

    pub(super) fn listeners(&self) -> Vec<(u64, Arc<Caller>)> {
        self.subscriptions
            .iter()
            .filter(|s| s.hears())
            .map(|s| (s.listener.connection, Arc::clone(&s.listener.caller)))
            .collect()
    }

    pub(super) fn publish(
        &mut self,
        room_seq: i64,
        epoch: i64,
        frame: impl FnOnce() -> SharedFrame,
        delivery: &mut Delivery,
    ) -> Published {
        if room_seq <= self.last_seq {
            return Published::Done;
        }
        if self.repairing || room_seq > self.last_seq + 1 || epoch > self.judged_epoch {
            return if self.demand(room_seq, epoch) {
                Published::Repair
            } else {
                Published::Done
            };
        }
        self.deliver(room_seq, &frame(), delivery);
        Published::Done
    }

    /// Whether somebody must start a repair.
    pub(super) fn demand(&mut self, through: i64, epoch: i64) -> bool {
        self.target_seq = self.target_seq.max(through);
        self.target_epoch = self.target_epoch.max(epoch);
        let needed = self.target_seq > self.last_seq || self.target_epoch > self.judged_epoch;
        let start = needed && !self.repairing;
        self.repairing |= start;
        start
    }

    fn deliver(&mut self, room_seq: i64, frame: &SharedFrame, delivery: &mut Delivery) {
        for subscription in &mut self.subscriptions {
            if subscription.hears()
                && let Some(cursor) = &mut subscription.cursor
                && *cursor < room_seq
            {
                *cursor = room_seq;
                delivery.queue(&subscription.listener.outlet, frame);
            }
        }
        self.last_seq = room_seq;
        self.target_seq = self.target_seq.max(room_seq);
    }

    /// Entries that a purge took away leave holes: what SQL does not hold any more is not waited for.
    pub(super) fn deliver_repaired(
        &mut self,
        room_seq: i64,
        frame: &SharedFrame,
        delivery: &mut Delivery,
    ) {
        if room_seq > self.last_seq {
            self.deliver(room_seq, frame, delivery);
        }
    }

    pub(super) fn judged(&mut self, epoch: i64) {
        self.judged_epoch = self.judged_epoch.max(epoch);
    }

    pub(super) fn end_repair(&mut self, through: i64) -> bool {
        self.last_seq = self.last_seq.max(through);
        if self.target_seq > self.last_seq || self.target_epoch > self.judged_epoch {
            return false;
        }
        self.repairing = false;
        true
    }

    pub(super) fn abandon_repair(&mut self) {
        self.repairing = false;
    }

    pub(super) fn tell(&self, except: Option<u64>, frame: &SharedFrame, delivery: &mut Delivery) {
        for subscription in &self.subscriptions {
            if subscription.hears() && Some(subscription.listener.connection) != except {
                delivery.queue(&subscription.listener.outlet, frame);
            }
        }
    }

    pub(super) fn roster_told(&mut self, participants: usize) -> bool {
        self.roster_open = roster_open(self.roster_open, participants);
        self.roster_open
    }
}
