//! What is in the outbox is archived, each row once, with its position.

use std::sync::Arc;

use holdfast_archive::{Archive, Location};
use holdfast_ingest::pipeline::Stop;
use holdfast_ingest::run_in;

use super::{in_background, position, positions, sequences};
use crate::common::outbox::{Backend, Outbox, drain, settings, stored};
use crate::common::{Archived, Bench, event};
use holdfast_fixtures::eventually;

on_both![
    ar1_every_row_is_archived_once_with_its_position,
    ar1_incarnations_follow_each_other,
    ar1_until_idle_waits_for_rows_without_a_sequence,
    ar1_rows_that_are_no_events_are_quarantined_under_their_sequence,
    ar1_large_rows_are_read_in_bounded_pages,
    ar1_a_run_that_is_told_to_end_is_gone_on_with,
    ar1_two_processes_archive_everything_once_and_one_takes_over,
    ar1_a_node_that_cannot_be_told_holds_nothing_back,
    a_database_without_an_outbox_is_an_error_with_a_hint,
];

async fn ar1_every_row_is_archived_once_with_its_position(backend: Backend) {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(backend, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    outbox.fill("main.1", 1..=20_000).await;
    let first = drain(&bench.archive, &outbox.source, &[]).await.unwrap();
    assert_eq!((first.archived, first.consumed), (20_000, 20_000));
    let rows = bench.by_sequence().await;
    for number in [1, 9_000, 20_000] {
        let row = &rows[&("main.1".to_owned(), number)];
        let expected: serde_json::Value = serde_json::from_str(&stored("main.1", number)).unwrap();
        assert_eq!(row.id, expected["id"].as_str().unwrap());
    }
    assert_eq!(
        positions(&bench).await,
        [
            ("outbox-origin/main.1".to_owned(), 1000),
            ("outbox/main.1".to_owned(), 20_000)
        ]
    );
    assert_eq!(outbox.told("main.1").await, Some(20_000));
    // Nothing new: nothing is read, nothing is committed.
    let again = drain(&bench.archive, &outbox.source, &[]).await.unwrap();
    assert_eq!((again.consumed, again.commits), (0, 0));
    // What is archived may be deleted.
    outbox
        .execute("delete from outbox where sequence <= 19990")
        .await;
    outbox.fill("main.1", 20_001..=20_010).await;
    let third = drain(&bench.archive, &outbox.source, &[]).await.unwrap();
    assert_eq!((third.consumed, third.archived), (10, 10));
    assert!(sequences(&bench, "main.1").await.into_iter().eq(1..=20_010));
}

async fn ar1_incarnations_follow_each_other(backend: Backend) {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(backend, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    outbox.fill("main.1", 1..=300).await;
    let (stop, run) = in_background(&bench.archive, settings(&outbox.source, false, &[]));
    outbox.until_told("main.1", 300).await;
    // While it is read: a new incarnation, and the tenth, which is not before the second.
    outbox.origin("main", 2).await;
    outbox.fill("main.2", 1..=200).await;
    outbox.until_told("main.2", 200).await;
    outbox.origin("main", 10).await;
    outbox.fill("main.10", 1..=5).await;
    outbox.until_told("main.10", 5).await;
    stop.ask();
    assert_eq!(run.await.unwrap().unwrap().archived, 505);
    for (origin, last) in [("main.1", 300), ("main.2", 200), ("main.10", 5)] {
        assert!(
            sequences(&bench, origin).await.into_iter().eq(1..=last),
            "{origin}"
        );
    }
    let rows = bench.rows().await;
    let commit = |origin: &str| {
        let own = rows.iter().filter(|row| row.origin == origin);
        own.map(|row| row.commit_version).max().unwrap()
    };
    assert!(commit("main.1") < commit("main.2") && commit("main.2") < commit("main.10"));
}

async fn ar1_until_idle_waits_for_rows_without_a_sequence(backend: Backend) {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(backend, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    outbox.fill("main.1", 1..=10).await;
    let more: Vec<String> = (11..=20).map(|n| stored("main.1", n)).collect();
    outbox.insert(&more).await;
    let (_, run) = in_background(&bench.archive, settings(&outbox.source, true, &[]));
    // What could be read is archived before the run ends, so that a run that ended there would have archived ten.
    outbox.until_told("main.1", 10).await;
    outbox.sequence("main.1").await;
    assert_eq!(run.await.unwrap().unwrap().archived, 20);
    assert!(sequences(&bench, "main.1").await.into_iter().eq(1..=20));
}

async fn ar1_rows_that_are_no_events_are_quarantined_under_their_sequence(backend: Backend) {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(backend, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    let mut events: Vec<String> = (1..=8).map(|n| stored("main.1", n)).collect();
    events[1] = "no JSON".into();
    events[3] = r#"{"id":"x"}"#.into();
    // Has its place already, as if somebody had forged it.
    events[5] = String::from_utf8(event("main.1", 6, 9)).unwrap();
    outbox.insert(&events).await;
    outbox.sequence("main.1").await;
    if backend == Backend::Sqlite {
        let odd = "update outbox set event = x'7b22ff227d' where sequence = 7";
        outbox.execute(odd).await;
    }
    let odd = if backend == Backend::Sqlite { 4 } else { 3 };
    let report = drain(&bench.archive, &outbox.source, &[]).await.unwrap();
    assert_eq!((report.archived, report.quarantined), (8 - odd, odd));
    let quarantined = |rows: &[Archived]| {
        let mut found: Vec<_> = rows
            .iter()
            .filter(|row| row.event_type == "holdfast.quarantined")
            .map(|row| (row.origin.clone(), row.sequence, row.raw.clone().unwrap()))
            .collect();
        found.sort();
        found
    };
    let rows = bench.rows().await;
    let found = quarantined(&rows);
    assert_eq!(found.len() as u64, odd);
    for (origin, sequence, raw) in &found {
        assert_eq!(origin, "quarantine/outbox/main.1");
        let text = String::from_utf8_lossy(raw);
        match sequence {
            2 => assert_eq!(text, "no JSON"),
            4 => assert!(
                text.starts_with(r#"{"id":"x","origin":"main.1","#),
                "{text}"
            ),
            6 => assert!(text.contains("message 6"), "{text}"),
            7 => assert_eq!(raw, b"{\"\xff\"}"),
            other => panic!("sequence {other} is no odd one"),
        }
    }
    let reason = rows.iter().find(|row| row.sequence == 2).unwrap();
    let reason = reason.extra.as_deref().unwrap();
    assert!(
        reason.contains("outbox/main.1: sequence 2") && reason.contains("no JSON object"),
        "{reason}"
    );
    // From the beginning again, as another archive's positions would have it: all of it is known.
    let commits = drain(&bench.archive, &outbox.source, &[]).await.unwrap();
    assert_eq!(commits.consumed, 0);
    assert_eq!(position(&bench, "outbox/main.1").await, Some(8));
}

async fn ar1_large_rows_are_read_in_bounded_pages(backend: Backend) {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(backend, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    let large = |n: u64, bytes: usize| {
        let mut event: serde_json::Value = serde_json::from_str(&stored("main.1", n)).unwrap();
        event["data"]["note"] = "x".repeat(bytes).into();
        event.to_string()
    };
    for n in 1..=24 {
        // The last one is over the contract's limit.
        let bytes = if n == 24 { 3 << 20 } else { 1 << 20 };
        outbox.insert(&[large(n, bytes)]).await;
    }
    outbox.fill("main.1", 25..=2000).await;
    let mut settings = settings(&outbox.source, true, &[]);
    // Less than all of them: they can only pass one after the other.
    settings.in_flight_bytes_max = 8 << 20;
    let run = run_in(settings, bench.archive.clone(), Arc::new(Stop::default()));
    let report = run.await.unwrap();
    assert_eq!((report.archived, report.quarantined), (1999, 1));
    assert_eq!(bench.by_sequence().await.len(), 2000);
}

async fn ar1_a_run_that_is_told_to_end_is_gone_on_with(backend: Backend) {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(backend, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    let (mut archived, mut last) = (0, 0);
    // Told to end before anything, while the rest is on its way, and after all of it.
    for enough in [0, 1, 350, 650, 700] {
        let before = archived;
        let mut settings = settings(&outbox.source, false, &[]);
        settings.flush.rows = 50;
        let (stop, run) = in_background(&bench.archive, settings);
        outbox.fill("main.1", last + 1..=last + 700).await;
        last += 700;
        eventually("some are archived", async || {
            let position = position(&bench, "outbox/main.1").await.unwrap_or(0);
            (position.unsigned_abs() >= before + enough).then_some(())
        })
        .await;
        stop.ask();
        let report = run.await.unwrap().unwrap();
        archived += report.archived;
        assert_eq!(report.duplicates, 0, "what was committed is not read again");
        let position = position(&bench, "outbox/main.1").await.unwrap_or(0);
        assert_eq!(
            position.unsigned_abs(),
            archived,
            "everything read was committed"
        );
        assert_eq!(outbox.told("main.1").await.unwrap_or(0), position);
    }
    archived += drain(&bench.archive, &outbox.source, &[])
        .await
        .unwrap()
        .archived;
    assert_eq!(archived, last);
    assert!(sequences(&bench, "main.1").await.into_iter().eq(1..=last));
}

async fn ar1_two_processes_archive_everything_once_and_one_takes_over(backend: Backend) {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(backend, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    outbox.fill("main.1", 1..=2000).await;
    let location = Location::local(bench.folder.path().join("archive"));
    let mut runs = Vec::new();
    for _process in 0..2 {
        // As two processes: neither sees what the other remembers.
        let archive = Archive::open(&location).await.unwrap();
        runs.push(in_background(
            &archive,
            settings(&outbox.source, false, &[]),
        ));
    }
    let mut last = 2000;
    for _batch in 0..10 {
        outbox.fill("main.1", last + 1..=last + 100).await;
        last += 100;
        outbox
            .until_told("main.1", i64::try_from(last).unwrap())
            .await;
    }
    let mut archived = 0;
    for (stop, run) in runs {
        // The one that ends first was at work or stood by: the other one goes on.
        stop.ask();
        archived += run.await.unwrap().unwrap().archived;
        if archived < last {
            outbox.fill("main.1", last + 1..=last + 50).await;
            last += 50;
            outbox
                .until_told("main.1", i64::try_from(last).unwrap())
                .await;
        }
    }
    assert_eq!(archived, last);
    assert!(sequences(&bench, "main.1").await.into_iter().eq(1..=last));
}

async fn ar1_a_node_that_cannot_be_told_holds_nothing_back(backend: Backend) {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(backend, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    outbox.fill("main.1", 1..=100).await;
    outbox.execute("drop table outbox_readers").await;
    let report = drain(&bench.archive, &outbox.source, &[]).await.unwrap();
    assert_eq!(report.archived, 100);
}

async fn a_database_without_an_outbox_is_an_error_with_a_hint(backend: Backend) {
    let bench = Bench::new().await;
    let source = match backend {
        Backend::Sqlite => {
            format!("outbox:sqlite://{}", bench.path("no.db").display())
        }
        Backend::Postgres => {
            let url = tokio::task::spawn_blocking(|| crate::common::outbox::postgres().database());
            format!("outbox:{}", url.await.unwrap().unwrap())
        }
    };
    let error = drain(&bench.archive, &source, &[]).await.unwrap_err();
    assert!(error.to_string().contains("hint: check the URL"), "{error}");
    assert!(!bench.path("no.db").exists(), "a reader makes no database");
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_postgresql_restarts_under_a_reader() {
    let mut server =
        tokio::task::spawn_blocking(|| holdfast_fixtures::Postgres::start(&[]).unwrap())
            .await
            .unwrap();
    let bench = Bench::new().await;
    let url = server.database().unwrap();
    let mut outbox = Outbox::postgres(&url).await;
    outbox.origin("main", 1).await;
    outbox.fill("main.1", 1..=3000).await;
    let (stop, run) = in_background(&bench.archive, settings(&outbox.source, false, &[]));
    outbox.until_told("main.1", 3000).await;
    for round in 1..=2_u64 {
        // As if the machine had failed; what is asked meanwhile is refused or breaks off.
        tokio::task::block_in_place(|| {
            server.restart(&[]).unwrap();
        });
        outbox = Outbox::reopen_postgres(&url).await;
        let last = 3000 + round * 500;
        outbox.fill("main.1", last - 499..=last).await;
        outbox
            .until_told("main.1", i64::try_from(last).unwrap())
            .await;
        assert!(!run.is_finished());
    }
    stop.ask();
    assert_eq!(run.await.unwrap().unwrap().archived, 4000);
    assert!(sequences(&bench, "main.1").await.into_iter().eq(1..=4000));
}
