//! `holdfast ledger`: what was done, by whom, and whether the record of it still holds.

use clap::{Args, Subcommand};
use holdfast_governance::ledger::verify::{self, Report};
use holdfast_governance::ledger::{Ledger, LedgerOptions, Record};
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::reading::Verification;
use holdfast_schemas::time::format_us;
use serde_json::{Value, json};

use crate::Outcome;
use crate::cli::Global;
use crate::failure::Failure;
use crate::ledger::Acting;
use crate::open::{self, Opened};
use crate::output::Ui;
use crate::output::listing::{self, Item};
use crate::output::text::{escape, grouped};
use crate::scope::Dates;

/// Entries read at a time.
const ENTRIES_AT_ONCE: u64 = 512;

/// The record of every act, search and export
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast ledger log --matter INV-2026-07
  holdfast --format jsonl ledger log --since 2026-11-01 | jq -r .action
  holdfast ledger verify
  holdfast ledger head

Every act, search and export is an entry before its effect or result is visible. An entry holds the hash of the one before;
`verify` names what was edited, deleted, inserted or exchanged, and a tail that was cut off shows against the table. A rewrite of
everything by whoever owns the store shows only against an anchor (`holdfast anchor`).")]
pub struct LedgerArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LedgerCommand,
}

/// What to do with the ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Entries, oldest first
    Log(LogArgs),
    /// Look at every entry: is it what was written?
    Verify,
    /// The last entry and its hash
    Head,
    /// Remove the words of an entry (its parameters): an act of its own, after which the chain still holds
    Forget {
        /// The entry's number
        entry: u64,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Options of `ledger log`.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Only entries of this matter
    #[arg(long, value_name = "MATTER")]
    matter: Option<String>,
    /// The span of time.
    #[command(flatten)]
    dates: Dates,
    /// Only this act, such as `search` or `hold.place`; may be given more than once
    #[arg(long, value_name = "ACTION")]
    action: Vec<String>,
}

/// Shows or verifies the ledger, or removes words from it.
///
/// # Errors
/// The ledger cannot be read or written.
pub async fn run(args: &LedgerArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    match &args.command {
        LedgerCommand::Log(args) => log(args, &opened, ui).await,
        LedgerCommand::Verify => verified(&opened, global, ui).await,
        LedgerCommand::Head => {
            let ledger = Ledger::open(&opened.archive).await?;
            let head = ledger.state().head;
            let fence = opened
                .snapshot
                .position(holdfast_archive::LEDGER_APP_ID)
                .await?;
            let line = format!("{} {}", head.seq, head.hash);
            let json = json!({ "entry": head.seq, "hash": head.hash, "time": format_us(head.time_us), "fence": fence });
            listing::done(&line, &json, ui)?;
            Ok(Outcome::found(head.seq > 0))
        }
        LedgerCommand::Forget { entry, reason } => {
            let acting = Acting::open(&opened.archive, global).await?;
            let done = acting
                .ledger
                .remove_params(&acting.by, *entry, reason)
                .await?;
            let line = format!("removed the words of entry {entry} (entry {})", done.seq);
            listing::done(&line, &json!({ "removed": entry, "entry": done.seq }), ui)?;
            Ok(Outcome::Done)
        }
    }
}

async fn log(args: &LogArgs, opened: &Opened, ui: &mut Ui) -> Result<Outcome, Failure> {
    let (since, until) = args.dates.bounds()?;
    let since_us = since.map_or(i64::MIN, |span| span.from_us);
    let until_us = until.map_or(i64::MAX, |span| span.to_us);
    let ledger = Ledger::open(&opened.archive).await?;
    let mut items = Vec::new();
    let mut next = 1;
    loop {
        let records = ledger.records(next, ENTRIES_AT_ONCE).await?;
        let read = records.len() as u64;
        let wanted = records.into_iter().filter(|record| {
            let entry = &record.entry;
            (since_us..until_us).contains(&entry.time_us)
                && args
                    .matter
                    .as_ref()
                    .is_none_or(|m| entry.matter.as_ref() == Some(m))
                && (args.action.is_empty() || args.action.contains(&entry.action))
        });
        for record in wanted {
            items.push(item(&record)?);
        }
        next += read;
        if read < ENTRIES_AT_ONCE {
            break;
        }
    }
    let headings = ["ENTRY", "TIME", "ACTOR", "ACTION", "MATTER", "WHAT"];
    listing::found("entries", &headings, &items, ui)
}

