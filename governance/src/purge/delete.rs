//! Physical deletion, repeatable: the files of the runs, every ancestor that compaction left, their splits.

use std::time::Duration;

use holdfast_archive::Archive;
use holdfast_archive::gc::{self, GRACE_MAX, GcOptions};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStoreExt};

use super::Files;
use crate::disposition::DispositionError;

/// Files and bytes that went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Deleted {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Deletes what a purge named, then what garbage collection finds older than the runs: superseded files hold the same
/// rows.
pub(super) async fn all(
    archive: &Archive,
    files: &Files,
    now_ms: i64,
) -> Result<Deleted, DispositionError> {
    let mut deleted = Deleted::default();
    for segment in files.runs.values().flatten() {
        deleted
            .take(archive, &format!("events/{}", segment.path))
            .await?;
        for version in 1..=holdfast_indexer::maintenance::ANALYZER_VERSION {
            let split = segment.segment().split_path(version);
            deleted.take(archive, &split).await?;
        }
        let memory = crate::plan::memory::path(&segment.path);
        deleted.take(archive, &memory).await?;
    }
    // Whatever left the table before the last of these runs may hold their rows.
    let since = u64::try_from(now_ms.saturating_sub(files.removed_ms)).unwrap_or(0);
    let since = Duration::from_millis(since);
    let defaults = GcOptions::default();
    let options = GcOptions {
        min_age: since.min(defaults.min_age),
        grace: since.min(defaults.grace).min(GRACE_MAX),
        dry_run: false,
    };
    let report = gc::run(archive, options, now_ms).await?;
    deleted.files += report.deleted.len() as u64;
    deleted.bytes += report.bytes;
    Ok(deleted)
}

impl Deleted {
    /// Deletes one file. A bucket that keeps versions only hides it: that is no deletion, and is said.
    pub(super) async fn take(
        &mut self,
        archive: &Archive,
        path: &str,
    ) -> Result<(), DispositionError> {
        let Some(meta) = head(archive, path).await? else {
            return Ok(());
        };
        if let Some(version) = meta.version.as_deref().filter(|version| *version != "null") {
            return Err(DispositionError::Versioned {
                path: path.to_owned(),
                version: version.to_owned(),
            });
        }
        match archive.store().delete(&meta.location).await {
            Ok(()) | Err(Error::NotFound { .. }) => {
                self.files += 1;
                self.bytes += meta.size;
                Ok(())
            }
            Err(source) => Err(failed("delete", path)(source)),
        }
    }
}

async fn head(archive: &Archive, path: &str) -> Result<Option<ObjectMeta>, DispositionError> {
    match archive.store().head(&Path::from(path)).await {
        Ok(meta) => Ok(Some(meta)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(failed("look for", path)(source)),
    }
}

fn failed(operation: &'static str, path: &str) -> impl FnOnce(Error) -> DispositionError {
    let path = path.to_owned();
    move |source| DispositionError::Store {
        operation,
        path,
        source,
    }
}
