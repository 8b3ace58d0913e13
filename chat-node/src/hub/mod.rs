//! Who listens to which room on this node, and what they have been sent: CH-2, every subscriber sees a room's entries in order, without gap or
//! repeat.
//!
//! Each room with subscribers has a channel that has delivered every entry through `last_seq`. An entry that is published is
//!
//! | its room_seq | then |
//! |---|---|
//! | `last_seq + 1` | delivered |
//! | smaller | a repeat: ignored |
//! | greater | a gap: SQL is the truth, [`Hub::publish`] answers [`Published::Repair`] and somebody reads the missing ones from there |
//!
//! While a repair runs, publishing only remembers how far it must come. The same way a channel whose room changed its `epoch` (somebody may have
//! lost the right to read) delivers nothing until its subscribers were judged anew.
//!
//! A subscriber that still reads old entries from SQL is not live: it becomes so under the channel's lock, when it has read as far as the channel
//! delivered, and then skips what it has already read.
//!
//! Whoever is put out of a room is dismissed first: from then on it gets nothing, and whoever dismissed it, nobody else, writes that it left and
//! takes it out. Until then its connection cannot join anew, so that a leave is written before the next join. A subscriber whose join is not written
//! yet is only marked: its connection finds that when the writing is done, and leaves.
//!
//! | the subscriber | its connection leaves | it is dismissed |
//! |---|---|---|
//! | is arriving | taken out | marked: its connection takes it out |
//! | has arrived | taken out | marked: the dismissing one takes it out |
//! | has arrived and is dismissed | nothing, somebody else does | nothing, somebody else does |
//!
//! Queues are bounded ([`crate::limits::FRAMES_QUEUED_MAX`]); whoever does not take frames in time is disconnected. A frame is encoded once and
//! shared by all. It is queued under the lock, which makes the order, and sent after it: of the system's calls, the lock waits for at most the one that
//! a connection is in.

mod channel;
mod delivery;
mod farewell;
mod outlet;
mod roster;

pub use channel::{Listener, Published};
pub use delivery::{Delivery, deliver};
pub use farewell::Farewell;
pub use outlet::Outlet;
pub use roster::roster_open;

use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHasher};

use crate::model::Caller;
use crate::wire::SharedFrame;
use channel::{Channel, Leaving};

const SHARDS: usize = 64;

type Shard = FxHashMap<Arc<str>, Channel>;

/// All channels of this node.
#[derive(Debug)]
pub struct Hub {
    shards: Vec<Mutex<Shard>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_shard| Mutex::default()).collect(),
        }
    }
}

/// What a new subscriber finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The room had no subscriber on this node before: peers must hear that it has one now.
    pub first_here: bool,
    /// The same user was not there before, on this node.
    pub new_participant: bool,
    /// Participants of this node, the new one included.
    pub participants: usize,
}

/// What a subscriber leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// Nobody of this node listens any more: peers must hear that.
    pub last_here: bool,
    /// The user has no other subscription to the room on this node.
    pub participant_gone: bool,
    /// Participants left on this node.
    pub participants: usize,
}

impl Hub {
    fn shard(&self, room: &str) -> MutexGuard<'_, Shard> {
        let hash = BuildHasherDefault::<FxHasher>::default().hash_one(room);
        // The high bits: the map inside uses the low ones.
        let index = usize::try_from(hash >> 58).unwrap_or(0) % SHARDS;
        // Nothing that panics runs under the lock; a poisoned one is as good.
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a subscriber that is not live, and whose join is not written yet. `last_seq` and `epoch` are what SQL said about the room just before.
    pub fn join(&self, room: &str, last_seq: i64, epoch: i64, listener: Listener) -> Arrival {
        let mut shard = self.shard(room);
        let first_here = !shard.contains_key(room);
        let channel = shard
            .entry(Arc::from(room))
            .or_insert_with(|| Channel::new(last_seq, epoch));
        let new_participant = channel.join(listener);
        Arrival {
            first_here,
            new_participant,
            participants: channel.participants(),
        }
    }

    /// A subscriber that has read through `cursor` becomes live, unless the channel has delivered more: then `false`, and it must read on.
    /// Also `false` when the subscription is gone.
    #[must_use]
    pub fn go_live(&self, room: &str, connection: u64, cursor: i64) -> bool {
        self.shard(room)
            .get_mut(room)
            .is_some_and(|channel| channel.go_live(connection, cursor))
    }

    /// The event of a join is written. `false`: the subscriber was dismissed meanwhile, and its connection must leave.
    #[must_use]
    pub fn arrived(&self, room: &str, connection: u64) -> bool {
        self.shard(room)
            .get_mut(room)
            .is_some_and(|channel| channel.arrived(connection))
    }

    /// Puts a subscriber out: it gets nothing more. `Some`: the caller, and nobody else, writes that it left, and then calls
    /// [`Hub::leave_dismissed`]. `None`: it is not there, somebody else does it, or its connection will when its join is written.
    #[must_use]
    pub fn dismiss(&self, room: &str, connection: u64) -> Option<Listener> {
        self.shard(room).get_mut(room)?.dismiss(connection)
    }

    /// Whether this connection is subscribed, or was dismissed and is not taken out yet: then it cannot join.
    #[must_use]
    pub fn holds(&self, room: &str, connection: u64) -> bool {
        self.shard(room)
            .get(room)
            .is_some_and(|channel| channel.holds(connection))
    }

