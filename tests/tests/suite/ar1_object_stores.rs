//! AR-1 on real object stores: the whole life of an archive there, and writers that race for the same version.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use holdfast_fixtures::{Generator, Profile, conversation};
use holdfast_tests::archived::{Archived, expected};
use holdfast_tests::bucket::{Bucket, Place, Protocol};
use holdfast_tests::pipeline::write_lines;
use holdfast_tests::program::{Daemon, Finished, run, run_with};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tempfile::TempDir;

const WRITERS: usize = 2;
/// Every event is in every writer's file. A file is read in blocks of 2 MiB, about 3,700 events: at least ten versions to
/// race for.
const EVENTS: u64 = 40_000;
const VERSIONS_MIN: u64 = 10;
const FLUSH_ROWS: &str = "100";

fn holdfast(place: &Place, arguments: &[&str]) -> Finished {
    let archive = ["--archive", place.url()];
    run_with(
        "holdfast",
        arguments.iter().chain(&archive),
        place.variables(),
    )
}

fn ingest_arguments<'a>(source: &'a str, archive: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["run", "--source", source, "--archive", archive];
    arguments.push("--until-idle");
    arguments
}

fn exported(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("events.jsonl")).unwrap()
}

/// The archive's life in a folder: what the same commands give there.
fn in_a_folder(folder: &Path, source: &str) -> Vec<u8> {
    let archive = folder.join("local").to_string_lossy().into_owned();
    let out = folder.join("local-export");
    let _ = run("holdfast", ["init", "--archive", &archive]).success();
    let _ = run("holdfast-ingest", ingest_arguments(source, &archive)).success();
    let export = ["export", "*", "--as", "jsonl", "--allow-missing"];
    let place = ["--archive", &archive, "--out", out.to_str().unwrap()];
    let _ = run("holdfast", export.iter().chain(&place)).success();
    exported(&out)
}

