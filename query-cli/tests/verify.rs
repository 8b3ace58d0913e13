//! Whatever is changed behind Holdfast's back, `verify` finds it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::Path;

use support::Home;

/// Changes one byte in the middle of a file.
fn flip(path: &Path, at: impl Fn(&[u8]) -> usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = at(&bytes);
    bytes[at] ^= 0x20;
    std::fs::write(path, bytes).unwrap();
}

fn found(home: &Home, args: &[&str], expected: &str) {
    let mut all = vec!["verify"];
    all.extend(args);
    let run = home.run(&all);
    assert_eq!(run.code, 2, "{run}");
    assert!(
        run.stderr.contains(expected),
        "expected `{expected}`: {run}"
    );
}

#[test]
fn a_sound_archive_is_sound() {
    let home = Home::small();
    check!("verify", home.run(&["verify"]));
    check!(
        "verify_completeness",
        home.run(&["verify", "--completeness", "-q"])
    );
    check!("verify_json", home.run(&["verify", "--format", "json"]));
    check!("verify_csv", home.run(&["verify", "--format", "csv"]));
}

#[test]
fn an_attachment_that_is_neither_stored_nor_pending_is_found_by_deep() {
    let home = Home::small();
    check!("verify_deep", home.run(&["verify", "--deep"]));
    let stored = home.files("attachments", "").into_iter().next().unwrap();
    flip(&stored, |_| 0);
    found(&home, &["--deep"], "attachments");
}

#[test]
fn ar1_a_flipped_byte_is_found_or_changes_no_event() {
    let home = Home::small();
    let export = |out: &str| {
        let run = home.run(&[
            "export",
            "*",
            "--out",
            out,
            "--as",
            "jsonl",
            "-q",
            "--allow-missing",
        ]);
        assert_eq!(run.code, 0, "{run}");
        std::fs::read(home.dir.path().join(out).join("events.jsonl")).unwrap()
    };
    let events = export("before");
    let segment = home.files("events", ".parquet").remove(0);
    let original = std::fs::read(&segment).unwrap();
    let mut found = 0;
    // Padding, redundant fields of page headers and what ingest noted beside the event are not part of any event's hash.
    for (round, at) in (4..original.len()).step_by(61).enumerate() {
        flip(&segment, |_| at);
        let run = home.run(&["verify", "-q"]);
        match run.code {
            2 => {
                assert!(run.stderr.contains("event_year=2025/"), "byte {at}: {run}");
                found += 1;
            }
            0 => assert!(
                export(&format!("after-{round}")) == events,
                "byte {at} changes an event and is not found"
            ),
            _ => panic!("byte {at}: {run}"),
        }
        std::fs::write(&segment, &original).unwrap();
    }
    assert!(found > 30, "only {found} flips were found");
    assert_eq!(home.run(&["verify"]).code, 0);
}

#[test]
fn ar1_an_event_changed_in_a_well_formed_segment_is_found() {
    let home = Home::small();
    home.block_on(async {
        let archive = home.open().await;
        let events = [15, 16]
            .map(|n| support::posted(n, "23T08:00:00", support::DEALS, "u-1", "as it was said"));
        support::append_forged(&archive, 3, &support::lines(&events), None, |row| {
            if row.event.sequence == 16 {
                row.event.message.body = Some("as somebody wishes it had been said".into());
            }
        })
        .await;
    });
    found(&home, &[], "events were changed");
    check!("verify_forged", home.run(&["verify"]));
    assert_eq!(home.run(&["compact", "--all"]).code, 0);
    found(&home, &[], "commits:");
}

#[test]
fn ar3_a_missing_or_damaged_split_is_found_and_searches_stay_complete() {
    let home = Home::small();
    let splits = home.files("index", ".split");
    std::fs::remove_file(&splits[0]).unwrap();
    check!("verify_split_missing", home.run(&["verify"]));
    assert_eq!(home.run(&["search", "pricing", "--count"]).stdout, "4\n");
    check!("search_scanned", home.run(&["search", "pricing"]));
    assert_eq!(home.run(&["reindex"]).code, 0);
    assert_eq!(home.run(&["verify"]).code, 0);
    let original = std::fs::read(&splits[1]).unwrap();
    for part in [3, 2] {
        flip(&splits[1], |bytes| bytes.len() / part);
        found(&home, &[], "splits:");
        assert_eq!(
            home.run(&["search", "pricing", "--count"]).stdout,
            "4\n",
            "a damaged split is not believed"
        );
        std::fs::write(&splits[1], &original).unwrap();
    }
    std::fs::copy(&splits[0], &splits[1]).unwrap();
    found(&home, &[], "splits:");
}

#[test]
fn ar2_an_edited_log_entry_is_found() {
    let home = Home::small();
    let entry = home
        .archive()
        .join("events/_delta_log/00000000000000000001.json");
    let text = std::fs::read_to_string(&entry).unwrap();
    let edited = text.replacen(
        "\"commit_id\":\"00000000-0000-0000-0000-000000000001\"",
        "\"commit_id\":\"00000000-0000-0000-0000-00000000000f\"",
        1,
    );
    assert_ne!(text, edited);
    std::fs::write(&entry, edited).unwrap();
    found(&home, &[], "00000000000000000001.json");
}

#[test]
fn ar2_a_removed_segment_is_found() {
    let home = Home::small();
    std::fs::remove_file(&home.files("events", ".parquet")[0]).unwrap();
    found(&home, &[], "segments:");
}

#[test]
fn ar1_a_gap_in_the_sequences_is_found() {
    let home = Home::empty();
    home.block_on(async {
        let archive = home.create().await;
        let events =
            [1, 2, 5].map(|n| support::posted(n, "20T08:00:00", support::DEALS, "u-1", "talk"));
        support::append(&archive, 1, &support::lines(&events), None).await;
    });
    check!("verify_gap", home.run(&["verify", "--completeness"]));
    check!(
        "status_gap",
        home.run(&["status", "--check", "--format", "csv"])
    );
}
