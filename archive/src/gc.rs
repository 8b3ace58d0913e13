//! Garbage collection: a horizon first, then the deletion of what no version needs.
//!
//! The horizon is a moment, committed under the application id `gc`. A file's name is a ULID and tells when it was
//! made. From the commit of the horizon on, no commit can add a file that is older: whoever was paused between put and
//! commit is refused ([`crate::Conflict::BelowHorizon`]) and rebuilds. So what is older than the horizon and not
//! referenced by the version that committed it (or a later one) never will be, and can go. Crash states: before the
//! horizon's commit, nothing happened; after it, any subset of the garbage is gone, and the next run finds the rest.
//!
//! | file | goes when older than the horizon and |
//! |---|---|
//! | segment | not live, removed by no commit within the grace, and kept by no disposition |
//! | split, memory of plans | its segment is neither live nor removed within the grace |
//! | set of an origin | the table names another one |
//! | `name#<digits>` on a local disk | as old as the horizon, or written in the future: a put that was killed |

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt};
use ulid::Ulid;
use uuid::Uuid;

use crate::archive::Archive;
use crate::commit::{Advance, AdvanceOnly, CommitKind, Conflict, Counts, Outcome, is_below};
use crate::error::ArchiveError;
use crate::log::{paths, tombstones};
use crate::snapshot::Snapshot;
use crate::store::{self, Leftover};
use crate::{GC_APP_ID, kept, maintain, origins};

/// The longest grace: the table keeps its tombstones no longer (`delta.deletedFileRetentionDuration`).
pub const GRACE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// How far a horizon may lie beyond the store's clock, which may count whole seconds only.
const CLOCK_TOLERANCE_MS: i64 = 10_000;

/// How far garbage collection reaches.
#[derive(Debug, Clone, Copy)]
pub struct GcOptions {
    /// Files younger than this are left alone: they may belong to a commit on its way.
    pub min_age: Duration,
    /// Files that a commit removed stay for this long, so that readers finish. At most [`GRACE_MAX`].
    pub grace: Duration,
    /// Report only.
    pub dry_run: bool,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            min_age: Duration::from_secs(3600),
            grace: Duration::from_secs(24 * 3600),
            dry_run: false,
        }
    }
}

/// What garbage collection did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// The horizon that was committed, milliseconds since 1970.
    pub horizon_ms: i64,
    /// Paths deleted (or to be deleted), relative to the archive.
    pub deleted: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
}

/// Collects garbage.
///
/// # Errors
/// The store's errors, and a log in which an entry is missing; nothing that is needed is deleted in any case.
pub async fn run(
    archive: &Archive,
    options: GcOptions,
    now_ms: i64,
) -> Result<GcReport, ArchiveError> {
    if options.grace > GRACE_MAX {
        return Err(ArchiveError::Invalid(format!(
            "superseded files can be kept for {} days at most",
            GRACE_MAX.as_secs() / 86_400
        )));
    }
    // What later versions refer to would be taken for garbage.
    archive.expect_whole_log().await?;
    let horizon_ms = now_ms.saturating_sub(millis(options.min_age));
    let snapshot = if options.dry_run {
        archive.snapshot().await?
    } else {
        raise_horizon(archive, horizon_ms).await?
    };
    // Another run may have gone further already.
    let horizon_ms = snapshot
        .gc_horizon_ms()
        .unwrap_or(horizon_ms)
        .max(horizon_ms);
    let needed = Needed::new(
        archive,
        &snapshot,
        now_ms.saturating_sub(millis(options.grace)),
    )
    .await?;
    let mut report = GcReport {
        horizon_ms,
        ..GcReport::default()
    };
    let mut garbage = Vec::new();
    for folder in [paths::TABLE, "index", origins::FOLDER] {
        for meta in list(archive, folder).await? {
            if is_garbage(&meta.location, horizon_ms, &needed) {
                report.bytes += meta.size;
                report.deleted.push(meta.location.to_string());
                garbage.push(meta.location);
            }
        }
    }
    if !options.dry_run {
        for path in garbage {
            delete(archive, &path).await?;
        }
    }
    leftovers(archive, options, horizon_ms, &mut report).await?;
    report.deleted.sort_unstable();
    Ok(report)
}

