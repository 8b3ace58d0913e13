//! `holdfast hold`: legal holds.

use clap::{Args, Subcommand};
use holdfast_governance::hold::{self, Coverage};
use holdfast_governance::ledger::state::HoldState;
use holdfast_governance::{config, config::Key};
use holdfast_schemas::ledger::hold::{HoldPlace, HoldRelease, HoldScope};
use holdfast_schemas::time::format_us;
use serde_json::{Value, json};

use crate::Outcome;
use crate::cli::{Format, Global};
use crate::failure::Failure;
use crate::governance::HoldArgs;
use crate::ledger::Acting;
use crate::open;
use crate::output::Ui;
use crate::output::listing::{self, Item};
use crate::output::text::{bytes, counted};

/// Legal holds
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast hold preview --custodian ana@example.com --since 2026-01-01
  holdfast hold place north-prices --matter INV-2026-07 --custodian ana@example.com --room deals --reason 'letter of 3 May'
  holdfast hold verify north-prices
  holdfast hold release north-prices --reason settled --yes

Custodians, rooms and categories widen (one of them is enough), types, dates and the query narrow (all must agree). A message
is held with all its versions, reactions and files if any part of it is. When `place` says so, nothing it covers can be removed.")]
pub struct HoldCommandArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: HoldCommand,
}

/// What to do with holds.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// What a hold would cover
    Preview {
        /// Its scope.
        #[command(flatten)]
        scope: Box<HoldArgs>,
    },
    /// Place a hold
    Place {
        /// Its name, never used again
        name: String,
        /// The matter it belongs to
        #[arg(long, value_name = "MATTER")]
        matter: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Its scope.
        #[command(flatten)]
        scope: Box<HoldArgs>,
    },
    /// All holds
    List,
    /// One hold and its scope
    Show {
        /// Its name
        name: String,
    },
    /// Prove that nothing a hold covers was removed
    Verify {
        /// Its name
        name: String,
    },
    /// End a hold, after a grace
    Release {
        /// Its name
        name: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// How long it holds all the same, as in 30d [default: the setting hold.release_grace]
        #[arg(long, value_name = "PERIOD")]
        grace: Option<String>,
        /// Only show what it covers, and what would go without it: what happens without --yes, too
        #[arg(long, conflicts_with = "yes")]
        preview: bool,
        /// Do it
        #[arg(long)]
        yes: bool,
    },
}

