//! `holdfast verify`: does the archive still say what was archived?

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use roaring::RoaringTreemap;

use crate::Outcome;
use crate::cli::{Format, Global};
use crate::failure::Failure;
use crate::open::{self, Opened};
use crate::output::progress::Progress;
use crate::output::table::{self, Column, plain};
use crate::output::text::{Look, Span, counted, escape, grouped};
use crate::output::{Ui, csv as safe};
use crate::scope::Dates;
use crate::verify::report::Report;
use crate::verify::rows::{Known, Marks, Origins, by_version};
use crate::verify::segments::Proof;
use crate::verify::{
    attachments, commits, dispositions, ledger, log, origins, segments, splits, statement,
};

/// Problems a table shows.
const PROBLEMS_MAX: usize = 50;

/// Hashes, counts, splits, positions, log chain and sequence gaps
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast verify
  holdfast verify --completeness --deep
  holdfast verify --completeness --custodian ana@example.com --since 2026-01-01
  holdfast --format json verify | jq '.problems[]'

Every segment's file is compared with the SHA-256 that its commit names; every event is hashed anew from its columns and
compared with the Merkle roots in the segments' footers and in the commits; counts, splits, positions, the log's chain of
digests and the origins' sequences are compared with each other; what retention or an erasure removed must stand in a
certificate and its list, or be out and restorable, to the last event. `--completeness` tells, by origin and room, through
which number everything was captured, what never arrived and since when nothing came, and recomputes the digests of
heartbeats. Files that were added without a digest are checked by their events only, and counted. Attachments are looked
at by `--deep` alone. Ends with 2 when anything is wrong. Memory: about 60 bytes an event; on object stores also one
segment's file a core.")]
pub struct VerifyArgs {
    /// Also read every attachment, and build every split anew and compare it
    #[arg(long)]
    pub deep: bool,
    /// Also tell how far each origin and room is complete
    #[arg(long)]
    pub completeness: bool,
    /// Of rooms, only those that this person wrote in or could see, while they could; may be given more than once
    #[arg(long, value_name = "PERSON", requires = "completeness")]
    pub custodian: Vec<String>,
    /// Of rooms and gaps, only those of this span of time; the whole archive is verified all the same.
    #[command(flatten)]
    pub dates: Dates,
    /// Also compare archive and ledger with an anchor: a path or URI that `holdfast anchor` wrote
    #[arg(long, value_name = "ANCHOR")]
    pub against: Option<String>,
    /// The time-stamp authorities to trust (PEM): needed for an anchor with a time stamp
    #[arg(long, value_name = "FILE", requires = "against")]
    pub tsa_ca: Option<PathBuf>,
}

/// Verifies.
///
/// # Errors
/// The archive cannot be read at all.
pub async fn run(args: &VerifyArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let live = opened.snapshot.segments().await?;
    let mut progress = Progress::new(ui, "verifying", live.iter().map(|s| s.rows).sum());
    let (proofs, origins) = segments::prove_all(&opened.archive, &live, &mut progress).await?;
    drop(progress);
    let mut report = Report {
        version: opened.snapshot.version(),
        ..Report::default()
    };
    let mut gathered = Gathered::of(&live, proofs, origins, &mut report);
    let archived = archived(&opened).await?;
    let gone = dispositions::verify(&opened, &mut report).await?;
    tables(&opened, &mut gathered, &gone, &mut report).await?;
    let problems = origins::compare(&archived, &gathered.present, &gone.sequences());
    report.enter(
        origins::CHECK,
        archived.len() as u64,
        "origins",
        None,
        problems,
    );
    if args.completeness {
        let asked = statement::asked(args, &opened, global).await?;
        let known = statement::Known {
            archived: &archived,
            present: &gathered.present,
            marks: &gathered.marks,
            origins: &gathered.origins,
            gone: &gone,
        };
        statement::enter(&opened, &live, &asked, &known, &mut report).await?;
    }
    let searcher = open::searcher(&opened.archive, global);
    let problems = splits::verify(&opened.archive, &searcher, &live, args.deep).await?;
    report.enter(splits::CHECK, live.len() as u64, "splits", None, problems);
    if args.deep {
        let found = attachments::verify(&opened.archive, &gathered.digests).await?;
        let note = (found.pending > 0).then(|| format!("{} pending", grouped(found.pending)));
        report.enter(
            attachments::CHECK,
            gathered.digests.len() as u64,
            "files",
            note,
            found.problems,
        );
    }
    ledger::verify(args, &opened, &mut report).await?;
    ledger::record(args, global, &opened, &report).await?;
    write(&report, ui)?;
    tell(&report, ui);
    Ok(if report.is_sound() {
        Outcome::Done
    } else {
        Outcome::Partial
    })
}

