//! The WebSocket connections of this node.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::hub::{Farewell, Outlet};
use crate::model::Caller;

#[derive(Debug, Default)]
struct Table {
    next: u64,
    live: FxHashMap<u64, (Arc<Outlet>, Arc<Caller>)>,
}

/// All of them, by number.
#[derive(Debug, Default)]
pub struct Connections(Mutex<Table>);

impl Connections {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing that panics runs under the lock; a poisoned one is as good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a connection; its number.
    pub fn enter(&self, outlet: Arc<Outlet>, caller: Arc<Caller>) -> u64 {
        let mut table = self.table();
        table.next += 1;
        let number = table.next;
        table.live.insert(number, (outlet, caller));
        number
    }

    /// Takes a connection out.
    pub fn leave(&self, number: u64) {
        self.table().live.remove(&number);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table().live.len()
    }

    /// Ends all connections of a user.
    pub fn end_user(&self, user: &str, why: Farewell) {
        for (outlet, caller) in self.table().live.values() {
            if caller.id() == user {
                outlet.end(why);
            }
        }
    }

    /// Ends all connections.
    pub fn end_all(&self, why: Farewell) {
        for (outlet, _caller) in self.table().live.values() {
            outlet.end(why);
        }
    }

    /// Sends a frame to a user's connections; how many there were.
    pub fn tell_user(&self, user: &str, frame: &axum::extract::ws::Utf8Bytes) -> usize {
        let table = self.table();
        let own = table
            .live
            .values()
            .filter(|(_outlet, caller)| caller.id() == user);
        own.map(|(outlet, _caller)| outlet.send(frame.clone()))
            .count()
    }
}
