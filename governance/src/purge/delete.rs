//! Physical deletion, repeatable: the files of the runs, every ancestor that compaction left, their splits, and what the
//! bucket keeps of them as object versions.
//!
//! A bucket with versioning only hides what is deleted. So before anything is deleted, the versions of everything that
//! will be are written down (`ledger/purges/<id>.versions.json`); afterwards each of them is asked for by its version. As
//! long as one answers, the purge is not done, and says which: `object_store` cannot delete a version, the bucket's owner
//! or its lifecycle can.
//!
//! Nobody knows the versions of what was overwritten, of what garbage collection deleted before (ancestors of compacted
//! segments), or of what was there before versioning was turned on (all of them `null`). They are as old as the purge at
//! most, so a probe stands for them: a small object that is deleted last. While its version answers, theirs may; a
//! lifecycle that let it go has let go of theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use holdfast_archive::Archive;
use holdfast_archive::gc::{self, GRACE_MAX, GcOptions};
use holdfast_schemas::ledger::canonical;
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::Deserialize;

use super::{FOLDER, Files};
use crate::clock::APART_MAX_US;
use crate::disposition::{DispositionError, objects};

/// Requests at once.
const AT_ONCE: usize = 8;
/// What was put longer before a purge began and that nothing refers to goes with it. Less than garbage collection waits (an hour): a
/// restore or a merge that died a moment before the purge may have left rows of the runs in a file of its own. As long as
/// clocks may be apart, so that no writer finds its files below the horizon because its clock is slow.
const UNREFERRED_MIN: Duration = Duration::from_micros(APART_MAX_US.unsigned_abs());

/// By path, every version that was deleted of it: a file that is stored again meanwhile is deleted again.
type Versions = BTreeMap<String, BTreeSet<String>>;

/// Deletes for one purge.
pub(super) struct Eraser<'a> {
    archive: &'a Archive,
    /// Where the versions are written down.
    record: String,
    versions: Versions,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl<'a> Eraser<'a> {
    /// Takes over what an earlier attempt wrote down.
    pub(super) async fn new(archive: &'a Archive, purge: &str) -> Result<Self, DispositionError> {
        let record = format!("{FOLDER}/{purge}.versions.json");
        let versions = recorded(archive, &record).await?;
        Ok(Self {
            archive,
            record,
            versions,
            files: 0,
            bytes: 0,
        })
    }

    /// Deletes what a purge named, then what garbage collection finds older than the runs: superseded files hold the
    /// same rows.
    pub(super) async fn segments(
        &mut self,
        files: &Files,
        now_ms: i64,
    ) -> Result<(), DispositionError> {
        self.delete(paths(files)).await?;
        // Of a bucket that keeps versions whatever is collected must be waited for. That was done before the probe; what others superseded since
        // is not this purge's, and would keep it from ending.
        if self.versions.contains_key(&self.probe_path()) {
            return Ok(());
        }
        let options = options(files, now_ms);
        let dry = GcOptions {
            dry_run: true,
            ..options
        };
        let found = gc::run(self.archive, dry, now_ms).await?;
        self.note(found.deleted).await?;
        let report = gc::run(self.archive, options, now_ms).await?;
        self.files += report.deleted.len() as u64;
        self.bytes += report.bytes;
        Ok(())
    }

    /// Deletes files, their versions written down first.
    pub(super) async fn delete(&mut self, paths: Vec<String>) -> Result<(), DispositionError> {
        for meta in self.note(paths).await? {
            let path = meta.location.to_string();
            match self.archive.store().delete(&meta.location).await {
                Ok(()) | Err(Error::NotFound { .. }) => {
                    self.files += 1;
                    self.bytes += meta.size;
                }
                Err(source) => return Err(failed("delete", &path)(source)),
            }
        }
        Ok(())
    }

    /// An earlier probe does not stand for what is deleted after it, whatever breaks off before the next: whether there was one.
    fn retract_probe(&mut self, there: &[ObjectMeta]) -> bool {
        let path = self.probe_path();
        let others = there.iter().any(|meta| meta.location.as_ref() != path);
        others && self.versions.remove(&path).is_some()
    }

    /// Whether versions are known, and what was deleted last was no probe: somebody broke off.
    pub(super) fn lacks_probe(&self) -> bool {
        !self.versions.is_empty() && !self.versions.contains_key(&self.probe_path())
    }

    fn probe_path(&self) -> String {
        format!("{}.probe", self.record)
    }

    /// Deletes the probe, one after whatever was deleted.
    pub(super) async fn probe(&mut self) -> Result<(), DispositionError> {
        let path = self.probe_path();
        if !self.versions.contains_key(&path) {
            objects::put_bytes(self.archive, &path, "probe".into()).await?;
        }
        // An earlier attempt may have broken off before this.
        let done = (self.files, self.bytes);
        self.delete(vec![path]).await?;
        (self.files, self.bytes) = done;
        Ok(())
    }

    /// Writes down the versions of those of the files that are there, and answers which are.
    async fn note(&mut self, paths: Vec<String>) -> Result<Vec<ObjectMeta>, DispositionError> {
        let archive = self.archive;
        let found: Vec<Option<ObjectMeta>> = stream::iter(paths)
            .map(|path| async move { head(archive, &path).await })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let there: Vec<ObjectMeta> = found.into_iter().flatten().collect();
        let retracted = self.retract_probe(&there);
        let mut news = retracted;
        for meta in &there {
            // What a bucket stores without versioning is `null`; deleting that removes it, or the probe stays beside it.
            if let Some(version) = meta.version.as_deref().filter(|version| *version != "null") {
                let known = self.versions.entry(meta.location.to_string()).or_default();
                news |= known.insert(version.to_owned());
            }
        }
        if news {
            // Another process may work on the same purge.
            for (path, versions) in recorded(archive, &self.record).await? {
                self.versions.entry(path).or_default().extend(versions);
            }
            if retracted {
                self.versions.remove(&self.probe_path());
            }
            let bytes = canonical(&self.versions, "object versions")?;
            objects::put_bytes(archive, &self.record, bytes.into()).await?;
        }
        Ok(there)
    }

    /// Asks for every version that was written down.
    pub(super) async fn gone(&self) -> Result<(), DispositionError> {
        let archive = self.archive;
        let each = self.versions.iter().flat_map(|(path, versions)| {
            versions
                .iter()
                .map(|version| (path.clone(), version.clone()))
        });
        let each: Vec<(String, String)> = each.collect();
        let asked: Vec<Option<(String, String)>> = stream::iter(each)
            .map(|(path, version)| async move {
                let there = is_there(archive, &path, &version).await?;
                Ok::<_, DispositionError>(there.then_some((path, version)))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let left: Vec<(String, String)> = asked.into_iter().flatten().collect();
        match left.first() {
            None => Ok(()),
            Some((path, version)) => Err(DispositionError::Versioned {
                count: left.len(),
                path: path.clone(),
                version: version.clone(),
                record: self.record.clone(),
            }),
        }
    }
}

/// The versions that were written down.
async fn recorded(archive: &Archive, record: &str) -> Result<Versions, DispositionError> {
    let Some(bytes) = objects::bytes(archive, record).await? else {
        return Ok(Versions::new());
    };
    let read: BTreeMap<String, Recorded> =
        serde_json::from_slice(&bytes).map_err(|error| DispositionError::Corrupt {
            path: record.to_owned(),
            problem: error.to_string(),
        })?;
    let several = read.into_iter().map(|(path, versions)| match versions {
        Recorded::One(version) => (path, BTreeSet::from([version])),
        Recorded::Several(versions) => (path, versions),
    });
    Ok(several.collect())
}

/// Earlier programs wrote down one version a file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Recorded {
    One(String),
    Several(BTreeSet<String>),
}

/// Everything of the runs: segments, and splits of any analyzer.
fn paths(files: &Files) -> Vec<String> {
    let mut paths = Vec::new();
    for kept in files.runs.values().flatten() {
        paths.push(format!("events/{}", kept.path));
        let segment = kept.segment();
        let versions = 1..=holdfast_indexer::maintenance::ANALYZER_VERSION;
        paths.extend(versions.map(|version| segment.split_path(version)));
        paths.push(crate::plan::memory::path(&segment.path));
    }
    paths
}

/// Whatever left the table before the last of the runs may hold their rows. The horizon stands by when the purge was begun,
/// however often it is tried: a horizon that came nearer with each try would refuse a restore or a merge for ever that takes
/// longer than from one try to the next.
fn options(files: &Files, now_ms: i64) -> GcOptions {
    let since = |then_ms: i64| {
        Duration::from_millis(u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0))
    };
    let (removed, begun) = (since(files.removed_ms), since(files.begun_ms()));
    let defaults = GcOptions::default();
    GcOptions {
        min_age: removed.min(begun.saturating_add(UNREFERRED_MIN)),
        grace: removed.min(defaults.grace).min(GRACE_MAX),
        dry_run: false,
    }
}

