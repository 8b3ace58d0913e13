//! Attachments: copied and verified, or pending.
use std::sync::Arc;

use crate::common::{Bench, event};
use holdfast_archive::{Archive, attachments};
use holdfast_fixtures::{Fault, FaultyStore, Operation, Plan};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use sha2::{Digest, Sha256};

fn with_attachment(sequence: u64, sha256: &str, size: usize) -> Vec<u8> {
    let text = String::from_utf8(event("o", sequence, 0)).unwrap();
    let attachment = format!(
        r#""attachments":[{{"id":"f-{sequence}","name":"a.txt","media_type":"text/plain","size":{size},"sha256":"{sha256}"}}]"#
    );
    text.replace(r#""attachments":[]"#, &attachment)
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_are_copied_verified_and_never_hold_events_back() {
    let bench = Bench::new().await;
    let files = bench.path("files");
    std::fs::create_dir(&files).unwrap();
    let digest = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let (nested, flat, missing) = (digest(b"nested"), digest(b"flat"), digest(b"missing"));
    std::fs::create_dir(files.join(&nested[..2])).unwrap();
    std::fs::write(files.join(&nested[..2]).join(&nested), b"nested").unwrap();
    std::fs::write(files.join(&flat), b"flat").unwrap();
    // Its bytes are not what its name says.
    let wrong = digest(b"right");
    std::fs::write(files.join(&wrong), b"wrong").unwrap();
    let lines: Vec<_> = [
        &nested,
        &flat,
        &missing,
        &wrong,
        &"no digest".to_owned(),
        &nested,
    ]
    .iter()
    .zip(1..)
    .map(|(sha256, n)| with_attachment(n, sha256, 6))
    .collect();
    let file = bench.write("a.jsonl", &lines);
    let store = files.display().to_string();
    let report = bench
        .try_ingest(&file, |settings| settings.attachments = Some(store.clone()))
        .await
        .unwrap();
    assert_eq!(report.archived, 6);
    assert_eq!(
        bench
            .archive
            .attachment(&nested)
            .await
            .unwrap()
            .unwrap()
            .as_ref(),
        b"nested"
    );
    assert_eq!(
        bench
            .archive
            .attachment(&flat)
            .await
            .unwrap()
            .unwrap()
            .as_ref(),
        b"flat"
    );
    let pending = bench.archive.pending_attachments().await.unwrap();
    let mut names: Vec<_> = pending
        .iter()
        .map(|pending| pending.sha256.as_str())
        .collect();
    names.sort_unstable();
    let mut expected = [missing.as_str(), wrong.as_str()];
    expected.sort_unstable();
    assert_eq!(names, expected);

    // They arrive later: the next run finds the markers.
    std::fs::write(files.join(&missing), b"missing").unwrap();
    std::fs::write(files.join(&wrong), b"right").unwrap();
    bench
        .try_ingest(&file, |settings| settings.attachments = Some(store))
        .await
        .unwrap();
    assert!(
        bench
            .archive
            .pending_attachments()
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        bench
            .archive
            .attachment(&missing)
            .await
            .unwrap()
            .unwrap()
            .as_ref(),
        b"missing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_file_store_attachments_are_pending() {
    let bench = Bench::new().await;
    let sha256 = hex::encode(Sha256::digest(b"x"));
    let file = bench.write("a.jsonl", &[with_attachment(1, &sha256, 1)]);
    assert_eq!(bench.ingest(&file).await.archived, 1);
    let pending = bench.archive.pending_attachments().await.unwrap();
    assert_eq!(pending.len(), 1);
    assert!(
        pending[0].reason.contains("--attachments"),
        "{}",
        pending[0].reason
    );
}

async fn undigested(bench: &Bench) -> Option<i64> {
    let snapshot = bench.archive.snapshot().await.unwrap();
    snapshot.position("attachments/undigested").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_without_a_digest_are_counted_once_with_their_events() {
    let bench = Bench::new().await;
    let null = |sequence| {
        String::from_utf8(with_attachment(sequence, "-", 1))
            .unwrap()
            .replace("\"-\"", "null")
            .into_bytes()
    };
    let sha256 = hex::encode(Sha256::digest(b"x"));
    let lines = [
        null(1),
        with_attachment(2, "no digest", 1),
        with_attachment(3, &sha256.to_uppercase(), 1),
        event("o", 4, 0),
    ];
    let file = bench.write("a.jsonl", &lines);
    assert_eq!(bench.ingest(&file).await.archived, 4);
    assert_eq!(undigested(&bench).await, Some(2));
    assert_eq!(bench.archive.pending_attachments().await.unwrap().len(), 1);
    // Duplicates are no further attachments.
    assert_eq!(bench.ingest(&file).await.duplicates, 4);
    assert_eq!(undigested(&bench).await, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_count_beside_each_other() {
    let bench = Bench::new().await;
    let processes = ["p1", "p2", "p3", "p4", "p5", "p6"].map(async |origin| {
        let lines: Vec<_> = (1..=20)
            .map(|n| {
                let line = String::from_utf8(with_attachment(n, "none", 1)).unwrap();
                let origin = format!("\"origin\":\"{origin}\"");
                line.replace("\"origin\":\"o\"", &origin).into_bytes()
            })
            .collect();
        let file = bench.write(&format!("{origin}.jsonl"), &lines);
        bench.ingest(&file).await.archived
    });
    let archived: u64 = futures::future::join_all(processes).await.iter().sum();
    assert_eq!(archived, 120);
    assert_eq!(undigested(&bench).await, Some(120));
}

/// The file is there when ingest looks for it, and gone before the commit that refers to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_purged_right_before_its_event_is_archived_is_marked_as_missing() {
    let url = || url::Url::parse("memory:///archive").unwrap();
    let store = FaultyStore::new(Arc::new(InMemory::new()));
    let faults = store.faults();
    let purging = Archive::create_in(store.inner(), url()).await.unwrap();
    let sha256 = hex::encode(Sha256::digest(b"x"));
    let stored = purging.put_attachment(&sha256, "x".into());
    stored.await.unwrap();
    let mut bench = Bench::new().await;
    bench.archive = Archive::open_in(store.clone(), url()).await.unwrap();
    let file = bench.write("a.jsonl", &[with_attachment(1, &sha256, 1)]);

    faults.plan(
        Plan::nth(1, Fault::PauseBefore)
            .on(&[Operation::Put])
            .path("_delta_log"),
    );
    let ingest = bench.ingest(&file);
    let purge = async {
        faults.paused(1).await;
        let path = Path::from(attachments::path(&sha256).unwrap());
        purging.store().delete(&path).await.unwrap();
        purging.note_deleted().await.unwrap();
        faults.release();
    };
    let (report, ()) = tokio::join!(ingest, purge);
    assert_eq!((report.archived, report.duplicates), (1, 0));
    let pending = bench.archive.pending_attachments().await.unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].sha256, sha256);
}
