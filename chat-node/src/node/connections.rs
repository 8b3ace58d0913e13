//! The WebSocket connections of this node.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::hub::{Farewell, Outlet, deliver};
use crate::model::Caller;
use crate::wire::SharedFrame;

#[derive(Debug, Default)]
struct Table {
    next: u64,
    live: FxHashMap<u64, (Arc<Outlet>, Arc<Caller>)>,
    /// The connections of each user.
    users: FxHashMap<String, Vec<u64>>,
}

impl Table {
    fn of(&self, user: &str) -> impl Iterator<Item = &Arc<Outlet>> {
        let numbers = self.users.get(user).into_iter().flatten();
        numbers.filter_map(|number| self.live.get(number).map(|(outlet, _caller)| outlet))
    }
}

/// All of them, by number.
#[derive(Debug, Default)]
pub struct Connections(Mutex<Table>);

impl Connections {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing that panics runs under the lock; a poisoned one is as good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a connection; its number. When its user has `of_one_user_max` already, it is ended, and counts for nobody.
    pub fn enter(&self, outlet: Arc<Outlet>, caller: Arc<Caller>, of_one_user_max: usize) -> u64 {
        let mut table = self.table();
        table.next += 1;
        let number = table.next;
        let own = table.users.entry(caller.id().to_owned()).or_default();
        if own.len() < of_one_user_max {
            own.push(number);
        } else {
            outlet.end(Farewell::TooMany);
        }
        table.live.insert(number, (outlet, caller));
        number
    }

    /// Takes a connection out.
    pub fn leave(&self, number: u64) {
        let mut table = self.table();
        let Some((_outlet, caller)) = table.live.remove(&number) else {
            return;
        };
        if let Some(own) = table.users.get_mut(caller.id()) {
            own.retain(|other| *other != number);
            if own.is_empty() {
                table.users.remove(caller.id());
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table().live.len()
    }

    /// Ends all connections of a user.
    pub fn end_user(&self, user: &str, why: Farewell) {
        self.table().of(user).for_each(|outlet| outlet.end(why));
    }

    /// Ends all connections.
    pub fn end_all(&self, why: Farewell) {
        for (outlet, _caller) in self.table().live.values() {
            outlet.end(why);
        }
    }

    /// Sends a frame to all connections.
    pub fn tell_all(&self, frame: &SharedFrame) {
        deliver(|delivery| {
            for (outlet, _caller) in self.table().live.values() {
                delivery.queue(outlet, frame);
            }
        });
    }

    /// Sends a frame to a user's connections; how many there were.
    pub fn tell_user(&self, user: &str, frame: &SharedFrame) -> usize {
        deliver(|delivery| {
            let table = self.table();
            table
                .of(user)
                .map(|outlet| delivery.queue(outlet, frame))
                .count()
        })
    }
}
