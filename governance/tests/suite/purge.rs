//! Purges: what hinders a deletion is told and hinders no hold; what is listed tells its rule; what is accounted for is
//! all there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::model::acts::{self, place, room, run_plan, save};
use crate::model::events::{Made, ingest};
use crate::model::world::{self, Process, process, write};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use holdfast_fixtures::{Fault, FaultyStore, Operation, Plan};
use holdfast_governance::disposition::account::account;
use holdfast_governance::disposition::certificate::{Certificate, read_list};
use holdfast_governance::disposition::{DispositionError, plan_file, run};
use holdfast_governance::explain::{Away, Explanation, explain};
use holdfast_governance::{purge, restore};
use holdfast_schemas::event_type as t;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::hold::RoomRef;
use holdfast_schemas::ledger::policy::{PolicyAction, PolicyScope, PolicySet};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// A bucket with versioning: a deleted object can still be read by its version, until somebody removes that.
#[derive(Debug, Default, Clone)]
struct Versioned {
    inner: Arc<InMemory>,
    /// By path and version.
    hidden: Arc<InMemory>,
    /// How often an object was deleted: the version of what is stored next.
    deleted: Arc<Mutex<BTreeMap<Path, u32>>>,
}

/// Where a deleted version lies.
fn hidden(path: &Path, version: &str) -> Path {
    Path::from(format!("{path}@{version}"))
}

impl Versioned {
    fn version(&self, path: &Path) -> String {
        let deleted = self.deleted.lock().unwrap();
        format!("v-{}", deleted.get(path).copied().unwrap_or_default())
    }

    /// Removes the hidden versions whose paths are so.
    async fn remove_versions(&self, which: impl Fn(&str) -> bool) {
        let all: Vec<ObjectMeta> = self.hidden.list(None).try_collect().await.unwrap();
        for meta in all.iter().filter(|meta| which(meta.location.as_ref())) {
            self.hidden.delete(&meta.location).await.unwrap();
        }
    }
}

impl fmt::Display for Versioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Versioned")
    }
}