fn item(record: &Record) -> Result<Item, Failure> {
    let entry = &record.entry;
    let params = match &record.params {
        Some(params) => params.act.params().map_err(std::io::Error::other)?,
        None => Value::Null,
    };
    let what = match &params {
        Value::Null => "(removed)".to_owned(),
        other => brief(other),
    };
    Ok(Item {
        cells: vec![
            entry.seq.to_string(),
            format_us(entry.time_us),
            entry.actor.clone(),
            entry.action.clone(),
            entry.matter.clone().unwrap_or_default(),
            what,
        ],
        json: json!({
            "entry": entry.seq, "time": format_us(entry.time_us), "actor": entry.actor, "signed": entry.signature.is_some(),
            "action": entry.action, "matter": entry.matter, "params": params, "hash": entry.hash,
        }),
    })
}

/// Parameters in one line: members that are text or figures.
fn brief(params: &Value) -> String {
    let Value::Object(members) = params else {
        return params.to_string();
    };
    let parts = members.iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some(format!("{name}={text}")),
        Value::Number(number) => Some(format!("{name}={number}")),
        Value::Bool(flag) => Some(format!("{name}={flag}")),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    });
    parts.collect::<Vec<_>>().join(" ")
}

async fn verified(opened: &Opened, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let report = verify::verify(&opened.archive, LedgerOptions::default()).await?;
    let act = Act::Verification(Verification {
        what: "ledger".to_owned(),
        subject: None,
        table_version: opened.snapshot.version(),
        problems: report.findings.len() as u64,
        figures: [("entries".to_owned(), report.entries)].into(),
        sha256: None,
    });
    // A ledger that cannot be written on is reported all the same: that it is broken is the result.
    let recorded = match Acting::open(&opened.archive, global).await {
        Ok(acting) => acting.reading(None, act).await,
        Err(failure) => Err(failure),
    };
    match recorded {
        Ok(()) => {}
        Err(_) if !report.findings.is_empty() => {
            ui.warn("this verification could not be recorded in the ledger that it found broken");
        }
        Err(failure) => return Err(failure),
    }
    write(&report, ui)
}

fn write(report: &Report, ui: &mut Ui) -> Result<Outcome, Failure> {
    let items: Vec<Item> = report
        .findings
        .iter()
        .map(|finding| Item {
            cells: vec![
                finding.seq.to_string(),
                finding.tampering.word().to_owned(),
                finding.text.clone(),
            ],
            json: json!({ "entry": finding.seq, "tampering": finding.tampering.word(), "text": finding.text }),
        })
        .collect();
    if ui.format.is_machine() {
        let findings: Vec<&Value> = items.iter().map(|item| &item.json).collect();
        let json = json!({
            "entries": report.entries, "signed": report.signed, "head": report.head.seq, "hash": report.head.hash,
            "fence": report.fence, "orphans": report.orphans, "unknown": report.unknown, "findings": findings,
        });
        ui.json_line(&json)?;
    } else {
        listing::write("findings", &["ENTRY", "TAMPERING", "WHAT"], &items, ui)?;
        if items.is_empty() {
            let line = format!(
                "entries: {}, signed: {}, all as they were written; head {} {}",
                grouped(report.entries),
                grouped(report.signed),
                report.head.seq,
                report.head.hash
            );
            writeln!(ui.out(), "{line}")?;
        }
    }
    for (action, seq) in &report.unknown {
        ui.warn(&format!(
            "entry {seq} is an act of a newer version: {}; what it does is not known here",
            escape(action)
        ));
    }
    if report.findings.is_empty() {
        return Ok(Outcome::Done);
    }
    ui.hint("keep the archive as it is, and compare `ledger/` with a backup and with the anchors");
    Ok(Outcome::Partial)
}