/// What time it is for the store, milliseconds since 1970: it dates what is put. A horizon in the future of the other
/// writers would stop them, and an archive where nothing was committed for days has no commit to compare with.
async fn store_clock_ms(archive: &Archive) -> Result<i64, ArchiveError> {
    let path = paths::clock();
    archive.put(path.as_ref(), Bytes::new()).await?;
    match archive.store().head(&path).await {
        Ok(meta) => Ok(meta.last_modified.timestamp_millis()),
        Err(source) => Err(ArchiveError::Store {
            operation: "look for",
            path: path.to_string(),
            source,
        }),
    }
}

/// Commits the horizon, unless the table's is as late already.
async fn raise_horizon(archive: &Archive, horizon_ms: i64) -> Result<Snapshot, ArchiveError> {
    loop {
        let base = archive.snapshot().await?;
        let from = base.gc_horizon_ms();
        if from.is_some_and(|from| from >= horizon_ms) {
            return Ok(base);
        }
        let store_ms = store_clock_ms(archive).await?;
        if horizon_ms > store_ms.saturating_add(CLOCK_TOLERANCE_MS) {
            return Err(ArchiveError::Invalid(format!(
                "gc: this machine's clock is ahead of the store's: it asks for the horizon {horizon_ms}, the store's \
                 clock says {store_ms} (ms since 1970), and other writers would be refused until then; nothing was \
                 changed, correct the clock"
            )));
        }
        let advance = AdvanceOnly {
            commit_id: Uuid::new_v4(),
            kind: CommitKind::Gc,
            positions: vec![Advance {
                app_id: GC_APP_ID.to_owned(),
                from,
                to: horizon_ms,
            }],
            counts: Counts::default(),
        };
        match archive.advance(&base, advance).await? {
            Outcome::Committed(snapshot) => return Ok(snapshot),
            // Another run raised it meanwhile: look again.
            Outcome::Conflicted(Conflict::PositionMoved { .. }) => {}
            Outcome::Conflicted(conflict) => {
                return Err(ArchiveError::Invalid(format!("gc: {conflict}")));
            }
            Outcome::Unknown(uncertain) => {
                return Err(ArchiveError::Invalid(format!(
                    "gc: whether the horizon was committed is unknown ({}); nothing was deleted",
                    uncertain.reason
                )));
            }
        }
    }
}

/// What must stay although it may be older than the horizon.
struct Needed {
    snapshot: Snapshot,
    /// Removed segments by path: when, milliseconds since 1970.
    removed: BTreeMap<String, i64>,
    /// Removed before this: readers have finished.
    grace_ms: i64,
    /// Segments that a disposition took out and that may still be restored.
    kept: BTreeSet<String>,
    /// Objects of the origins' sets.
    sets: Vec<String>,
}

impl Needed {
    async fn new(
        archive: &Archive,
        snapshot: &Snapshot,
        grace_ms: i64,
    ) -> Result<Self, ArchiveError> {
        let state = maintain::adopt_newest(&archive.shared, &snapshot.state).await?;
        let removed = tombstones::read(&archive.shared.reader, &state).await?;
        let sets = snapshot
            .state
            .origins
            .values()
            .filter_map(|entry| entry.object().map(str::to_owned))
            .collect();
        Ok(Self {
            snapshot: snapshot.clone(),
            removed,
            grace_ms,
            kept: kept::segments(&snapshot.state)?,
            sets,
        })
    }

    /// `path` is relative to `events/`.
    fn segment(&self, path: &str) -> bool {
        self.snapshot.state.live.get(path).is_some()
            || self
                .removed
                .get(path)
                .is_some_and(|removed_ms| *removed_ms > self.grace_ms)
    }
}

/// Whether a listed file can go. Files whose names are not ours are left alone.
fn is_garbage(path: &Path, horizon_ms: i64, needed: &Needed) -> bool {
    let parts: Vec<_> = path.as_ref().split('/').collect();
    let older = |name: &str| Ulid::from_string(name).is_ok_and(|id| is_below(id, horizon_ms));
    match parts.as_slice() {
        [paths::TABLE, year, name] => {
            let Some(id) = name.strip_suffix(".parquet") else {
                return false;
            };
            let path = format!("{year}/{name}");
            older(id) && !needed.segment(&path) && !needed.kept.contains(&path)
        }
        ["index", year, name] => {
            // `<ulid>.a<N>.split`, and `<ulid>.memory`: what plans remember
            let Some((id, rest)) = name.split_once('.') else {
                return false;
            };
            (rest.ends_with(".split") || rest == "memory")
                && older(id)
                && !needed.segment(&format!("{year}/{id}.parquet"))
        }
        [origins::FOLDER, name] => {
            let Some(id) = name.strip_suffix(".roaring") else {
                return false;
            };
            older(id) && !needed.sets.iter().any(|set| set == path.as_ref())
        }
        _ => false,
    }
}

