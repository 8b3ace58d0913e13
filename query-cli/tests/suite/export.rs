//! Exports: whole or not there, the same bytes each time, hostile text unharmed.

use std::collections::BTreeMap;

use crate::check;
use crate::support::{self, HOSTILE, Home, id, tree};
use arrow::array::{AsArray, RecordBatch};
use holdfast_schemas::columns::{Rows, name};
use holdfast_schemas::decode::decode;
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::{canonical, merkle};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};

/// Sums of every file but the sums themselves and the provenance, compared with what `SHA256SUMS` says.
fn check_sums(files: &BTreeMap<String, Vec<u8>>) {
    let sums = String::from_utf8(files["SHA256SUMS"].clone()).unwrap();
    let listed: BTreeMap<&str, &str> = sums
        .lines()
        .map(|l| l.split_once("  ").unwrap())
        .map(|(sum, name)| (name, sum))
        .collect();
    let covered: Vec<&str> = files
        .keys()
        .map(String::as_str)
        .filter(|n| !["SHA256SUMS", "provenance.json"].contains(n))
        .collect();
    assert_eq!(listed.keys().copied().collect::<Vec<_>>(), covered);
    for name in covered {
        assert_eq!(
            listed[name],
            hex::encode(Sha256::digest(&files[name])),
            "{name}"
        );
    }
}

fn manifest(files: &BTreeMap<String, Vec<u8>>) -> serde_json::Value {
    serde_json::from_slice(&files["manifest.json"]).unwrap()
}

/// Rows of a CSV file with its header gone.
fn csv_rows(bytes: &[u8]) -> Vec<Vec<String>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    csv::Reader::from_reader(bytes)
        .records()
        .map(|r| r.unwrap().iter().map(str::to_owned).collect())
        .collect()
}