/// Previews, places, lists, shows, verifies or releases holds.
///
/// # Errors
/// A name means nothing or too much, the act is refused, or the archive or the ledger cannot be read or written.
pub async fn run(args: &HoldCommandArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let acting = Acting::open(&opened.archive, global).await?;
    let searcher = open::searcher(&opened.archive, global);
    match &args.command {
        HoldCommand::Preview { scope } => {
            crate::ledger::looked(&opened, global, "hold preview", &[]).await?;
            let scope = scope.scope(&acting, &searcher, &opened.snapshot).await?;
            let coverage = hold::preview(&acting.ledger, &opened.snapshot, &scope).await?;
            coverage_out("would cover", &coverage, json!({}), ui)?;
            Ok(Outcome::found(coverage.events > 0))
        }
        HoldCommand::Place {
            name,
            matter,
            reason,
            scope,
        } => {
            let place = HoldPlace {
                name: name.clone(),
                matter: matter.clone(),
                scope: scope.scope(&acting, &searcher, &opened.snapshot).await?,
                reason: reason.clone(),
                table_version: opened.snapshot.version(),
            };
            let receipt = hold::place(&acting.ledger, &acting.by, &place).await?;
            let what = format!(
                "placed hold `{name}` (entry {}, fenced at {}, version {}); covers",
                receipt.entry,
                receipt.fence.unwrap_or_default(),
                receipt.table_version
            );
            let more = json!({
                "hold": name, "entry": receipt.entry, "fence": receipt.fence, "version": receipt.table_version,
                "restored": receipt.restored, "purged_before": receipt.purged_before,
            });
            coverage_out(&what, &receipt.coverage, more, ui)?;
            if receipt.restored > 0 {
                ui.note(&format!(
                    "{} that retention had taken out came back",
                    counted(receipt.restored, "event")
                ));
            }
            if !receipt.purged_before.is_empty() {
                ui.note(&format!(
                    "what was purged before is beyond any hold: {}",
                    receipt.purged_before.join(", ")
                ));
            }
            Ok(Outcome::Done)
        }
        HoldCommand::List => {
            let state = acting.ledger.state();
            let items: Vec<Item> = state
                .holds
                .iter()
                .map(|(name, hold)| item(name, hold))
                .collect();
            listing::found("holds", &HEADINGS, &items, ui)
        }
        HoldCommand::Show { name } => {
            let state = acting.ledger.state();
            let Some(hold) = state.holds.get(name) else {
                ui.note("there is no hold of this name");
                ui.hint("`holdfast hold list` shows them");
                return Ok(Outcome::NothingFound);
            };
            let mut item = item(name, hold);
            item.json["scope"] = json!(hold.place.scope);
            item.json["expansions"] = json!(hold.expansions.len());
            listing::write("holds", &HEADINGS, &[item], ui)?;
            Ok(Outcome::Done)
        }
        HoldCommand::Verify { name } => verify(name, &acting, ui).await,
        HoldCommand::Release {
            name,
            reason,
            grace,
            preview: _,
            yes,
        } => {
            let now_us = open::now_us();
            let holds_until_us = now_us.saturating_add(grace_us(grace.as_deref(), &acting)?);
            if !yes {
                let proof = hold::verify(&acting.ledger, &acting.by, name).await?;
                let freed = Box::pin(hold::freed(&acting.ledger, name)).await?;
                let until = format_us(holds_until_us);
                coverage_out(
                    &format!("hold `{name}` would hold until {until}; covers"),
                    &proof.now,
                    json!({ "hold": name, "until": until, "would_go": freed }),
                    ui,
                )?;
                let freed = counted(freed, "event");
                ui.note(&format!(
                    "{freed} of them would go with the next run, were it not for this hold"
                ));
                ui.hint("`--yes` releases it");
                return Ok(Outcome::Done);
            }
            let release = HoldRelease {
                name: name.clone(),
                reason: reason.clone(),
                holds_until_us,
            };
            let fenced = Box::pin(hold::release(&acting.ledger, &acting.by, &release)).await?;
            // Whoever releases it again changes nothing: what is written down counts.
            let state = acting.ledger.state();
            let written = state
                .holds
                .get(name)
                .and_then(|hold| hold.released.as_ref());
            let until_us = written.map_or(holds_until_us, |(_, release)| release.holds_until_us);
            let until = format_us(until_us);
            let entry = fenced.appended.seq;
            let verb = if now_us < until_us { "holds" } else { "held" };
            let line = match until_us == holds_until_us {
                true => format!("released hold `{name}` (entry {entry}); it {verb} until {until}"),
                false => format!(
                    "hold `{name}` was released before (entry {entry}); it {verb} until {until}"
                ),
            };
            listing::done(
                &line,
                &json!({ "hold": name, "entry": fenced.appended.seq, "until": until }),
                ui,
            )?;
            Ok(Outcome::Done)
        }
    }
}

async fn verify(name: &str, acting: &Acting, ui: &mut Ui) -> Result<Outcome, Failure> {
    let proof = hold::verify(&acting.ledger, &acting.by, name).await?;
    let then = proof
        .matched_then
        .map_or("unknown (its receipt is missing)".to_owned(), |events| {
            counted(events, "event")
        });
    let line = format!(
        "hold `{name}`: matched then {then}, now {}, removed {} (version {})",
        counted(proof.now.events, "event"),
        proof.removed,
        proof.table_version
    );
    let value = json!({
        "hold": name, "then": proof.matched_then, "now": proof.now.events, "removed": proof.removed, "version": proof.table_version,
    });
    listing::done(&line, &value, ui)?;
    Ok(if proof.removed == 0 && proof.matched_then.is_some() {
        Outcome::Done
    } else {
        Outcome::Partial
    })
}

