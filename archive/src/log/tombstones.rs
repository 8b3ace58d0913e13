//! When files were removed: from the newest checkpoint and the entries above it.

use std::collections::BTreeMap;

use crate::error::ArchiveError;
use crate::log::checkpoint;
use crate::log::paths;
use crate::log::reader::{LogReader, task};
use crate::log::state::State;

/// Removed paths with the moment of their removal, milliseconds since 1970. Checkpoints keep them for seven days.
pub(crate) async fn read(
    reader: &LogReader,
    state: &State,
) -> Result<BTreeMap<String, i64>, ArchiveError> {
    let mut removed = BTreeMap::new();
    if let Some(file) = state.checkpoint {
        let path = paths::checkpoint(file.version);
        let Some(bytes) = reader.get(&path).await? else {
            return Err(ArchiveError::Corrupt {
                path: path.to_string(),
                problem: "it is gone".to_owned(),
            });
        };
        let text = path.to_string();
        let read =
            tokio::task::spawn_blocking(move || checkpoint::read_removed(bytes, &text)).await;
        removed.extend(read.map_err(|e| task("read a checkpoint", &e))??);
    }
    for file in state.tail.iter() {
        let Some(entry) = reader.entry(file.version).await? else {
            // Taken for a crash of the log itself: without it a file might be taken for garbage too early.
            let path = paths::entry(file.version).to_string();
            return Err(ArchiveError::Corrupt {
                path,
                problem: "it is gone".to_owned(),
            });
        };
        for file in entry.removes {
            removed.insert(file.path, file.at_ms);
        }
    }
    Ok(removed)
}
