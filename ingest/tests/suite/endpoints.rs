//! `/healthz` and `/readyz` of a run: before it is ready, and once a part of it has failed.

use std::net::SocketAddr;
use std::sync::Arc;

use holdfast_archive::Archive;
use holdfast_fixtures::endpoint::{free_address, get, metric};
use holdfast_fixtures::{Fault, FaultyStore, Operation, PATIENCE, Plan, eventually};
use holdfast_ingest::IngestError;
use object_store::memory::InMemory;
use url::Url;

use crate::common::outbox::{Outbox, settings};
use crate::common::{Bench, event};
use crate::outbox::in_background;

/// The status of `/healthz`, and that of `/readyz`.
fn statuses(address: SocketAddr) -> Option<(u16, u16)> {
    let status = |path| get(address, path).map(|(status, _)| status);
    Some((status("/healthz")?, status("/readyz")?))
}

async fn until_ready(address: SocketAddr) {
    let ready = async || (statuses(address)? == (200, 200)).then_some(());
    eventually("healthy and ready", ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_healthy_but_not_ready_before_its_outbox_has_answered() {
    let bench = Bench::new().await;
    let file = bench.path("chat.db");
    let source = format!("outbox:sqlite://{}", file.display());
    let mut settings = settings(&source, false, &[]);
    let address = free_address();
    settings.metrics = Some(address);
    settings.outbox.start_patience = PATIENCE;
    let (stop, run) = in_background(&bench.archive, settings);
    eventually("the source has asked in vain", async || {
        let (_, text) = get(address, "/metrics")?;
        (metric(&text, "holdfast_ingest_source_failures_total")? > 0.0).then_some(())
    })
    .await;
    assert_eq!(statuses(address), Some((200, 503)));
    let outbox = Outbox::sqlite(&file).await;
    until_ready(address).await;
    stop.ask();
    run.await.unwrap().unwrap();
    outbox.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_which_a_part_has_failed_is_neither_healthy_nor_ready() {
    let bench = Bench::new().await;
    let lines: Vec<_> = (1..=10).map(|n| event("o", n, 0)).collect();
    let mut settings = bench.settings(&bench.write("a.jsonl", &lines));
    let address = free_address();
    settings.metrics = Some(address);
    let store = FaultyStore::new(Arc::new(InMemory::new()));
    let url = Url::parse("memory:///archive").unwrap();
    let archive = Archive::create_in(store.clone(), url).await.unwrap();
    // The store hangs, and with it the run: it cannot end before the answers are looked at.
    let faults = store.faults();
    let put = Plan::nth(1, Fault::PauseBefore).on(&[Operation::Put]);
    faults.plan(put.path("event_year"));
    let (stop, run) = in_background(&archive, settings);
    faults.paused(1).await;
    assert_eq!(statuses(address), Some((200, 200)));
    stop.fail(IngestError::Machine {
        what: "a part",
        problem: "it failed".to_owned(),
    });
    assert_eq!(statuses(address), Some((503, 503)));
    faults.release();
    let error = run.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "a part: it failed");
}
