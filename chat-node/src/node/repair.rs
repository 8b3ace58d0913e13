//! Brings a room's channel up to what SQL holds, and judges its listeners anew when the room's epoch changed.

use std::sync::Arc;
use std::time::Duration;

use super::Node;
use crate::args;
use crate::db::Value;
use crate::error::{ChatError, Result};
use crate::hub::RepairState;
use crate::model::{Caller, Room, ServerFrame, Source, load_entries, load_room, standing};
use crate::ops::users::load_principal;
use crate::rules::{Decision, Operation, decide};
use crate::ws::{NO_LONGER, put_out};

/// After a repair that failed another is tried so much later.
const AGAIN: Duration = Duration::from_secs(1);
/// Entries read at a time.
const PAGE: i64 = 200;

impl Node {
    /// Starts a repair; the hub has noted that one runs, so there is one a room at a time.
    pub(super) fn spawn_repair(self: &Arc<Self>, room: &str) {
        let (node, room) = (Arc::clone(self), room.to_owned());
        tokio::spawn(async move {
            let Err(error) = node.repair(&room).await else {
                return;
            };
            tracing::warn!(room, error = %error, "what a room's subscribers missed is tried again");
            node.hub.abandon_repair(&room);
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = node.draining.cancelled() => return,
            }
            // What is owed is remembered there.
            node.catch_up(&room, 0, 0);
        });
    }

    async fn repair(&self, room_id: &str) -> Result<()> {
        loop {
            let Some(state) = self.hub.repair_state(room_id) else {
                return Ok(());
            };
            let room = match load_room(&mut Source::Db(&self.db), room_id).await {
                Ok(room) => room,
                Err(ChatError::NotFound { .. }) => {
                    let everybody = state.listeners.iter();
                    let everybody = everybody.map(|(connection, _caller)| *connection);
                    put_out(self, room_id, None, everybody, "the room was deleted").await;
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            if room.epoch > state.judged_epoch {
                self.judge(&room, &state).await?;
                self.hub.judged(room_id, room.epoch);
            }
            let args: Vec<Value> = args![room_id, state.last_seq, PAGE];
            let conditions =
                "where m.room_id = $1 and m.room_seq > $2 order by m.room_seq limit $3";
            let entries = load_entries(&mut Source::Db(&self.db), conditions, args).await?;
            let full = i64::try_from(entries.len()).is_ok_and(|count| count == PAGE);
            let last = entries
                .last()
                .map_or(state.last_seq, |entry| entry.room_seq);
            let frames = entries
                .iter()
                .map(|entry| (entry.room_seq, ServerFrame::Message(entry).encode()))
                .collect();
            self.hub.deliver_repaired(room_id, frames);
            if full {
                continue;
            }
            // What the room's row counted was committed before it was read, so the page held it, or a purge took it.
            if self.hub.end_repair(room_id, last.max(room.last_seq)) {
                return Ok(());
            }
        }
    }

    /// Takes out everybody who may not be in the room any more.
    async fn judge(&self, room: &Room, state: &RepairState) -> Result<()> {
        let mut gone = Vec::new();
        for (connection, caller) in &state.listeners {
            // Groups as of now: the connection's token may be older than the change that brought us here.
            let principal = load_principal(&mut Source::Db(&self.db), caller.id()).await?;
            let current = Caller {
                principal,
                ..Caller::clone(caller)
            };
            let standing = standing(&mut Source::Db(&self.db), room, &current).await?;
            match decide(Operation::Join, standing, room.facts()) {
                Decision::Allow => {}
                Decision::Deny(_) | Decision::Hide => gone.push(*connection),
            }
        }
        put_out(self, &room.id, Some(room), gone.into_iter(), NO_LONGER).await;
        Ok(())
    }
}
