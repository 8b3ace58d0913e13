//! The account of what is gone names whatever does not add up: a forged number in the ledger, a run that it hides.

use holdfast_governance::disposition::account::account;
use holdfast_governance::ledger::State;
use holdfast_governance::purge;
use holdfast_schemas::event_type as t;

use crate::model::acts::{fresh, made, place, room, run_plan, save};
use crate::model::events::ingest;
use crate::model::world::Process;

/// The problems of an account by what the ledger says.
async fn problems(process: &Process, state: &State) -> Vec<String> {
    let snapshot = process.archive.snapshot().await.unwrap();
    let account = account(&process.archive, &snapshot, state).await.unwrap();
    let problems = account.problems.into_iter();
    problems
        .map(|(at, problem)| format!("{at}: {problem}"))
        .collect()
}

fn are(problems: &[String], expected: &[&str]) {
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for (problem, part) in problems.iter().zip(expected) {
        assert!(problem.contains(part), "{problem} is not about: {part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn re1_what_does_not_add_up_is_told_while_it_is_out_and_when_it_is_purged() {
    let process = fresh().await;
    let events = [1, 2, 3].map(|seq| made(seq, t::MESSAGE_POSTED, 900, Some(seq), seq));
    ingest(&process.archive, &events).await.unwrap();
    let (plan, _) = save(&process).await;
    let run = run_plan(&process, &plan).await.run;
    assert_eq!(place(&process, "h", room("r-3")).await.restored, 1);
    for purged in [false, true] {
        if purged {
            purge::run(&process.ledger, &process.by).await.unwrap();
        }
        let state = process.ledger.refresh().await.unwrap();
        are(&problems(&process, &state).await, &[]);

        let mut forged = (*state).clone();
        let known = forged.dispositions.get_mut(&run).unwrap();
        known.outcome.as_mut().unwrap().1.events += 1;
        let said = "certifies 3 events, the ledger says 4";
        let missing = "removed 4 events; 2 of them are listed or out, 1 came back";
        are(&problems(&process, &forged).await, &[said, missing]);

        let mut forged = (*state).clone();
        for restore in forged.restores.values_mut() {
            restore.outcome.as_mut().unwrap().1.events -= 1;
        }
        let missing = "removed 3 events; 2 of them are listed or out, 0 came back";
        are(&problems(&process, &forged).await, &[missing]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn re1_rows_that_are_out_without_an_outcome_are_told() {
    let process = fresh().await;
    let event = made(1, t::MESSAGE_POSTED, 900, Some(1), 1);
    ingest(&process.archive, &[event]).await.unwrap();
    let (plan, _) = save(&process).await;
    let run = run_plan(&process, &plan).await.run;
    let mut hidden = (*process.ledger.refresh().await.unwrap()).clone();
    hidden.dispositions.get_mut(&run).unwrap().outcome = None;
    let said = format!("run {run}: took rows out, and the ledger knows no outcome of it");
    assert_eq!(problems(&process, &hidden).await, [said]);
}