/// Objects under a prefix of the place.
async fn objects(store: &Arc<dyn ObjectStore>, folder: &str) -> usize {
    let listed: Vec<_> = store
        .list(Some(&folder.into()))
        .try_collect()
        .await
        .unwrap();
    listed.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_conversation_lives_on_s3_as_in_a_folder() {
    lives_as_in_a_folder(&Bucket::shared(Protocol::S3).place()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_conversation_lives_on_azure_as_in_a_folder() {
    lives_as_in_a_folder(&Bucket::shared(Protocol::Azure).place()).await;
}

async fn lives_as_in_a_folder(place: &Place) {
    let folder = TempDir::new().unwrap();
    let lines = folder.path().join("conversation.jsonl");
    write_lines(&lines, conversation::lines());
    let source = format!("jsonl:{}", lines.display());
    let expected = expected(conversation::lines());

    let missing = holdfast(place, &["status"]);
    assert_eq!(missing.status.code(), Some(2), "{}", missing.stderr);
    assert!(
        missing.stderr.contains("there is no archive"),
        "{}",
        missing.stderr
    );
    let _ = holdfast(place, &["init"]).success();
    let again = holdfast(place, &["init"]);
    assert_eq!(again.status.code(), Some(2), "{}", again.stderr);
    // The first half, then all of it, so that there is something to compact; then all of it again, which adds nothing.
    let half = folder.path().join("half.jsonl");
    let (events, first) = (conversation::event_count(), conversation::event_count() / 2);
    let first_lines = conversation::lines().take(usize::try_from(first).unwrap());
    write_lines(&half, first_lines);
    let half = format!("jsonl:{}", half.display());
    for (source, archived) in [(&half, first), (&source, events - first), (&source, 0)] {
        let mut arguments = ingest_arguments(source, place.url());
        arguments.push("--no-upkeep");
        let report = run_with("holdfast-ingest", arguments, place.variables())
            .success()
            .json();
        assert_eq!(report["archived"], archived, "{report}");
    }
    let check = async |context: &str| {
        let archive = place.open().await;
        Archived::read(&archive)
            .await
            .assert_exactly_once(&expected, context);
        let found = holdfast(place, &["search", "契約", "--count"]).success();
        assert_ne!(found.stdout.trim(), "0", "{context}");
        // What is in a split that this store cannot serve is scanned, and found too; but a verification ends with 2 then.
        let _ = holdfast(place, &["verify"]).success();
        found.stdout
    };
    let found = check("ingested").await;

    let store = place.store();
    let segments = objects(&store, "events/event_year=2026").await
        + objects(&store, "events/event_year=2025").await;
    assert!(segments > 1, "{segments} segments");
    let _ = holdfast(place, &["compact", "--all"]).success();
    assert_eq!(check("compacted").await, found);
    let before = objects(&store, "events").await + objects(&store, "index").await;
    let gc = ["gc", "--yes", "--min-age", "0s", "--grace", "0s"];
    let _ = holdfast(place, &gc).success();
    let after = objects(&store, "events").await + objects(&store, "index").await;
    assert!(after < before, "{before} objects before gc, {after} after");
    assert_eq!(check("collected").await, found);

    let out = folder.path().join("export");
    let out_argument = out.to_string_lossy();
    let export = [
        "export",
        "*",
        "--as",
        "jsonl",
        "--allow-missing",
        "--out",
        &out_argument,
    ];
    let _ = holdfast(place, &export).success();
    assert!(
        exported(&out) == in_a_folder(folder.path(), &source),
        "the export differs from the one of a folder"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_two_writers_race_for_every_version_on_s3_and_each_event_is_archived_once() {
    two_writers_race(&Bucket::shared(Protocol::S3).place()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_two_writers_race_for_every_version_on_azure_and_each_event_is_archived_once() {
    two_writers_race(&Bucket::shared(Protocol::Azure).place()).await;
}

async fn two_writers_race(place: &Place) {
    let _ = holdfast(place, &["init"]).success();
    let folder = TempDir::new().unwrap();
    let events: Vec<_> = Generator::new(Profile::new(31, EVENTS))
        .map(|event| event.json)
        .collect();
    let writers: Vec<Daemon> = (0..WRITERS)
        .map(|n| {
            // Both have all of it; each begins at another place.
            let mut lines = events.clone();
            lines.rotate_left(n * events.len() / WRITERS);
            let path = folder.path().join(format!("{n}.jsonl"));
            write_lines(&path, lines);
            let source = format!("jsonl:{}", path.display());
            let mut arguments = ingest_arguments(&source, place.url());
            arguments.extend(["--flush-rows", FLUSH_ROWS, "--no-upkeep"]);
            Daemon::start_with("holdfast-ingest", arguments, place.variables())
        })
        .collect();
    let (mut archived, mut duplicates) = (0, 0);
    for writer in writers {
        let report = writer.finished(Duration::from_secs(300)).success().json();
        archived += report["archived"].as_u64().unwrap() + report["quarantined"].as_u64().unwrap();
        duplicates += report["duplicates"].as_u64().unwrap();
    }
    assert_eq!(archived, EVENTS);
    assert_eq!(duplicates, EVENTS * (WRITERS as u64 - 1));
    let archive = place.open().await;
    let found = Archived::read(&archive).await;
    found.assert_exactly_once(&expected(&events), "two writers");
    assert!(found.version >= VERSIONS_MIN, "version {}", found.version);
    let _ = holdfast(place, &["verify"]).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_of_many_puts_where_nothing_may_be_one_lands_on_s3() {
    one_put_lands(&Bucket::shared(Protocol::S3).place()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_of_many_puts_where_nothing_may_be_one_lands_on_azure() {
    one_put_lands(&Bucket::shared(Protocol::Azure).place()).await;
}

/// What commits rest on, of the server itself: a test on a server without it must not pass by luck.
async fn one_put_lands(place: &Place) {
    let store = place.store();
    for round in 0..20 {
        let path = object_store::path::Path::from(format!("slot/{round}"));
        let puts: Vec<_> = (0..8u8)
            .map(|writer| {
                let (store, path) = (Arc::clone(&store), path.clone());
                tokio::spawn(async move {
                    let options = PutOptions::from(PutMode::Create);
                    let put = store.put_opts(&path, vec![writer].into(), options).await;
                    match put {
                        Ok(_) => Some(writer),
                        Err(object_store::Error::AlreadyExists { .. }) => None,
                        Err(error) => panic!("{error}"),
                    }
                })
            })
            .collect();
        let mut winners = Vec::new();
        for put in puts {
            winners.extend(put.await.unwrap());
        }
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        let found = store.get(&path).await.unwrap().bytes().await.unwrap();
        assert_eq!(&found[..], &winners[..], "round {round}");
    }
}

/// An operator's first mistake: nothing is read as empty, and both programs say where to look.
#[test]
fn ar1_a_wrong_secret_is_told_with_what_to_mend() {
    for (protocol, secret, wrong) in [
        (Protocol::S3, "AWS_SECRET_ACCESS_KEY", "wrong"),
        (Protocol::Azure, "AZURE_STORAGE_ACCOUNT_KEY", "d3Jvbmc="),
    ] {
        let place = Bucket::shared(protocol).place();
        let mut variables = place.variables().to_vec();
        variables.push((secret.to_owned(), wrong.to_owned()));
        let ingest = ingest_arguments("jsonl:/dev/null", place.url());
        for (program, arguments) in [
            ("holdfast", vec!["status", "--archive", place.url()]),
            ("holdfast-ingest", ingest),
        ] {
            let refused = run_with(program, arguments, &variables);
            assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
            let hint = "\nhint: check who may read and write there";
            assert!(refused.stderr.contains(hint), "{}", refused.stderr);
        }
    }
}
