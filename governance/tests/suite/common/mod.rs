//! What the tests of this crate share.
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use holdfast_archive::Archive;
use holdfast_archive::clock::{Environment, system_now_ms};
use holdfast_fixtures::FaultyStore;
use holdfast_governance::actor::By;
use holdfast_governance::ledger::{Appended, Context, Judged, Ledger, LedgerError, LedgerOptions};
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::actor::{ActorAdd, Role};
use holdfast_schemas::ledger::matter::MatterOpen;
use holdfast_schemas::ledger::reading::Search;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use url::Url;

/// The machine's clock, moved by so much.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) by_ms: AtomicI64,
    random: AtomicU64,
}

impl Environment for Moved {
    fn now_ms(&self) -> i64 {
        system_now_ms() + self.by_ms.load(Ordering::SeqCst)
    }
    fn random(&self) -> u64 {
        self.random
            .fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst)
    }
}

pub(crate) fn options() -> LedgerOptions {
    LedgerOptions {
        environment: Arc::new(Moved::default()),
        append_time_max: Duration::from_millis(200),
    }
}

pub(crate) fn url() -> Url {
    Url::parse("memory:///").unwrap()
}

pub(crate) async fn archive_in(store: Arc<dyn ObjectStore>) -> Archive {
    Archive::create_in(store, url()).await.unwrap()
}

pub(crate) async fn memory() -> (Arc<FaultyStore>, Archive) {
    let store = FaultyStore::new(Arc::new(InMemory::new()));
    let archive = archive_in(store.clone()).await;
    (store, archive)
}

pub(crate) async fn open(archive: &Archive) -> Ledger {
    Ledger::open_with(archive, options()).await.unwrap()
}

/// Another process: nothing is shared with those before.
pub(crate) async fn reopened(store: &Arc<FaultyStore>) -> Archive {
    Archive::open_in(store.clone(), url()).await.unwrap()
}

pub(crate) fn search(query: &str) -> Act {
    Act::Search(Search {
        command: "search".to_owned(),
        query: Some(query.to_owned()),
        options: Default::default(),
        table_version: None,
    })
}

pub(crate) fn matter(name: &str) -> MatterOpen {
    MatterOpen {
        name: name.to_owned(),
        title: None,
    }
}

pub(crate) async fn open_matter(
    ledger: &Ledger,
    by: &By,
    name: &str,
) -> Result<Appended, LedgerError> {
    let open = matter(name);
    ledger
        .append(by, Context::default(), |state| {
            holdfast_governance::matter::judge_open(state, &open)
        })
        .await
}

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

pub(crate) fn signing(name: &str, number: u8) -> By {
    By::signing(name, key(number))
}

pub(crate) fn actor(name: &str, number: u8, roles: &[Role]) -> ActorAdd {
    ActorAdd {
        name: name.to_owned(),
        roles: roles.iter().copied().collect(),
        key: signing(name, number).public_key().unwrap(),
    }
}

pub(crate) async fn add(
    ledger: &Ledger,
    by: &By,
    actor: &ActorAdd,
) -> Result<Appended, LedgerError> {
    ledger
        .append_or_request(by, Context::default(), |state| {
            holdfast_governance::actor::judge_add(state, actor)
        })
        .await
}

pub(crate) async fn write(ledger: &Ledger, by: &By, act: Act) -> Result<Appended, LedgerError> {
    ledger
        .append(by, Context::default(), |_| Ok(Judged::Write(act.clone())))
        .await
}
