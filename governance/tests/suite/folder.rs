//! LE-1 in a folder, by a command's one thread: an entry is written before its parameters and gets its name after them.
use std::path::Path;

use crate::common::*;
use holdfast_archive::{Archive, Location};
use holdfast_governance::actor::By;
use holdfast_governance::ledger::{Ledger, LedgerError, verify};
use holdfast_schemas::ledger::{FOLDER, PARAMS_FOLDER};

const WRITERS: u64 = 4;
const ENTRIES: u64 = 12;

async fn another(home: &Path) -> Ledger {
    let archive = Archive::open(&Location::local(home)).await.unwrap();
    open(&archive).await
}

async fn made(home: &Path) -> Ledger {
    Archive::create(&Location::local(home)).await.unwrap();
    another(home).await
}

/// Names of files in a folder of the archive.
fn files(home: &Path, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(home.join(folder)).unwrap();
    let files = entries.map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_type().unwrap().is_file());
    let mut names: Vec<String> = files
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn verified(home: &Path) -> verify::Report {
    let archive = Archive::open(&Location::local(home)).await.unwrap();
    let report = verify::verify(&archive, options()).await.unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    report
}

#[tokio::test]
async fn le1_who_loses_a_number_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    made(home.path()).await;
    let write = async |writer: u64| {
        let ledger = another(home.path()).await;
        let by = By::claim(format!("writer-{writer}"));
        for n in 0..ENTRIES {
            let done = ledger.append_act(&by, None, search(&format!("query {n}")));
            assert!(done.await.unwrap().written);
        }
    };
    let writers = (0..WRITERS).map(write);
    futures::future::join_all(writers).await;
    let ledger = another(home.path()).await;
    assert_eq!(ledger.state().head.seq, WRITERS * ENTRIES);
    for n in 0..WRITERS {
        let by = format!("writer-{n}");
        let records = ledger.records(1, 1000).await.unwrap();
        let own = records.iter().filter(|record| record.entry.actor == by);
        assert_eq!(own.count() as u64, ENTRIES, "{by}");
    }
    assert_eq!(verified(home.path()).await.orphans, 0);
    let left = [
        files(home.path(), FOLDER),
        files(home.path(), PARAMS_FOLDER),
    ]
    .concat();
    assert!(!left.iter().any(|name| name.contains('#')), "{left:?}");
    assert_eq!(left.len() as u64, 2 * WRITERS * ENTRIES + 1, "and the fold");
}

#[tokio::test]
async fn le1_no_entry_without_its_parameters() {
    let home = tempfile::tempdir().unwrap();
    let ledger = made(home.path()).await;
    // Where the parameters' folder should be is a file.
    std::fs::create_dir_all(home.path().join(FOLDER)).unwrap();
    std::fs::write(home.path().join(PARAMS_FOLDER), b"").unwrap();
    let act = search("query");
    let refused = ledger
        .append_act(&By::claim("ana"), None, act.clone())
        .await;
    assert!(
        matches!(refused, Err(LedgerError::Store { .. })),
        "{refused:?}"
    );
    assert_eq!(files(home.path(), FOLDER), ["params"]);
    std::fs::remove_file(home.path().join(PARAMS_FOLDER)).unwrap();
    let done = ledger
        .append_act(&By::claim("ana"), None, act)
        .await
        .unwrap();
    assert_eq!(done.seq, 1);
    assert_eq!(verified(home.path()).await.orphans, 0);
}

#[tokio::test]
async fn le1_a_part_of_parameters_is_nobodys() {
    let home = tempfile::tempdir().unwrap();
    let ledger = made(home.path()).await;
    let by = By::claim("ana");
    ledger.append_act(&by, None, search("one")).await.unwrap();
    // What a kill leaves of the next entry's, and of the entry itself.
    let torn = home
        .path()
        .join(PARAMS_FOLDER)
        .join(format!("{:020}-0123456789abcdef.json", 2));
    std::fs::write(&torn, b"{\"act\":{\"comm").unwrap();
    let nameless = home
        .path()
        .join(FOLDER)
        .join(format!("{:020}.json#7000001", 2));
    std::fs::write(&nameless, b"{}").unwrap();
    let ledger = another(home.path()).await;
    let done = ledger.append_act(&by, None, search("two")).await.unwrap();
    assert_eq!(done.seq, 2);
    assert_eq!(verified(home.path()).await.orphans, 1);
    assert_eq!(ledger.sweep().await.unwrap(), 1);
    assert!(!torn.exists());
    assert_eq!(verified(home.path()).await.orphans, 0);
    let two = ledger.record(2).await.unwrap().unwrap();
    assert_eq!(two.params.unwrap().act, search("two"));
}