#[test]
fn jsonl_is_the_archived_events_and_their_hashes_add_up() {
    let home = Home::small();
    check!(
        "export_jsonl",
        home.run(&["export", "room:deals", "--out", "out", "--as", "jsonl"])
    );
    let files = tree(&home.dir.path().join("out"));
    check_sums(&files);
    let items = csv_rows(&files["items.csv"]);
    let lines: Vec<&[u8]> = files["events.jsonl"]
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .collect();
    assert_eq!((items.len(), lines.len()), (9, 9));
    let (mut scratch, mut hashes) = (Vec::new(), Vec::new());
    for (number, (item, line)) in items.iter().zip(&lines).enumerate() {
        let event = decode(line).unwrap();
        let hash = event_hash(&event, &mut scratch);
        assert_eq!(
            &scratch, line,
            "a line is the canonical form that the hash covers"
        );
        assert_eq!(
            item[..4],
            [
                event.id.to_string(),
                hex::encode(hash),
                "events.jsonl".into(),
                (number + 1).to_string()
            ]
        );
        hashes.push(hash);
        if *event.id == id(9) {
            assert_eq!(event.message.body.as_deref(), Some(HOSTILE));
        }
    }
    let manifest = manifest(&files);
    assert_eq!(manifest["exact_diacritics"], false);
    assert_eq!(manifest["attachments"], true);
    assert_eq!(manifest["analyzer"], 1);
    assert_eq!(manifest["merkle_root"], hex::encode(merkle::root(hashes)));
    assert_eq!(
        manifest["counts"],
        serde_json::json!({ "responsive": 9, "context": 0, "errors": 0 })
    );
    assert_eq!(manifest["snapshot"], 2);
    assert_eq!(
        files[&format!("attachments/{}", hex::encode(Sha256::digest(support::FILE)))],
        support::FILE
    );
    let listed: Vec<&str> = manifest["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["path"].as_str().unwrap())
        .collect();
    assert!(
        listed.contains(&"events.jsonl")
            && listed.contains(&"items.csv")
            && listed.contains(&"summary.csv")
    );
}

#[test]
fn csv_survives_a_spreadsheet_and_comes_back() {
    let home = Home::small();
    let run = home.run(&["export", "room:deals", "--out", "out", "--as", "csv"]);
    assert_eq!(run.code, 0, "{run}");
    let files = tree(&home.dir.path().join("out"));
    check_sums(&files);
    let bytes = &files["events.csv"];
    assert!(
        bytes.starts_with(b"\xef\xbb\xbfevent_id,"),
        "a byte order mark, then the header"
    );
    assert!(bytes.ends_with(b"\r\n"));
    let header: Vec<String> = csv::Reader::from_reader(&bytes[3..])
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    let rows = csv_rows(bytes);
    let hostile = rows.iter().find(|r| r[0] == id(9)).unwrap();
    let cell = &hostile[column("body")];
    assert!(cell.starts_with('\''), "no spreadsheet evaluates it");
    assert_eq!(
        cell.strip_prefix('\''),
        Some(HOSTILE),
        "without the guard it is what was archived"
    );
    assert_eq!(hostile[column("relevance")], "responsive");
    assert_eq!(
        rows.iter().find(|r| r[0] == id(10)).unwrap()[column("status")],
        "deleted"
    );
    for row in &rows {
        assert!(
            row.iter().all(|c| !c.starts_with(['=', '+', '-', '@'])),
            "{row:?}"
        );
    }
    assert_eq!(manifest(&files)["csv"]["formula_guard"], "'");
}

fn parquet(files: &BTreeMap<String, Vec<u8>>) -> Vec<RecordBatch> {
    let bytes = bytes::Bytes::from(files["events-00001.parquet"].clone());
    ParquetRecordBatchReaderBuilder::try_new(bytes)
        .unwrap()
        .build()
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn parquet_holds_the_archives_columns_sorted() {
    let home = Home::small();
    let run = home.run(&[
        "export",
        "room:deals OR type:holdfast.quarantined",
        "--out",
        "out",
        "--as",
        "parquet",
    ]);
    assert_eq!(run.code, 0, "{run}");
    let files = tree(&home.dir.path().join("out"));
    check_sums(&files);
    let batches = parquet(&files);
    let items = csv_rows(&files["items.csv"]);
    let mut scratch = Vec::new();
    let mut at = 0;
    let mut last = (i64::MIN, String::new());
    for batch in &batches {
        let rows = Rows::new(batch).unwrap();
        let years = batch
            .column_by_name(name::EVENT_YEAR)
            .unwrap()
            .as_primitive::<arrow::datatypes::Int32Type>();
        for index in 0..rows.len() {
            let event = rows.event(index);
            assert_eq!(
                items[at][1],
                hex::encode(event_hash(&event, &mut scratch)),
                "the columns give the hash again"
            );
            let key = (event.time_us, event.id.to_string());
            assert!(last < key);
            last = key;
            assert_eq!(years.value(index), 2025);
            if *event.id == id(9) {
                assert_eq!(event.message.body.as_deref(), Some(HOSTILE));
            }
            if event.event_type == "holdfast.quarantined" {
                assert_eq!(event.raw.as_deref(), Some(&b"{\"not\": an event\x1b}"[..]));
            }
            at += 1;
        }
    }
    assert_eq!(at, 10);
    assert_eq!(batches[0].num_columns(), 30, "29 columns and the year");
}

#[test]
fn the_same_question_gives_the_same_bytes() {
    let home = Home::small();
    for format in ["jsonl", "csv", "parquet"] {
        let export = |out: &str| {
            let run = home.run(&[
                "export",
                "pricing OR list",
                "--out",
                out,
                "--as",
                format,
                "--context",
                "1",
                "--as-of",
                "2",
            ]);
            assert_eq!(run.code, 0, "{run}");
            let mut files = tree(&home.dir.path().join(out));
            assert!(files.remove("provenance.json").is_some());
            files
        };
        let first = export(&format!("{format}-1"));
        // More data and another layout on disk do not change what version 2 says.
        let second = export(&format!("{format}-2"));
        assert_eq!(first, second);
    }
    home.block_on(async {
        let archive = home.open().await;
        let later = support::posted(
            15,
            "20T08:01:30",
            support::DEALS,
            "u-2",
            "late news on pricing",
        );
        support::append(&archive, 3, &support::lines(&[later]), None).await;
    });
    let compacted = home.run(&["compact", "--all"]);
    assert_eq!(compacted.code, 0, "{compacted}");
    for format in ["jsonl", "csv", "parquet"] {
        let out = format!("{format}-3");
        let run = home.run(&[
            "export",
            "pricing OR list",
            "--out",
            &out,
            "--as",
            format,
            "--context",
            "1",
            "--as-of",
            "2",
        ]);
        assert_eq!(run.code, 0, "{run}");
        let mut files = tree(&home.dir.path().join(&out));
        files.remove("provenance.json");
        assert_eq!(
            files,
            {
                let mut first = tree(&home.dir.path().join(format!("{format}-1")));
                first.remove("provenance.json");
                first
            },
            "{format}"
        );
    }
}

#[test]
fn the_provenance_names_the_exports_own_entry_of_the_ledger() {
    let home = Home::small();
    let searched = home.run(&["search", "pricing", "--count"]);
    assert_eq!(searched.code, 0, "{searched}");
    let run = home.run(&["export", "pricing", "--out", "out", "--as", "jsonl"]);
    assert_eq!(run.code, 0, "{run}");
    let head = home.run(&["--format", "json", "ledger", "head"]);
    let head: serde_json::Value = serde_json::from_str(&head.stdout).unwrap();
    let provenance = std::fs::read(home.dir.path().join("out/provenance.json")).unwrap();
    let provenance: serde_json::Value = serde_json::from_slice(&provenance).unwrap();
    let named = &provenance["ledger_head"];
    // Nothing was written to the ledger after it.
    assert_eq!(named["entry"], head["entry"]);
    assert_eq!(named["hash"], head["hash"]);
    assert!(named["entry"].as_u64() >= Some(2), "{provenance}");
}

#[test]
fn context_is_marked_as_not_responsive_everywhere() {
    let home = Home::small();
    for format in ["jsonl", "csv", "parquet"] {
        let run = home.run(&[
            "export",
            "list AND type:chat.message.posted",
            "--out",
            format,
            "--as",
            format,
            "--context",
            "1",
        ]);
        assert_eq!(run.code, 0, "{run}");
    }
    let files = tree(&home.dir.path().join("jsonl"));
    let ids = |bytes: &[u8]| -> Vec<String> {
        bytes
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| decode(l).unwrap().id.to_string())
            .collect()
    };
    let (hits, context) = (ids(&files["events.jsonl"]), ids(&files["context.jsonl"]));
    assert_eq!(
        hits,
        [id(3), id(4)],
        "the words of an attachment's name are text of the event"
    );
    assert_eq!(context, [id(2), id(5)]);
    let marks = |format: &str| -> Vec<(String, String)> {
        let files = tree(&home.dir.path().join(format));
        csv_rows(&files["items.csv"])
            .into_iter()
            .map(|r| (r[0].clone(), r[4].clone()))
            .collect()
    };
    let expected = [
        (2, "context"),
        (3, "responsive"),
        (4, "responsive"),
        (5, "context"),
    ]
    .map(|(n, m)| (id(n), m.to_owned()));
    for format in ["jsonl", "csv", "parquet"] {
        assert_eq!(marks(format), expected, "{format}");
    }
    let files = tree(&home.dir.path().join("parquet"));
    let batches = parquet(&files);
    let responsive = batches[0]
        .column_by_name("responsive")
        .unwrap()
        .as_boolean();
    assert_eq!(
        (0..responsive.len())
            .map(|i| responsive.value(i))
            .collect::<Vec<_>>(),
        [false, true, true, false]
    );
    assert_eq!(
        manifest(&files)["counts"],
        serde_json::json!({ "responsive": 2, "context": 2, "errors": 0 })
    );
}

#[test]
fn a_missing_file_is_listed_and_the_export_is_partial() {
    let home = Home::small();
    check!(
        "export_missing",
        home.run(&["export", "menu", "--out", "out", "--as", "jsonl"])
    );
    let files = tree(&home.dir.path().join("out"));
    check_sums(&files);
    let digest = hex::encode(Sha256::digest(b"never uploaded"));
    assert!(files.contains_key(&format!("attachments/{digest}.missing.txt")));
    assert_eq!(
        csv_rows(&files["errors.csv"]),
        [[id(13), digest, "not in the archive (yet)".to_owned()]]
    );
    assert_eq!(
        home.run(&[
            "export",
            "menu",
            "--out",
            "out2",
            "--as",
            "csv",
            "--allow-missing"
        ])
        .code,
        0
    );
    assert_eq!(
        home.run(&[
            "export",
            "menu",
            "--out",
            "out3",
            "--as",
            "csv",
            "--no-attachments"
        ])
        .code,
        0
    );
}

#[test]
fn an_export_never_overwrites_and_never_passes_for_whole() {
    let home = Home::small();
    std::fs::create_dir(home.dir.path().join("there")).unwrap();
    check!(
        "export_exists",
        home.run(&["export", "pricing", "--out", "there", "--as", "jsonl"])
    );
    check!(
        "export_mistake",
        home.run(&["export", "form:ana", "--out", "out", "--as", "jsonl"])
    );
    assert!(!home.dir.path().join("out").exists());
    check!(
        "export_bad_format",
        home.run(&["export", "pricing", "--out", "out", "--as", "docx"])
    );
    check!(
        "export_nothing",
        home.run(&["export", "absent", "--out", "nothing", "--as", "parquet"])
    );
    let files = tree(&home.dir.path().join("nothing"));
    check_sums(&files);
    assert_eq!(
        parquet(&files)
            .iter()
            .map(RecordBatch::num_rows)
            .sum::<usize>(),
        0
    );
    let left: Vec<_> = std::fs::read_dir(home.dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .filter(|n| n.to_str().unwrap().contains("partial"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn canonical_lines_of_every_event_are_those_that_were_archived() {
    let home = Home::small();
    let run = home.run(&[
        "export",
        "*",
        "--out",
        "out",
        "--as",
        "jsonl",
        "--allow-missing",
    ]);
    assert_eq!(run.code, 0, "{run}");
    let files = tree(&home.dir.path().join("out"));
    let mut expected = Vec::new();
    for line in support::small()
        .iter()
        .flat_map(|events| support::lines(events))
    {
        let mut out = Vec::new();
        canonical::write(&decode(line.as_bytes()).unwrap(), &mut out);
        expected.push(out);
    }
    let mut found: Vec<Vec<u8>> = files["events.jsonl"]
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    found.retain(|line| !String::from_utf8_lossy(line).contains("holdfast.quarantined"));
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}