fn grace_us(given: Option<&str>, acting: &Acting) -> Result<i64, Failure> {
    let seconds = match given {
        None => config::span_s(&acting.ledger.state(), Key::ReleaseGrace),
        Some(text) => config::parse_span(text).ok_or_else(|| {
            Failure::mistake(
                format!("`--grace {text}` is no period"),
                "for example `--grace 30d` or `--grace 0d`",
            )
        })?,
    };
    Ok(i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000))
}

/// Counts, and the rooms, custodians and authors with most events.
fn coverage_out(what: &str, coverage: &Coverage, more: Value, ui: &mut Ui) -> Result<(), Failure> {
    let mut value = more;
    value["events"] = json!(coverage.events);
    value["bytes"] = json!(coverage.bytes);
    value["rooms"] = json!(coverage.by_room);
    value["custodians"] = json!(coverage.by_custodian);
    value["authors"] = json!(coverage.by_author);
    let line = format!(
        "{what} {}, about {}",
        counted(coverage.events, "event"),
        bytes(coverage.bytes)
    );
    listing::done(&line, &value, ui)?;
    if ui.format == Format::Table {
        let by = [
            ("room", &coverage.by_room),
            ("custodian", &coverage.by_custodian),
            ("author", &coverage.by_author),
        ];
        for (name, counts) in by {
            let mut most: Vec<_> = counts.iter().collect();
            most.sort_by_key(|(id, events)| (std::cmp::Reverse(**events), (*id).clone()));
            for (id, events) in most.into_iter().take(10) {
                let id = if id.is_empty() { "(none)" } else { id.as_str() };
                let line = format!("  {name} {id}: {}", counted(*events, "event"));
                writeln!(ui.out(), "{}", crate::output::text::escape(&line))?;
            }
        }
    }
    Ok(())
}

const HEADINGS: [&str; 7] = [
    "HOLD", "MATTER", "STATUS", "PLACED", "BY", "SCOPE", "REASON",
];

fn item(name: &str, hold: &HoldState) -> Item {
    let now_us = open::now_us();
    let status = match &hold.released {
        None => "holds".to_owned(),
        Some((_, release)) if hold.holds_at(now_us) => format!(
            "released, holds until {}",
            format_us(release.holds_until_us)
        ),
        Some(_) => "released".to_owned(),
    };
    let placed = format_us(hold.placed.time_us);
    let scope = words(&hold.place.scope);
    let json = json!({
        "hold": name, "matter": hold.place.matter, "status": status, "placed": placed, "by": hold.placed.actor,
        "reason": hold.place.reason, "entry": hold.placed.seq, "scope_text": scope,
    });
    let cells = vec![
        name.to_owned(),
        hold.place.matter.clone(),
        status,
        placed,
        hold.placed.actor.clone(),
        scope,
        hold.place.reason.clone(),
    ];
    Item { cells, json }
}

/// A scope in words.
fn words(scope: &HoldScope) -> String {
    let mut parts = Vec::new();
    parts.extend(
        scope
            .custodians
            .iter()
            .map(|one| format!("custodian {}", one.given)),
    );
    parts.extend(
        scope
            .rooms
            .iter()
            .map(|one| format!("room {}", one.name.as_deref().unwrap_or(&one.id))),
    );
    parts.extend(scope.categories.iter().map(|one| format!("category {one}")));
    parts.extend(scope.types.iter().map(|one| format!("type {one}")));
    parts.extend(scope.since_us.map(|us| format!("since {}", format_us(us))));
    parts.extend(scope.until_us.map(|us| format!("until {}", format_us(us))));
    parts.extend(scope.query.iter().map(|query| format!("query {query}")));
    parts.join(", ")
}
