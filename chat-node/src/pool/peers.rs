//! The links of this node, and what goes out over them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use rustc_hash::FxHashSet;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::frame::Frame;
use crate::hub::Hub;
use crate::model::Author;
use crate::wire::SharedFrame;

/// Lines that wait for a link. A full queue drops: the peer reads what it missed from SQL.
pub(super) const LINES_QUEUED_MAX: usize = 8192;

#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) lines: mpsc::Sender<Utf8Bytes>,
    /// Rooms with subscribers there.
    pub(super) interests: FxHashSet<String>,
    /// Which link it is: a broken one must not take its successor's place.
    pub(super) number: u64,
}

/// What a node said over a link about who is there.
#[derive(Debug)]
pub(super) struct Roster {
    /// Which link it is: one that ends must not take away what its successor said, and says nothing more.
    pub(super) link: u64,
    /// Participants of rooms; rooms without any are not there.
    pub(super) participants: HashMap<String, usize>,
}

#[derive(Debug, Default)]
pub(super) struct Links {
    /// By the name of the node that was dialed.
    pub(super) outgoing: HashMap<String, Outgoing>,
    /// To nodes that dialed, for our interests.
    pub(super) incoming: HashMap<u64, mpsc::UnboundedSender<Utf8Bytes>>,
    /// Participants of rooms on other nodes, by the name of the node that dialed.
    pub(super) rosters: HashMap<String, Roster>,
    next: u64,
}

impl Links {
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A link by which `peer` will tell its participants.
    pub(super) fn begin_roster(&mut self, peer: &str, link: u64) {
        let participants = HashMap::new();
        self.rosters
            .insert(peer.to_owned(), Roster { link, participants });
    }

    /// It has so many in a room.
    pub(super) fn note_roster(&mut self, peer: &str, link: u64, room: &str, participants: usize) {
        let Some(roster) = self.rosters.get_mut(peer).filter(|r| r.link == link) else {
            return;
        };
        if participants == 0 {
            roster.participants.remove(room);
        } else {
            roster.participants.insert(room.to_owned(), participants);
        }
    }

    /// The link ended.
    pub(super) fn end_roster(&mut self, peer: &str, link: u64) {
        if self.rosters.get(peer).is_some_and(|r| r.link == link) {
            self.rosters.remove(peer);
        }
    }

    fn to_all(&self, frame: &Frame<'_>) {
        if self.outgoing.is_empty() {
            return;
        }
        let Some(encoded) = line(frame) else { return };
        for link in self.outgoing.values() {
            let _missed = link.lines.try_send(encoded.clone());
        }
    }
}

/// Other nodes of the pool.
#[derive(Debug, Default)]
pub struct Peers {
    links: Mutex<Links>,
}

fn line(frame: &Frame<'_>) -> Option<Utf8Bytes> {
    match serde_json::to_string(frame) {
        Ok(text) => Some(Utf8Bytes::from(text)),
        Err(error) => {
            tracing::error!(error = %error, "a frame for peers cannot be encoded");
            None
        }
    }
}

impl Peers {
    pub(super) fn links(&self) -> MutexGuard<'_, Links> {
        // Nothing that panics runs under the lock; a poisoned one is as good.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of nodes with a link that is up.
    #[must_use]
    pub fn linked(&self) -> Vec<String> {
        self.links().outgoing.keys().cloned().collect()
    }

    /// Hands an entry to the nodes that have subscribers of its room.
    pub fn publish(
        &self,
        room: &str,
        room_seq: i64,
        epoch: i64,
        frame: impl FnOnce() -> SharedFrame,
    ) {
        let links = self.links();
        let wanted: Vec<&Outgoing> = links
            .outgoing
            .values()
            .filter(|link| link.interests.contains(room))
            .collect();
        if wanted.is_empty() {
            return;
        }
        let frame = frame();
        let Ok(raw) = serde_json::from_str::<&RawValue>(frame.text()) else {
            return;
        };
        let Some(encoded) = line(&Frame::Publish {
            room: room.to_owned(),
            room_seq,
            epoch,
            frame: raw,
        }) else {
            return;
        };
        for link in wanted {
            // Full or closed: SQL has it.
            let _missed = link.lines.try_send(encoded.clone());
        }
    }