/// What all segments prove together.
struct Gathered {
    /// Rows, by segment.
    marks: Vec<Marks>,
    origins: Origins,
    present: origins::Present,
    roots: Known,
    footers: Vec<commits::Written>,
    digests: BTreeSet<String>,
}

impl Gathered {
    /// Puts the proofs together and enters their problems.
    fn of(
        live: &[std::sync::Arc<holdfast_archive::Segment>],
        proofs: Vec<Proof>,
        origins: Origins,
        report: &mut Report,
    ) -> Self {
        let mut all = Self {
            marks: Vec::with_capacity(proofs.len()),
            origins,
            present: origins::Present::default(),
            roots: Known::default(),
            footers: Vec::new(),
            digests: BTreeSet::new(),
        };
        let mut problems = Vec::new();
        let mut without_digest = 0;
        for (segment, proof) in live.iter().zip(proofs) {
            without_digest += u64::from(segment.sha256.is_none());
            if let Some((version, root)) = proof.root {
                all.roots.insert(version, (proof.marks.rows().len(), root));
            }
            all.marks.push(proof.marks);
            all.present.merge(proof.present);
            all.footers
                .extend(proof.footer.map(|footer| commits::Written {
                    path: segment.path.clone(),
                    version: segment.commit_version,
                    commit_id: footer.commit_id.to_string(),
                    positions: footer.positions,
                }));
            all.digests.extend(proof.digests);
            problems.extend(proof.problems);
        }
        let events: usize = all.marks.iter().map(|marks| marks.rows().len()).sum();
        let events = counted(events as u64, "event");
        report.enter(
            segments::CHECK,
            live.len() as u64,
            "segments",
            Some(match without_digest {
                0 => format!("{events} hashed"),
                n => format!(
                    "{events} hashed, {} checked by that only: added without a digest",
                    counted(n, "file")
                ),
            }),
            problems,
        );
        all
    }
}

/// Compares log, commits and positions.
async fn tables(
    opened: &Opened,
    gathered: &mut Gathered,
    gone: &dispositions::Gone,
    report: &mut Report,
) -> Result<(), Failure> {
    let entries = log::read(&opened.archive).await?;
    let version = opened.snapshot.version();
    // After the log was listed: whatever was listed is reached from the beginning, unless an entry is missing.
    let head = opened.archive.snapshot().await?.version();
    let hidden = log::hidden(&entries, head);
    let entries: Vec<_> = entries
        .into_iter()
        .filter(|e| e.version <= version)
        .collect();
    let kept = entries.len() as u64;
    let note = entries
        .first()
        .filter(|e| e.version > 0)
        .map(|e| format!("versions below {} are in checkpoints", e.version));
    report.enter(
        log::CHECK,
        kept,
        "entries",
        note,
        log::chain(&entries, version)
            .into_iter()
            .chain(hidden)
            .chain(log::checkpoints(&opened.archive).await?)
            .collect(),
    );
    let (removed, erased) = gone.marks(&mut gathered.origins);
    let removed = Marks::new(removed, &gathered.origins);
    let rows = by_version(gathered.marks.iter().chain([&removed]));
    let (origins, roots) = (&gathered.origins, &gathered.roots);
    let (compared, mut problems) = commits::commits(&entries, &rows, origins, roots, erased);
    problems.extend(commits::writers(&entries, &gathered.footers));
    let note = (erased > 0).then(|| "some not compared: events of them were erased".to_owned());
    report.enter(commits::CHECK, compared, "commits", note, problems);
    let now = opened.snapshot.positions().await?;
    let problems = log::positions(&entries, &now, &gathered.footers);
    report.enter(
        log::CHECK_POSITIONS,
        now.len() as u64,
        "positions",
        None,
        problems,
    );
    Ok(())
}

