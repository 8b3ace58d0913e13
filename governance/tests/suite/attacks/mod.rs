//! Attacks on holds, runs, purges and the ledger, one promise a test: races, crashes, what was forged, what came late.

mod allowed;
mod broken_off;
mod forged;
mod holds;

use holdfast_governance::actor::By;
use holdfast_governance::ledger::{Context, Judged};
use holdfast_schemas::event_type as t;
use holdfast_schemas::ledger;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::hold::{HoldPlace, HoldScope};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::model::acts::made;
use crate::model::events::Made;
use crate::model::world::Process;

/// Entries of the ledger, not its other objects.
const ENTRIES: &str = "ledger/0000";

fn old(sequences: std::ops::RangeInclusive<u64>) -> Vec<Made> {
    sequences
        .map(|seq| made(seq, t::MESSAGE_POSTED, 800, Some(seq), seq % 2))
        .collect()
}

async fn store(process: &Process, path: &str, bytes: Vec<u8>) {
    let path = Path::from(path);
    process
        .archive
        .store()
        .put(&path, bytes.into())
        .await
        .unwrap();
}

fn signing(name: &str, number: u8) -> By {
    By::signing(name, ed25519_dalek::SigningKey::from_bytes(&[number; 32]))
}

fn actor(name: &str, number: u8, roles: &[ledger::actor::Role]) -> Act {
    Act::ActorAdd(ledger::actor::ActorAdd {
        name: name.to_owned(),
        roles: roles.iter().copied().collect(),
        key: signing(name, number).public_key().unwrap(),
    })
}

async fn by(process: &Process, by: &By, act: Act) {
    let context = Context::default();
    let written = process
        .ledger
        .append_fenced(by, context, |_| Ok(Judged::Write(act.clone())));
    written.await.unwrap();
}

fn hold_of(name: &str, scope: HoldScope) -> HoldPlace {
    HoldPlace {
        name: name.to_owned(),
        matter: "m".to_owned(),
        scope,
        reason: "a test".to_owned(),
        table_version: 0,
    }
}

async fn objects(process: &Process, folder: &str) -> Vec<String> {
    use futures::TryStreamExt;
    let listed = process.archive.store().list(Some(&Path::from(folder)));
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    listed
        .into_iter()
        .map(|meta| meta.location.to_string())
        .collect()
}
