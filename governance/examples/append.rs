//! How long an append takes on a local disk, and opening a long ledger:
//! `cargo run --release -p holdfast-governance --example append -- FOLDER [ENTRIES]`

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use holdfast_archive::{Archive, Location};
use holdfast_governance::actor::By;
use holdfast_governance::ledger::{Context, Judged, Ledger};
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::origin::OriginExpect;
use holdfast_schemas::ledger::reading::Search;

fn tell(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!(
        "{what}: p50 {:?}, p99 {:?}, most {:?}, {} times",
        at(50),
        at(99),
        at(100),
        times.len()
    );
}

fn search(n: usize) -> Act {
    Act::Search(Search {
        command: "search".to_owned(),
        query: Some(format!("words of query {n}")),
        options: Default::default(),
        table_version: None,
    })
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let folder = args.next().unwrap();
    let entries: usize = args.next().map_or(2000, |n| n.parse().unwrap());
    let archive = Archive::create(&Location::local(folder)).await.unwrap();
    let ledger = Ledger::open(&archive).await.unwrap();
    let by = By::claim("measure");
    let mut times = Vec::new();
    for n in 0..entries {
        let started = Instant::now();
        ledger.append_act(&by, None, search(n)).await.unwrap();
        times.push(started.elapsed());
    }
    tell("append", &mut times);
    times.clear();
    for n in 0..entries / 10 {
        let act = Act::OriginExpect(OriginExpect {
            origin: n.to_string(),
        });
        let started = Instant::now();
        let fenced = ledger
            .append_fenced(&by, Context::default(), |_| Ok(Judged::Write(act.clone())))
            .await;
        fenced.unwrap();
        times.push(started.elapsed());
    }
    tell("append and fence", &mut times);
    times.clear();
    for _ in 0..100 {
        let started = Instant::now();
        let again = Ledger::open(&archive).await.unwrap();
        times.push(started.elapsed());
        assert_eq!(again.state().head.seq, ledger.state().head.seq);
    }
    tell("open", &mut times);
}
