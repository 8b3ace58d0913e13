//! When and how the fold is written down, so that whoever opens next need not read the whole chain.

use holdfast_schemas::ledger::SNAPSHOT_PATH;

use super::error::LedgerError;
use super::state::State;
use super::{Ledger, load};

/// Entries after a snapshot when the next one is written, at least: each command reads them, and a small fold is quickly
/// written. A fold's two syncs take as long as reading twenty entries: every eight of them, both together take least.
const ENTRIES_MIN: u64 = 8;
/// At most, however large the fold is.
const ENTRIES_MAX: u64 = 64;
/// Between them, a fold may cost each append so many bytes.
const BYTES_AN_ENTRY: u64 = 1024;

/// The newest snapshot known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    /// The entry that it stands for; 0 when there is none.
    pub(super) seq: u64,
    /// What it takes.
    pub(super) bytes: u64,
}

impl Written {
    /// Whether the fold up to entry `head` is to be written down.
    fn is_due(self, head: u64) -> bool {
        let wait = (self.bytes / BYTES_AN_ENTRY).clamp(ENTRIES_MIN, ENTRIES_MAX);
        head.saturating_sub(self.seq) >= wait
    }
}

impl Ledger {
    /// The newest snapshot after an append: written anew when it is time.
    pub(super) async fn snapshot_after(&self, last: Written, state: &State) -> Written {
        if !last.is_due(state.head.seq) {
            return last;
        }
        match self.put_snapshot(state).await {
            Ok(written) => written,
            // The chain does not depend on it: opening is only slower.
            Err(error) => {
                tracing::warn!(%error, "the ledger's snapshot was not written; opening reads more entries");
                last
            }
        }
    }

    /// Writes the fold down.
    pub(super) async fn put_snapshot(&self, state: &State) -> Result<Written, LedgerError> {
        let bytes = load::encode(state).map_err(LedgerError::record(SNAPSHOT_PATH))?;
        let written = Written {
            seq: state.head.seq,
            bytes: bytes.len() as u64,
        };
        self.objects.put(SNAPSHOT_PATH, bytes).await?;
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::Written;

    #[test]
    fn small_folds_are_written_sooner() {
        for (bytes, wait) in [(0, 8), (8 << 10, 8), (40 << 10, 40), (1 << 30, 64)] {
            let last = Written { seq: 100, bytes };
            assert!(!last.is_due(100 + wait - 1), "{bytes}");
            assert!(last.is_due(100 + wait), "{bytes}");
        }
    }
}
