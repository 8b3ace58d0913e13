//! HO-1 and LE-1 by model: random histories of ingest, holds, plans, runs, purges, restores, compaction and collection,
//! with processes that die at any store operation, are told wrong things by the store, or come back late.
//!
//! `HOLDFAST_SEEDS` histories from `HOLDFAST_SEED` on; each prints its seed when it fails.

mod history;
mod ops;

use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_governance::ledger::state::IntentEnd;

use crate::model::world::process;
use history::Model;

/// What happened in all histories together: a model in which nothing happens would pass, too.
static HAPPENED: [AtomicU64; 7] = [const { AtomicU64::new(0) }; 7];
const WHAT: [&str; 7] = [
    "holds",
    "runs",
    "restores",
    "purges",
    "abandoned",
    "erasures",
    "policies",
];

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .filter(|text| !text.is_empty())
        .map_or(default, |text| text.parse().unwrap())
}

async fn history(seed: u64) {
    let mut model = Box::pin(Model::new(seed)).await;
    for _ in 0..14 {
        let step = Box::pin(model.step());
        let caught = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(step)).await;
        if let Err(panic) = caught {
            eprintln!("seed {seed}:\n{}", model.log.join("\n"));
            std::panic::resume_unwind(panic);
        }
    }
    let state = process(&model.inner).await.ledger.state();
    let abandoned = state
        .intents
        .values()
        .filter(|intent| matches!(intent.end, Some(IntentEnd::Abandoned(_))));
    let counts = [
        state.holds.len(),
        state
            .dispositions
            .values()
            .filter(|run| run.outcome.is_some())
            .count(),
        state
            .restores
            .values()
            .filter(|restore| restore.outcome.is_some())
            .count(),
        state
            .purges
            .values()
            .filter(|purge| purge.outcome.is_some())
            .count(),
        abandoned.count(),
        state
            .erasures
            .values()
            .map(|erasure| erasure.outcomes.len())
            .sum(),
        state.policies.len() - 1,
    ];
    for (total, count) in HAPPENED.iter().zip(counts) {
        total.fetch_add(count as u64, Ordering::SeqCst);
    }
}

#[test]
fn ho1_le1_random_histories_keep_what_holds_cover_and_account_for_the_rest() {
    let (first, seeds) = (number("HOLDFAST_SEED", 1), number("HOLDFAST_SEEDS", 150));
    let next = AtomicU64::new(first);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap();
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= first + seeds {
                        return;
                    }
                    runtime.block_on(Box::pin(history(seed)));
                }
            });
        }
    });
    for (what, count) in WHAT.iter().zip(&HAPPENED) {
        let count = count.load(Ordering::SeqCst);
        eprintln!("{what}: {count}");
        assert!(count > 0 || seeds < 20, "no {what} in {seeds} histories");
    }
}
