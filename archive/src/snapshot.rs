//! One version of the archive, pinned.

use std::sync::Arc;

use roaring::RoaringTreemap;
use ulid::Ulid;

use crate::clock::new_ulid;
use crate::error::ArchiveError;
use crate::log::state::State;
use crate::segment::Segment;
use crate::shared::Shared;

/// One version of the archive: its live segments, positions and origins' sets. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) shared: Arc<Shared>,
    pub(crate) state: Arc<State>,
}

// Reading the state is synchronous today; the signatures leave room for states that are not held in memory.
#[allow(clippy::unused_async)]
impl Snapshot {
    pub(crate) fn new(shared: &Arc<Shared>, state: Arc<State>) -> Self {
        Self {
            shared: Arc::clone(shared),
            state,
        }
    }

    /// The table version that is pinned.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.state.version
    }

    /// The table's id: made with it, and the same wherever it is copied or moved to.
    #[must_use]
    pub fn table_id(&self) -> &str {
        self.state.table.metadata.id()
    }

    /// The live segments, ordered by path.
    ///
    /// # Errors
    /// None today.
    pub async fn segments(&self) -> Result<Arc<[Arc<Segment>]>, ArchiveError> {
        Ok(self.state.segments())
    }

    /// The live segment with this path (relative to `events/`).
    ///
    /// # Errors
    /// None today.
    pub async fn segment(&self, path: &str) -> Result<Option<Arc<Segment>>, ArchiveError> {
        Ok(self.state.live.get(path).cloned())
    }

    /// The last version committed under an application id.
    ///
    /// # Errors
    /// None today.
    pub async fn position(&self, app_id: &str) -> Result<Option<i64>, ArchiveError> {
        Ok(self.state.txn(app_id))
    }

    /// All application ids with their positions, in the order of ids.
    ///
    /// # Errors
    /// None today.
    pub async fn positions(&self) -> Result<Vec<(String, i64)>, ArchiveError> {
        Ok(self
            .state
            .txns
            .iter()
            .map(|(id, at)| (id.clone(), *at))
            .collect())
    }

    /// Every sequence ever archived from an origin; empty when nothing was.
    ///
    /// # Errors
    /// A large set lies in an object of its own: the store's errors, or [`ArchiveError::Corrupt`].
    pub async fn origin_set(&self, origin: &str) -> Result<Arc<RoaringTreemap>, ArchiveError> {
        match self.state.origins.get(origin) {
            Some(entry) => entry.set(origin, &self.shared.store).await,
            None => Ok(Arc::default()),
        }
    }

    /// Sequences ever archived from an origin, counted without reading the set.
    #[must_use]
    pub fn origin_count(&self, origin: &str) -> u64 {
        self.state
            .origins
            .get(origin)
            .map_or(0, crate::origins::OriginEntry::count)
    }

    /// Every origin that anything was archived from, in order.
    ///
    /// # Errors
    /// None today.
    pub async fn origins(&self) -> Result<Vec<String>, ArchiveError> {
        Ok(self.state.origins.keys().cloned().collect())
    }

    /// Names of the table's materialised row-tracking columns: (row id, row commit version). Rewritten segments carry
    /// their rows' values in them ([`crate::segment::CarriedRowIds`]).
    #[must_use]
    pub fn row_tracking_columns(&self) -> (&str, &str) {
        let (id, version) = &self.state.table.row_columns;
        (id, version)
    }

    /// The garbage collection horizon: files named before it may be gone. Milliseconds since 1970.
    #[must_use]
    pub fn gc_horizon_ms(&self) -> Option<i64> {
        self.state.horizon_ms()
    }

    /// A new ULID for a segment to be committed on this snapshot or a later one: of this moment, but never below the
    /// garbage collection horizon. [`crate::segment::new_id`] knows no horizon: where another machine's clock is
    /// ahead, its names may be refused ([`crate::Conflict::BelowHorizon`]) until the own clock has caught up.
    #[must_use]
    pub fn new_id(&self) -> Ulid {
        new_ulid(self.state.naming_ms(self.shared.environment.now_ms()))
    }
}
