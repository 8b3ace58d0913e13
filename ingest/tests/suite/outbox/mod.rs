//! Runs over a SQL outbox, on SQLite and on PostgreSQL: AR-1 and AR-2 as for Kafka.

use std::sync::Arc;

use crate::common::Bench;
use holdfast_archive::Archive;
use holdfast_ingest::pipeline::Stop;
use holdfast_ingest::settings::Settings;
use holdfast_ingest::{IngestError, Report, run_in};
use tokio::task::JoinHandle;

/// Each test once on SQLite and once on PostgreSQL.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Backend::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Backend::Postgres).await;
            })*
        }
    };
}

mod losses;
mod runs;

pub(crate) async fn positions(bench: &Bench) -> Vec<(String, i64)> {
    let snapshot = bench.archive.snapshot().await.unwrap();
    let mut positions = snapshot.positions().await.unwrap();
    positions.sort();
    positions
}

pub(crate) async fn position(bench: &Bench, app_id: &str) -> Option<i64> {
    let snapshot = bench.archive.snapshot().await.unwrap();
    snapshot.position(app_id).await.unwrap()
}

/// Every sequence of an origin that is archived as itself, in order; each is there once.
pub(crate) async fn sequences(bench: &Bench, origin: &str) -> Vec<u64> {
    let rows = bench.by_sequence().await;
    let own = rows.keys().filter(|(of, _)| of == origin);
    own.map(|(_, sequence)| *sequence).collect()
}

/// A run that ends when it is told to.
pub(crate) fn in_background(
    archive: &Archive,
    settings: Settings,
) -> (Arc<Stop>, JoinHandle<Result<Report, IngestError>>) {
    let stop = Arc::new(Stop::default());
    let run = run_in(settings, archive.clone(), Arc::clone(&stop));
    (stop, tokio::spawn(run))
}
