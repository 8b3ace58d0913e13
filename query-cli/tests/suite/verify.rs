//! Whatever is changed behind Holdfast's back, `verify` finds it.

use std::path::Path;

use crate::check;
use crate::support::{self, Home};
use parquet::file::metadata::ParquetMetaDataReader;
use sha2::{Digest, Sha256};

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

/// Where something begins or ends in a Parquet file: every column's pages, the offset indexes, the footer and the magic
/// numbers; and bytes between them, in steps.
fn places(segment: &Path) -> Vec<usize> {
    let file = std::fs::File::open(segment).unwrap();
    let bytes = usize::try_from(file.metadata().unwrap().len()).unwrap();
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(&file)
        .unwrap();
    let mut places: Vec<usize> = (0..bytes).step_by(331).chain([bytes - 1]).collect();
    let mut around = |from: i64, length: i64| {
        let (from, to) = (
            usize::try_from(from).unwrap(),
            usize::try_from(from + length).unwrap(),
        );
        places.extend([from, from.midpoint(to), to - 1]);
    };
    for column in metadata.row_group(0).columns() {
        let (from, length) = column.byte_range();
        around(i64::try_from(from).unwrap(), i64::try_from(length).unwrap());
        if let (Some(from), Some(length)) =
            (column.offset_index_offset(), column.offset_index_length())
        {
            around(from, i64::from(length));
        }
    }
    places.sort_unstable();
    places.dedup();
    places
}

#[test]
fn ar1_a_flipped_byte_is_found_and_its_file_is_named() {
    let home = Home::small();
    let segment = home.files("events", ".parquet").remove(0);
    let name = segment.file_name().unwrap().to_str().unwrap();
    let original = std::fs::read(&segment).unwrap();
    let places = places(&segment);
    assert!(places.len() > 100, "{} places", places.len());
    for at in places {
        flip(&segment, |_| at);
        let run = home.run(&["verify", "--format", "json"]);
        assert_eq!(run.code, 2, "byte {at}: {run}");
        let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let found = report["problems"].as_array().unwrap().iter().any(|p| {
            p["check"] == "segments"
                && p["place"].as_str().unwrap().ends_with(name)
                && p["message"]
                    .as_str()
                    .unwrap()
                    .starts_with("its SHA-256 is ")
        });
        assert!(found, "byte {at}: {run}");
        std::fs::write(&segment, &original).unwrap();
    }
    assert_eq!(home.run(&["verify"]).code, 0);
}

/// Makes the log one of a Holdfast that named no digests: the tags go, and the chain of entries is made anew.
fn without_digests(home: &Home) {
    let mut renamed: Option<(String, String)> = None;
    for entry in home.files("events/_delta_log", ".json") {
        let text = std::fs::read_to_string(&entry).unwrap();
        let before = hex::encode(Sha256::digest(&text));
        let mut kept = text.clone();
        while let Some(from) = kept.find("\"tags\":{\"holdfast.sha256\"") {
            let to = from + kept[from..].find("},").unwrap() + 2;
            kept.replace_range(from..to, "");
        }
        if let Some((old, new)) = &renamed {
            kept = kept.replace(old, new);
        }
        std::fs::write(&entry, &kept).unwrap();
        renamed = Some((before, hex::encode(Sha256::digest(&kept))));
    }
}

#[test]
fn ar1_files_of_commits_that_named_no_digest_are_checked_by_their_events_and_counted() {
    let home = Home::small();
    without_digests(&home);
    check!("verify_without_digests", home.run(&["verify"]));
    let export = |out: &str| {
        let export = [
            "export",
            "*",
            "--out",
            out,
            "--as",
            "jsonl",
            "-q",
            "--allow-missing",
        ];
        let run = home.run(&export);
        assert_eq!(run.code, 0, "{run}");
        std::fs::read(home.dir.path().join(out).join("events.jsonl")).unwrap()
    };
    let events = export("before");
    let segment = home.files("events", ".parquet").remove(0);
    let original = std::fs::read(&segment).unwrap();
    let mut found = 0;
    for (round, at) in (4..original.len()).step_by(127).enumerate() {
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
    assert!(found > 15, "only {found} flips were found");
    // What is written from now on names its digest again.
    assert_eq!(home.run(&["compact", "--all"]).code, 0);
    let run = home.run(&["verify"]);
    assert_eq!(run.code, 0, "{run}");
    assert!(!run.stdout.contains("without a digest"), "{run}");
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
