//! Appending to the ledger on a local disk.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use holdfast_archive::{Archive, Location};
use holdfast_governance::ledger::Ledger;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::reading::Search;

use super::archives;
use super::ms;
use crate::process::{median, quantile};
use crate::table::{Goal, Row};

const APPENDS: usize = 2_000;

pub(super) async fn measure(folder: &Path) -> Result<Row> {
    let archive = Archive::create(&Location::local(folder)).await?;
    let ledger = Ledger::open(&archive).await?;
    let mut seconds = Vec::with_capacity(APPENDS);
    for n in 0..APPENDS {
        let act = Act::Search(Search {
            command: "search".to_owned(),
            query: Some(format!("merger NEAR(5) \"due diligence\" {n}")),
            options: Default::default(),
            table_version: Some(0),
        });
        let begin = Instant::now();
        ledger.append_act(&archives::by(), None, act).await?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    let head = ledger.refresh().await?.head.seq;
    ensure!(head == APPENDS as u64, "{head} entries");
    std::fs::remove_dir_all(folder)?;
    let (half, p99) = (median(seconds.clone()), quantile(seconds, 0.99));
    Ok(Row {
        what: format!("ledger append p99 of {APPENDS}, ms (other: median)"),
        ours: ms(p99),
        other: ms(half),
        judged: p99 * 1e3,
        goal: Goal::AtMost(20.0),
    })
}
