//! Users seen lately: a request of one of them need not ask SQL who it is.

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

use crate::model::Caller;

/// How long an entry is believed: another node may have disabled the user meanwhile.
const FRESH_US: i64 = 5_000_000;
/// Entries kept; when there are more, all are forgotten and read again.
const ENTRIES_MAX: usize = 100_000;

/// The cache.
#[derive(Debug, Default)]
pub struct UserCache(Mutex<FxHashMap<String, (Arc<Caller>, i64)>>);

impl UserCache {
    /// The caller, if the same one (but for the token's end) was checked lately.
    pub(super) fn get(&self, caller: &Caller, now_us: i64) -> Option<Arc<Caller>> {
        let users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, checked_us) = users.get(caller.id())?;
        let same = known.person == caller.person
            && known.principal == caller.principal
            && known.administrator == caller.administrator;
        (same && now_us - checked_us < FRESH_US && known.expires_us == caller.expires_us)
            .then(|| Arc::clone(known))
    }

    pub(super) fn put(&self, caller: &Arc<Caller>, now_us: i64) {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= ENTRIES_MAX {
            users.clear();
        }
        users.insert(caller.id().to_owned(), (Arc::clone(caller), now_us));
    }

    /// The next request of this user asks SQL.
    pub fn forget(&self, user: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(user);
    }
}