/// Every origin's set of archived sequences.
async fn archived(opened: &Opened) -> Result<BTreeMap<String, RoaringTreemap>, Failure> {
    let mut sets = BTreeMap::new();
    for origin in opened.snapshot.origins().await? {
        let set = opened.snapshot.origin_set(&origin).await?;
        sets.insert(origin, set.as_ref().clone());
    }
    Ok(sets)
}

fn write(report: &Report, ui: &mut Ui) -> Result<(), Failure> {
    let (width, paint) = (ui.width, ui.paint);
    match ui.format {
        Format::Json | Format::Jsonl => {
            ui.json_line(report)?;
        }
        Format::Csv => {
            let mut out = safe::writer(ui.out());
            out.write_record(["check", "place", "message"])
                .map_err(safe::io_error)?;
            for problem in &report.problems {
                out.write_record([
                    problem.check,
                    &*safe::defuse(&problem.place),
                    &*safe::defuse(&problem.message),
                ])
                .map_err(safe::io_error)?;
            }
            out.flush()?;
        }
        Format::Table => {
            let columns = [
                Column::text("CHECK", 12),
                Column::text("RESULT", 14),
                Column::figure("CHECKED"),
                Column::text("", width),
            ];
            let rows: Vec<_> = report
                .checks
                .iter()
                .map(|check| {
                    let result = match check.problems {
                        0 => plain("ok"),
                        1 => vec![Span {
                            text: "1 problem".to_owned(),
                            look: Look::Hit,
                        }],
                        n => vec![Span {
                            text: format!("{} problems", grouped(n)),
                            look: Look::Hit,
                        }],
                    };
                    let note = check
                        .note
                        .as_deref()
                        .map(|n| format!(", {n}"))
                        .unwrap_or_default();
                    vec![
                        plain(check.name),
                        result,
                        plain(&grouped(check.checked)),
                        plain(&format!("{}{note}", check.unit)),
                    ]
                })
                .collect();
            table::write(ui.out(), &columns, &rows, width, paint)?;
            if let Some(completeness) = &report.completeness {
                statement::write(completeness, ui)?;
            }
        }
    }
    Ok(())
}

/// The problems for people, and what to do next.
fn tell(report: &Report, ui: &mut Ui) {
    if ui.format.is_machine() {
        return;
    }
    for problem in report.problems.iter().take(PROBLEMS_MAX) {
        ui.warn(&format!(
            "{}: {}: {}",
            problem.check,
            escape(&problem.place),
            escape(&problem.message)
        ));
    }
    if report.problems.len() > PROBLEMS_MAX {
        ui.warn(&format!(
            "{} problems more; `--format json` lists them all",
            grouped((report.problems.len() - PROBLEMS_MAX) as u64)
        ));
    }
    let all = |check: &str| report.problems.iter().all(|p| p.check == check);
    if report.is_sound() {
        ui.note("everything agrees");
    } else if all(splits::CHECK) {
        ui.hint("`holdfast reindex` builds missing splits anew from the segments, `holdfast reindex --all` every one; nothing is lost");
    } else if all(attachments::CHECK) {
        ui.hint("`holdfast-ingest run --attachments URI` copies files that are not there yet; restore damaged ones from a backup");
    } else if all(origins::CHECK) {
        ui.hint("send what is missing again from where it came from: ingest drops what is archived already");
    } else {
        ui.hint("stop ingest, keep the archive as it is, and restore what is named from a backup");
    }
}