async fn head(archive: &Archive, path: &str) -> Result<Option<ObjectMeta>, DispositionError> {
    match archive.store().head(&Path::from(path)).await {
        Ok(meta) => Ok(Some(meta)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(failed("look for", path)(source)),
    }
}

async fn is_there(archive: &Archive, path: &str, version: &str) -> Result<bool, DispositionError> {
    let options = GetOptions {
        version: Some(version.to_owned()),
        head: true,
        ..GetOptions::default()
    };
    match archive.store().get_opts(&Path::from(path), options).await {
        Ok(_) => Ok(true),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(source) => Err(failed("look for a version of", path)(source)),
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

#[cfg(test)]
mod tests {
    use super::*;

    use ulid::Ulid;

    #[test]
    fn a_purge_reaches_whatever_may_hold_the_rows_of_its_runs() {
        // Removed, begun so much later, and tried once more so much later still.
        let ages = |begun: Duration, again: Duration| {
            let begun_ms = u64::try_from(begun.as_millis()).unwrap();
            let files = Files {
                id: Ulid::from_parts(begun_ms, 7).to_string(),
                runs: BTreeMap::new(),
                removed_ms: 0,
                attachments: Vec::new(),
                lists: BTreeMap::new(),
            };
            let now = begun + again;
            let options = options(&files, i64::try_from(now.as_millis()).unwrap());
            (options.min_age, options.grace)
        };
        let (minute, day) = (Duration::from_secs(60), Duration::from_secs(86_400));
        // What the runs' commits superseded is older than the runs, so it is not left; nor is what a dead writer left, but
        // for what may be on its way still.
        let once = |begun: Duration| ages(begun, Duration::ZERO);
        assert_eq!(once(minute), (minute, minute));
        assert_eq!(once(40 * minute), (5 * minute, 40 * minute));
        assert_eq!(once(7 * day), (5 * minute, day));
        // Tried again it reaches no further: the horizon stays where it was.
        assert_eq!(ages(40 * minute, 2 * minute), (7 * minute, 42 * minute));
        assert_eq!(ages(7 * day, 3 * day), (3 * day + 5 * minute, day));
    }
}
