//! Processes over one store: healthy ones, ones that die at an operation, ones that are paused and come back late.

use std::sync::Arc;
use std::time::Duration;

use holdfast_archive::{Archive, OpenOptions};
use holdfast_fixtures::FaultyStore;
use holdfast_governance::actor::By;
use holdfast_governance::ledger::{Context, Judged, Ledger, LedgerOptions};
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::config::ConfigSet;
use holdfast_schemas::ledger::matter::MatterOpen;
use holdfast_schemas::ledger::policy::{PolicyAction, PolicyScope, PolicySet};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use url::Url;

/// How long a commit or an entry tries against a store that is dead.
const TRY: Duration = Duration::from_millis(8);

/// One process.
pub(crate) struct Process {
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) archive: Archive,
    pub(crate) ledger: Ledger,
    pub(crate) by: By,
}

fn options() -> OpenOptions {
    OpenOptions {
        commit_time_max: TRY,
        maintenance: false,
        ..OpenOptions::default()
    }
}

pub(crate) fn url() -> Url {
    Url::parse("memory:///").unwrap()
}

/// A new process over what is stored.
pub(crate) async fn process(inner: &Arc<dyn ObjectStore>) -> Process {
    let store = FaultyStore::new(Arc::clone(inner));
    let archive = Archive::open_in_with(store.clone(), url(), options())
        .await
        .unwrap();
    let ledger = Ledger::open_with(
        &archive,
        LedgerOptions {
            append_time_max: TRY,
            ..LedgerOptions::default()
        },
    )
    .await
    .unwrap();
    Process {
        store,
        archive,
        ledger,
        by: By::claim("model"),
    }
}

/// An empty archive that deletes everything after a year, without any grace.
pub(crate) async fn begin() -> Arc<dyn ObjectStore> {
    let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    begin_in(&inner).await;
    inner
}

/// The same in a store.
pub(crate) async fn begin_in(inner: &Arc<dyn ObjectStore>) {
    Archive::create_in(Arc::clone(inner), url()).await.unwrap();
    let process = process(inner).await;
    configure(&process.ledger, &process.by).await;
}

/// Everything goes after a year, without any grace.
pub(crate) async fn configure(ledger: &Ledger, by: &By) {
    let set = |key: &str| {
        Act::ConfigSet(ConfigSet {
            key: key.to_owned(),
            value: "0d".to_owned(),
        })
    };
    let policy = PolicySet {
        name: "year".to_owned(),
        scope: PolicyScope::default(),
        period: "1y".to_owned(),
        time_zone: None,
        action: PolicyAction::RetainThenDelete,
        explicit: false,
        reason: None,
    };
    let matter = Act::MatterOpen(MatterOpen {
        name: "m".to_owned(),
        title: None,
    });
    for act in [
        set("retention.grace"),
        set("retention.ingest_grace"),
        matter,
        Act::PolicySet(policy),
    ] {
        ledger
            .append_fenced(by, Context::default(), |_| Ok(Judged::Write(act.clone())))
            .await
            .unwrap();
    }
}

pub(crate) async fn write(process: &Process, act: Act) {
    process
        .ledger
        .append_fenced(&process.by, Context::default(), |_| {
            Ok(Judged::Write(act.clone()))
        })
        .await
        .unwrap();
}