    /// Whether this connection is subscribed.
    #[must_use]
    pub fn listens(&self, room: &str, connection: u64) -> bool {
        self.shard(room)
            .get(room)
            .is_some_and(|channel| channel.listens(connection))
    }

    /// Takes a subscriber out, for its connection; `None` when it was not there, or was dismissed and is taken out by somebody else.
    pub fn leave(&self, room: &str, connection: u64) -> Option<Departure> {
        self.take_out(room, connection, Leaving::ByItself)
    }

    /// Takes a subscriber out, for whoever got it from [`Hub::dismiss`].
    pub fn leave_dismissed(&self, room: &str, connection: u64) -> Option<Departure> {
        self.take_out(room, connection, Leaving::Dismissed)
    }

    fn take_out(&self, room: &str, connection: u64, leaving: Leaving) -> Option<Departure> {
        let mut shard = self.shard(room);
        let channel = shard.get_mut(room)?;
        let participant_gone = channel.leave(connection, leaving)?;
        let participants = channel.participants();
        let last_here = channel.is_empty();
        if last_here {
            shard.remove(room);
        }
        Some(Departure {
            last_here,
            participant_gone,
            participants,
        })
    }

    /// Delivers the entry at `room_seq`, or tells why not yet. `frame` is made only when somebody listens.
    pub fn publish(
        &self,
        room: &str,
        room_seq: i64,
        epoch: i64,
        frame: impl FnOnce() -> SharedFrame,
    ) -> Published {
        deliver(|delivery| match self.shard(room).get_mut(room) {
            Some(channel) => channel.publish(room_seq, epoch, frame, delivery),
            None => Published::NobodyListens,
        })
    }

    /// Demands that the channel is brought up to `through` and judged anew for `epoch`, if it has to be; whether somebody must start a repair.
    #[must_use]
    pub fn demand(&self, room: &str, through: i64, epoch: i64) -> bool {
        self.shard(room)
            .get_mut(room)
            .is_some_and(|channel| channel.demand(through, epoch))
    }

    /// What a repair has to do: the last entry delivered, whether listeners must be judged for another epoch, and who they are.
    #[must_use]
    pub fn repair_state(&self, room: &str) -> Option<RepairState> {
        let shard = self.shard(room);
        let channel = shard.get(room)?;
        Some(RepairState {
            last_seq: channel.last_seq(),
            judged_epoch: channel.judged_epoch(),
            listeners: channel.listeners(),
        })
    }

    /// Listeners were judged for `epoch`; those who lost the right must have been put out with [`Hub::dismiss`] before.
    pub fn judged(&self, room: &str, epoch: i64) {
        if let Some(channel) = self.shard(room).get_mut(room) {
            channel.judged(epoch);
        }
    }

    /// Delivers entries that a repair read from SQL, in order.
    pub fn deliver_repaired(&self, room: &str, entries: Vec<(i64, SharedFrame)>) {
        deliver(|delivery| {
            if let Some(channel) = self.shard(room).get_mut(room) {
                for (room_seq, frame) in entries {
                    channel.deliver_repaired(room_seq, &frame, delivery);
                }
            }
        });
    }

    /// Ends a repair that has read through `through` (what SQL held); `false`: more was demanded meanwhile, it must go on.
    #[must_use]
    pub fn end_repair(&self, room: &str, through: i64) -> bool {
        self.shard(room)
            .get_mut(room)
            .is_none_or(|channel| channel.end_repair(through))
    }

    /// A repair failed; the next publish or demand starts another.
    pub fn abandon_repair(&self, room: &str) {
        if let Some(channel) = self.shard(room).get_mut(room) {
            channel.abandon_repair();
        }
    }

    /// Sends a frame that has no place in the room's order (a roster, an event) to all of a room's subscribers, except to one.
    pub fn tell(&self, room: &str, except: Option<u64>, frame: &SharedFrame) {
        deliver(|delivery| {
            if let Some(channel) = self.shard(room).get(room) {
                channel.tell(except, frame, delivery);
            }
        });
    }

    /// Whether the room's roster changes are told to everybody now, after it changed to `participants` in the whole pool.
    #[must_use]
    pub fn roster_told(&self, room: &str, participants: usize) -> bool {
        self.shard(room)
            .get_mut(room)
            .is_some_and(|channel| channel.roster_told(participants))
    }

    /// Whether anybody of this node is subscribed to the room.
    #[must_use]
    pub fn is_heard(&self, room: &str) -> bool {
        self.shard(room).contains_key(room)
    }

    /// Participants of a room on this node.
    #[must_use]
    pub fn participants(&self, room: &str) -> usize {
        self.shard(room).get(room).map_or(0, Channel::participants)
    }

    /// Rooms that have subscribers here, each with the last entry delivered and the participants. Goes through all of them: for a link that comes
    /// up.
    #[must_use]
    pub fn rooms(&self) -> Vec<(Arc<str>, i64, usize)> {
        let mut rooms = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            rooms.extend(shard.iter().map(|(room, channel)| {
                (Arc::clone(room), channel.last_seq(), channel.participants())
            }));
        }
        rooms
    }
}

/// What a repair has to do.
#[derive(Debug)]
pub struct RepairState {
    /// The last entry delivered.
    pub last_seq: i64,
    /// The epoch that listeners were judged for.
    pub judged_epoch: i64,
    /// Each connection that is not dismissed, with its caller.
    pub listeners: Vec<(u64, Arc<Caller>)>,
}

#[cfg(test)]
mod tests;