async fn list(archive: &Archive, folder: &str) -> Result<Vec<ObjectMeta>, ArchiveError> {
    match archive
        .store()
        .list(Some(&Path::from(folder)))
        .try_collect()
        .await
    {
        Ok(listed) => Ok(listed),
        Err(Error::NotFound { .. }) => Ok(Vec::new()),
        Err(source) => Err(ArchiveError::Store {
            operation: "list",
            path: folder.to_owned(),
            source,
        }),
    }
}

async fn delete(archive: &Archive, path: &Path) -> Result<(), ArchiveError> {
    match archive.store().delete(path).await {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
        Err(source) => Err(ArchiveError::Store {
            operation: "delete",
            path: path.to_string(),
            source,
        }),
    }
}

/// Leftovers of killed puts: object stores have none, listings hide them. Their age is the store's: it dates them, and the
/// horizon does not lie beyond its clock.
async fn leftovers(
    archive: &Archive,
    options: GcOptions,
    horizon_ms: i64,
    report: &mut GcReport,
) -> Result<(), ArchiveError> {
    let Some(root) = archive.local_root().map(std::path::Path::to_path_buf) else {
        return Ok(());
    };
    // No put on its way was written in the future: a clock was wrong then, and no horizon may ever come so far. A dry run
    // asks no clock, since that takes a put.
    let now_ms = match options.dry_run {
        true => i64::MAX,
        false => store_clock_ms(archive).await?,
    };
    // The walk over a large archive takes long, and what is put meanwhile is of the present.
    let asked = Instant::now();
    let is_over = move |written: SystemTime| {
        let written = written.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (written_ms, since_ms) = (millis(written), millis(asked.elapsed()));
        let future_ms = now_ms
            .saturating_add(since_ms)
            .saturating_add(CLOCK_TOLERANCE_MS);
        written_ms <= horizon_ms || written_ms > future_ms
    };
    let found = tokio::task::spawn_blocking(
        move || -> std::io::Result<(std::path::PathBuf, Vec<Leftover>)> {
            let found = store::leftovers(&root, is_over)?;
            if !options.dry_run {
                for leftover in &found {
                    store::remove(&leftover.path)?;
                }
            }
            Ok((root, found))
        },
    );
    let failed = |source| ArchiveError::Io {
        operation: "remove leftovers in",
        path: archive.url().to_owned(),
        source,
    };
    let (root, found) = found
        .await
        .map_err(|e| crate::log::reader::task("gc", &e))?
        .map_err(failed)?;
    for leftover in found {
        let path = leftover.path.strip_prefix(&root).unwrap_or(&leftover.path);
        report.bytes += leftover.bytes;
        report.deleted.push(path.to_string_lossy().into_owned());
    }
    Ok(())
}

/// Removes what killed puts left in a folder of a local archive (`name#<digits>`; listings hide it), of those names that
/// `is_over` accepts: nobody may be about to finish such a put. Answers how many.
///
/// # Errors
/// The folder cannot be read, or a file not be removed.
pub async fn remove_leftovers(
    archive: &Archive,
    folder: &str,
    is_over: impl Fn(&str) -> bool + Send + 'static,
) -> Result<u64, ArchiveError> {
    let Some(root) = archive.local_root() else {
        return Ok(0);
    };
    let at = root.join(folder);
    let removed = tokio::task::spawn_blocking(move || -> std::io::Result<u64> {
        if !at.is_dir() {
            return Ok(0);
        }
        let mut removed = 0;
        for leftover in store::leftovers(&at, |_| true)? {
            let name = leftover.path.file_name().unwrap_or_default();
            if is_over(&name.to_string_lossy()) {
                store::remove(&leftover.path)?;
                removed += 1;
            }
        }
        Ok(removed)
    });
    let failed = |source| ArchiveError::Io {
        operation: "remove leftovers in",
        path: folder.to_owned(),
        source,
    };
    removed
        .await
        .map_err(|e| crate::log::reader::task("gc", &e))?
        .map_err(failed)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