    /// Hands a frame that has no place in a room's order to the nodes that have subscribers of it. What gets lost with a link stays lost: clients see the
    /// state itself when they ask.
    pub fn tell(&self, room: &str, frame: &SharedFrame) {
        let links = self.links();
        let wanted = links
            .outgoing
            .values()
            .filter(|link| link.interests.contains(room));
        let mut encoded = None;
        for link in wanted {
            let made = encoded.get_or_insert_with(|| {
                let frame = serde_json::from_str::<&RawValue>(frame.text()).ok()?;
                line(&Frame::Tell {
                    room: room.to_owned(),
                    frame,
                })
            });
            if let Some(text) = made {
                let _missed = link.lines.try_send(text.clone());
            }
        }
    }

    /// Hands a frame for one user to every node: nobody knows where they are.
    pub fn tell_user(&self, user: &str, frame: &SharedFrame) {
        if let Ok(frame) = serde_json::from_str::<&RawValue>(frame.text()) {
            self.to_all(&Frame::TellUser {
                user: user.to_owned(),
                frame,
            });
        }
    }

    fn to_all(&self, frame: &Frame<'_>) {
        self.links().to_all(frame);
    }

    /// A room's listeners must be judged anew, everywhere.
    pub fn recheck(&self, room: &str, epoch: i64) {
        self.to_all(&Frame::Recheck {
            room: room.to_owned(),
            epoch,
        });
    }

    /// A user's connections end, everywhere.
    pub fn end_user(&self, user: &str) {
        self.to_all(&Frame::EndUser {
            user: user.to_owned(),
        });
    }

    /// How many participants a room has here now, and who came or went. Counted under the lock that orders the lines: of changes at the same time,
    /// the line that comes last tells how it is after both.
    pub fn roster(&self, hub: &Hub, room: &str, user: Option<Author>, joined: bool) {
        let links = self.links();
        if links.outgoing.is_empty() {
            return;
        }
        links.to_all(&Frame::Roster {
            room: room.to_owned(),
            participants: hub.participants(room),
            user,
            joined,
        });
    }

    /// Participants of a room on the other nodes.
    #[must_use]
    pub fn participants(&self, room: &str) -> usize {
        self.links()
            .rosters
            .values()
            .filter_map(|roster| roster.participants.get(room))
            .sum()
    }

    /// A room has its first subscriber here, or lost its last: which of both is looked up under the lock that orders the lines.
    pub fn interest(&self, hub: &Hub, room: &str) {
        let links = self.links();
        if links.incoming.is_empty() {
            return;
        }
        let Some(encoded) = line(&Frame::Interest {
            rooms: vec![room.to_owned()],
            on: hub.is_heard(room),
        }) else {
            return;
        };
        for link in links.incoming.values() {
            // A link that ends is asked for everything again when it is dialed anew.
            let _ended = link.send(encoded.clone());
        }
    }

    /// What a node that has just dialed must hear first.
    pub(super) fn interests(rooms: &[(Arc<str>, i64, usize)]) -> Vec<Utf8Bytes> {
        rooms
            .chunks(1000)
            .filter_map(|chunk| {
                line(&Frame::Interest {
                    rooms: chunk.iter().map(|(room, _, _)| room.to_string()).collect(),
                    on: true,
                })
            })
            .collect()
    }

    /// What a node that was just dialed must hear first.
    pub(super) fn rosters(rooms: &[(Arc<str>, i64, usize)]) -> Vec<Utf8Bytes> {
        rooms
            .iter()
            .filter_map(|(room, _last, participants)| {
                line(&Frame::Roster {
                    room: room.to_string(),
                    participants: *participants,
                    user: None,
                    joined: true,
                })
            })
            .collect()
    }
}
