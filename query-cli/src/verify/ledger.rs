//! The ledger's chain, and an anchor if one is given; and the verification itself, which is an act.

use holdfast_governance::anchor;
use holdfast_governance::ledger::LedgerOptions;
use holdfast_governance::ledger::verify as chain;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::reading::Verification;

use super::report::{Problem, Report};
use crate::cli::Global;
use crate::commands::verify::VerifyArgs;
use crate::failure::Failure;
use crate::ledger::Acting;
use crate::open::Opened;

/// Name of this check.
pub const CHECK: &str = "ledger";
/// Name of the comparison with an anchor.
pub const CHECK_ANCHOR: &str = "anchor";

/// Verifies the chain, and compares it and the table with an anchor.
///
/// # Errors
/// The ledger's folder or the anchor cannot be read.
pub async fn verify(
    args: &VerifyArgs,
    opened: &Opened,
    report: &mut Report,
) -> Result<(), Failure> {
    let found = chain::verify(&opened.archive, LedgerOptions::default()).await?;
    let problems = found.findings.iter().map(|finding| {
        let place = format!("entry {}", finding.seq);
        let message = format!("{}: {}", finding.tampering.word(), finding.text);
        problem(CHECK, place, message)
    });
    let signed = (found.signed > 0).then(|| format!("{} signed", found.signed));
    report.enter(CHECK, found.entries, "entries", signed, problems.collect());
    let Some(place) = &args.against else {
        return Ok(());
    };
    let file = anchor::get(place).await?;
    let authorities = args.tsa_ca.as_deref();
    let compared = Box::pin(anchor::check::check(
        &opened.archive,
        &found,
        &file,
        authorities,
    ));
    let compared = compared.await?;
    let problems = compared
        .problems
        .into_iter()
        .map(|message| problem(CHECK_ANCHOR, place.clone(), message));
    let note = match &compared.stamped {
        Some(stamped) => format!(
            "stamped {} by {}",
            holdfast_schemas::time::format_us(stamped.time_us),
            stamped.authority
        ),
        None => format!("{} replaced since", compared.segments_replaced),
    };
    let segments = file.anchor.segments;
    report.enter(
        CHECK_ANCHOR,
        segments,
        "segments",
        Some(note),
        problems.collect(),
    );
    Ok(())
}

/// Records the verification, before its result is shown. A ledger that was found broken may not take it: that is told.
///
/// # Errors
/// The ledger is whole and cannot be written.
pub async fn record(
    args: &VerifyArgs,
    global: &Global,
    opened: &Opened,
    report: &Report,
) -> Result<(), Failure> {
    let what = match (args.against.is_some(), args.deep, args.completeness) {
        (true, _, _) => "anchor",
        (false, true, _) => "deep",
        (false, false, true) => "completeness",
        (false, false, false) => "archive",
    };
    let mut quarantined = 0;
    for origin in opened.snapshot.origins().await? {
        if !super::origins::is_dense(&origin) {
            quarantined += opened.snapshot.origin_count(&origin);
        }
    }
    let act = Act::Verification(Verification {
        what: what.to_owned(),
        subject: args.against.clone(),
        table_version: report.version,
        problems: report.problems.len() as u64,
        figures: report
            .checks
            .iter()
            .map(|check| (check.name.to_owned(), check.checked))
            .chain([("quarantined".to_owned(), quarantined)])
            .collect(),
        sha256: None,
    });
    let recorded = match Acting::open(&opened.archive, global).await {
        Ok(acting) => acting.reading(None, act).await,
        Err(failure) => Err(failure),
    };
    match recorded {
        Err(_) if report.problems.iter().any(|p| p.check == CHECK) => Ok(()),
        other => other,
    }
}

fn problem(check: &'static str, place: String, message: String) -> Problem {
    Problem {
        check,
        place,
        message,
    }
}