#[async_trait]
impl ObjectStore for Versioned {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(path, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, opts).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        if let Some(version) = options.version.clone() {
            let options = GetOptions {
                version: None,
                ..options
            };
            if version == self.version(path) && self.inner.head(path).await.is_ok() {
                return self.inner.get_opts(path, options).await;
            }
            let hidden = hidden(path, &version);
            return self.hidden.get_opts(&hidden, options).await;
        }
        let mut found = self.inner.get_opts(path, options).await?;
        found.meta.version = Some(self.version(path));
        Ok(found)
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let bucket = self.clone();
        paths
            .and_then(move |path| {
                let bucket = bucket.clone();
                async move {
                    let bytes = bucket.inner.get(&path).await?.bytes().await?;
                    let hidden = hidden(&path, &bucket.version(&path));
                    bucket.hidden.put(&hidden, bytes.into()).await?;
                    *bucket
                        .deleted
                        .lock()
                        .unwrap()
                        .entry(path.clone())
                        .or_default() += 1;
                    bucket.inner.delete(&path).await?;
                    Ok(path)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn made(seq: u64, days_ago: i64, room: u64) -> Made {
    acts::made(seq, t::MESSAGE_POSTED, days_ago, Some(seq), room)
}

async fn plan_and_run(process: &Process) -> run::RunReport {
    let (plan, _) = save(process).await;
    run_plan(process, &plan).await
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_a_bucket_keeps_are_told_until_they_are_gone_and_keep_no_hold_from_being_placed()
 {
    let bucket = Arc::new(Versioned::default());
    let faulty = FaultyStore::new(bucket.clone());
    let store: Arc<dyn ObjectStore> = faulty.clone();
    world::begin_in(&store).await;
    let one = process(&store).await;
    let events: Vec<Made> = (1..=4).map(|seq| made(seq, 800, seq % 2)).collect();
    ingest(&one.archive, &events[..2]).await.unwrap();
    ingest(&one.archive, &events[2..]).await.unwrap();
    let report = plan_and_run(&one).await;
    // A purge that breaks off between putting the probe and deleting it.
    let at_the_probe = Plan::nth(1, Fault::Before).on(&[Operation::Delete]);
    faulty.faults().plan(at_the_probe.path(".probe"));
    let error = purge::run(&one.ledger, &one.by).await.unwrap_err();
    assert!(matches!(error, DispositionError::Store { .. }), "{error}");
    for again in [false, true] {
        let error = purge::run(&one.ledger, &one.by).await.unwrap_err();
        let DispositionError::Versioned { count, record, .. } = &error else {
            panic!("{error}")
        };
        assert!(error.to_string().contains("hint: "), "{error}");
        let listed = one.archive.store().get(&Path::from(record.as_str())).await;
        let listed = listed.unwrap().bytes().await.unwrap();
        let listed: BTreeMap<String, BTreeSet<String>> = serde_json::from_slice(&listed).unwrap();
        let versions: usize = listed.values().map(BTreeSet::len).sum();
        assert_eq!(versions, *count, "{listed:?}");
        let segments = listed.keys().filter(|path| path.ends_with(".parquet"));
        assert_eq!(segments.count(), 2, "{listed:?}");
        // Somebody stores one of them once more: both of its versions are told then, and another probe is deleted after it, which stands for the first.
        let twice = listed.values().filter(|versions| versions.len() == 2);
        assert_eq!(twice.count(), usize::from(again), "{listed:?}");
        let probe = listed.iter().find(|(path, _)| path.ends_with(".probe"));
        let version = format!("v-{}", u32::from(again));
        assert_eq!(probe.unwrap().1, &BTreeSet::from([version]), "{listed:?}");
        if !again {
            let segment = listed.keys().find(|path| path.ends_with(".parquet"));
            let segment = Path::from(segment.unwrap().as_str());
            bucket.inner.put(&segment, "again".into()).await.unwrap();
        }
    }
    // What is past its point of no return must not keep a hold from being placed; its receipt says so.
    let receipt = place(&process(&store).await, "h", room("r-1")).await;
    assert_eq!(
        (receipt.coverage.events, receipt.purged_before.len()),
        (0, 1)
    );
    // Whoever removes what is listed by name leaves what nobody can name: the probe stands for that.
    let is_probe = |path: &str| path.contains(".probe@");
    bucket.remove_versions(|path| !is_probe(path)).await;
    let error = purge::run(&one.ledger, &one.by).await.unwrap_err();
    let DispositionError::Versioned { count, path, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((*count, path.ends_with(".probe")), (1, true), "{error}");
    bucket.remove_versions(is_probe).await;
    purge::run(&one.ledger, &one.by).await.unwrap();
    let state = one.ledger.refresh().await.unwrap();
    assert!(state.open_intents().is_empty());
    assert_eq!(
        purge::of_run(&state, &report.run),
        Some(receipt.purged_before[0].as_str())
    );
    let error = restore::run(&one.ledger, &one.by, &report.run)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cannot be put back"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_a_list_names_the_rule_that_removed_it_and_the_account_is_complete() {
    let inner = world::begin().await;
    let one = process(&inner).await;
    // Beside the policy of a year, one that deletes a room after ten days.
    let policy = PolicySet {
        name: "chatter".to_owned(),
        scope: PolicyScope {
            rooms: vec![RoomRef {
                id: "r-2".to_owned(),
                name: None,
            }],
            ..PolicyScope::default()
        },
        period: "10d".to_owned(),
        time_zone: None,
        action: PolicyAction::Delete,
        explicit: true,
        reason: None,
    };
    write(&one, Act::PolicySet(policy)).await;
    let events = [
        made(1, 800, 1),
        made(2, 800, 2),
        made(3, 700, 2),
        made(4, 100, 1),
        made(5, 500, 1),
    ];
    for two in events.chunks(2) {
        ingest(&one.archive, two).await.unwrap();
    }
    let report = plan_and_run(&one).await;
    let outcome = report.outcome.unwrap();
    assert_eq!(outcome.events, 4);
    let certificate = Certificate::of(
        &one.archive,
        &outcome.certificate,
        &outcome.certificate_sha256,
    );
    let certificate = certificate.await.unwrap();
    let by: Vec<(&str, u64)> = certificate
        .rules
        .iter()
        .map(|rule| (rule.policy.as_str(), rule.rows.len()))
        .collect();
    assert_eq!(by, [("chatter", 2), ("year", 2)]);
    // Some of it comes back for a hold before the rest is purged.
    let receipt = place(&one, "h", room("r-1")).await;
    assert_eq!(receipt.restored, 2);
    let taken = || async {
        let (snapshot, state) = (
            one.archive.snapshot().await.unwrap(),
            one.ledger.refresh().await.unwrap(),
        );
        let account = account(&one.archive, &snapshot, &state).await.unwrap();
        let removed = account.removed.values().flatten().map(|one| one.sequence);
        (removed.collect::<Vec<_>>(), account.problems)
    };
    assert_eq!(taken().await, (vec![2, 3], Vec::new()));
    purge::run(&one.ledger, &one.by).await.unwrap();
    assert_eq!(taken().await, (vec![2, 3], Vec::new()));
    let lines = read_list(&one.archive, &report.run).await.unwrap().unwrap();
    for line in &lines {
        assert_eq!(line.rule.as_deref(), Some("chatter"));
        assert_eq!(line.policy_version, Some(certificate.policies["chatter"]));
        assert!(line.commit.is_some() && line.room_seq.is_some());
    }
    let snapshot = one.ledger.archive().snapshot().await.unwrap();
    let id = events[1].id();
    let explained = explain(&one.ledger, &snapshot, &id).await.unwrap();
    assert!(
        matches!(explained, Explanation::Away(Away::Gone { line, .. }) if line.rule.as_deref() == Some("chatter"))
    );
    // A list that somebody shortens is found out: its purge wrote its digest down.
    let path = Path::from(format!("ledger/certificates/{}.jsonl", report.run));
    let list = inner.get(&path).await.unwrap().bytes().await.unwrap();
    let first = list.iter().position(|byte| *byte == b'\n').unwrap();
    inner
        .put(&path, list.slice(first + 1..).into())
        .await
        .unwrap();
    let (_, problems) = taken().await;
    assert!(problems[0].1.contains("SHA-256"), "{problems:?}");
    inner.delete(&path).await.unwrap();
    let (_, problems) = taken().await;
    assert!(problems[0].1.contains("gone"), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_tells_what_differs_from_the_one_before_and_from_other_policies() {
    let one = process(&world::begin().await).await;
    let now = || one.ledger.now_us();
    let events = [made(1, 800, 1), made(2, 800, 2), made(3, 100, 2)];
    ingest(&one.archive, &events).await.unwrap();
    let first = plan_file::make(&one.ledger, now()).await.unwrap();
    let (saved, _) = plan_file::save(&one.ledger, &one.by, &first).await.unwrap();
    place(&one, "h", room("r-1")).await;
    ingest(&one.archive, &[made(4, 900, 2)]).await.unwrap();
    let second = plan_file::make(&one.ledger, now()).await.unwrap();
    let found = plan_file::against_saved(&one.ledger, &second, &saved)
        .await
        .unwrap();
    assert_eq!((found.more, found.fewer), (1, 1));
    assert_eq!(found.goes.len(), 2, "{:?}", found.goes);
    assert_eq!(found.stays.len(), 1, "{:?}", found.stays);
    let (saved, _) = plan_file::save(&one.ledger, &one.by, &second)
        .await
        .unwrap();
    let file = plan_file::PlanFile::of(&one.archive, &saved).await.unwrap();
    assert_eq!(file.before.map(|(_, difference)| difference), Some(found));
    // By another policy more would go; nothing is written for asking.
    let shorter = PolicySet {
        name: "short".to_owned(),
        scope: PolicyScope::default(),
        period: "30d".to_owned(),
        time_zone: None,
        action: PolicyAction::RetainThenDelete,
        explicit: false,
        reason: None,
    };
    let entries = one.ledger.refresh().await.unwrap().head.seq;
    let other = plan_file::make_by(&one.ledger, now(), Some(&[shorter]))
        .await
        .unwrap();
    let found = plan_file::against(&one.ledger, &other, &second)
        .await
        .unwrap();
    assert_eq!((found.more, found.fewer), (1, 0));
    assert_eq!(one.ledger.refresh().await.unwrap().head.seq, entries);
}
