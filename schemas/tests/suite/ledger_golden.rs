//! Records of the ledger as they are written, byte for byte. What was written once is read for ever: an example here is
//! never changed, only joined by another one.
use holdfast_schemas::ledger::anchor::{Anchor, AnchorFile, AnchoredSegment, Stamp};
use holdfast_schemas::ledger::entry::Draft;
use holdfast_schemas::ledger::snapshot::Snapshot;
use holdfast_schemas::ledger::{Act, Digest, Entry, Params, RecordError, canonical};
use serde_json::{Value, json};

/// 2026-11-20T05:10:45.123456Z
const TIME_US: i64 = 1_795_151_445_123_456;

fn draft() -> Draft {
    Draft {
        seq: 7,
        time_us: TIME_US,
        actor: "ana".to_owned(),
        action: "search".to_owned(),
        matter: Some("INV-1".to_owned()),
        params_digest: Digest::of(b"params"),
        prev_hash: Digest::of(b"before"),
    }
}

#[test]
fn le1_an_entry_is_written_as_ever() {
    let entry = draft().seal().unwrap();
    let bytes = entry.encode().unwrap();
    let golden = include_str!("ledger/entry.json").trim_end();
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), golden);
    assert_eq!(Entry::decode(golden.as_bytes()).unwrap(), entry);
    assert_eq!(Entry::path(7), "ledger/00000000000000000007.json");
    assert!(
        entry
            .params_path()
            .starts_with("ledger/params/00000000000000000007-")
    );
    // RFC 8785, by another implementation.
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(serde_jcs::to_vec(&value).unwrap(), bytes);
}

#[test]
fn le1_the_hash_is_over_everything_but_hash_and_signature() {
    let mut entry = draft().seal().unwrap();
    let hash = entry.hash;
    entry.signature = Some("c2ln".to_owned());
    assert_eq!(Entry::decode(&entry.encode().unwrap()).unwrap().hash, hash);
    let mut value: Value = serde_json::from_slice(&entry.encode().unwrap()).unwrap();
    for name in [
        "actor",
        "action",
        "matter",
        "params_digest",
        "prev_hash",
        "seq",
        "time",
    ] {
        let before = value[name].take();
        value[name] = match name {
            "seq" => json!(8),
            "time" => json!("2026-11-20T05:10:45.123457Z"),
            "params_digest" | "prev_hash" => json!(Digest::of(b"other")),
            _ => json!("other"),
        };
        let changed = Entry::decode(value.to_string().as_bytes());
        assert!(
            matches!(changed, Err(RecordError::Hash { .. })),
            "{name}: {changed:?}"
        );
        value[name] = before;
    }
    // A member of a newer version is part of what is hashed.
    value["later"] = json!(1);
    assert!(Entry::decode(value.to_string().as_bytes()).is_err());
}

#[test]
fn le1_an_entry_with_members_of_a_newer_version_is_read() {
    let content = json!({
        "action": "search", "actor": "ana", "matter": null, "params_digest": Digest::of(b"p"), "prev_hash": Digest::ZERO,
        "seq": 1, "time": "2026-11-20T05:10:45.123456Z", "later": {"b": 1, "a": 2},
    });
    let hash = Digest::of(&canonical(&content, "entry").unwrap());
    let mut whole = content;
    whole["hash"] = json!(hash);
    whole["signature"] = Value::Null;
    assert_eq!(
        Entry::decode(whole.to_string().as_bytes()).unwrap().hash,
        hash
    );
}

#[test]
fn le1_parameters_are_written_as_ever() {
    let act = Act::from_parts(
        "search",
        json!({"command": "search", "query": "pricing \u{2028} \"x\""}),
    )
    .unwrap();
    let params = Params {
        seq: 7,
        salt: Digest::of(b"salt"),
        command: Some("c-1".to_owned()),
        act,
    };
    let (bytes, digest) = params.encode().unwrap();
    let golden = include_str!("ledger/params.json").trim_end();
    assert_eq!(String::from_utf8(bytes).unwrap(), golden);
    assert_eq!(Params::decode(golden.as_bytes(), &digest).unwrap(), params);
    let other = Params {
        salt: Digest::of(b"other salt"),
        ..params
    };
    assert_ne!(
        other.encode().unwrap().1,
        digest,
        "the same words under another salt"
    );
}

/// One example of every act: read, and written again, it is the same.
#[test]
fn le1_every_act_has_an_example_that_is_read_for_ever() {
    let golden: Value = serde_json::from_str(include_str!("ledger/acts.json")).unwrap();
    let examples = golden.as_object().unwrap();
    let names: Vec<&str> = examples.keys().map(String::as_str).collect();
    let mut known = Act::ACTIONS.to_vec();
    known.sort_unstable();
    assert_eq!(
        names, known,
        "an act without an example, or an example without its act"
    );
    for (action, params) in examples {
        let act = Act::from_parts(action, params.clone()).unwrap();
        assert!(!matches!(act, Act::Unknown { .. }), "{action}");
        assert_eq!(act.action(), action);
        assert_eq!(act.params().unwrap(), *params, "{action}");
    }
}

#[test]
fn le1_an_act_of_a_newer_version_is_kept() {
    let act = Act::from_parts("hold.teleport", json!({"to": "mars"})).unwrap();
    assert_eq!(act.action(), "hold.teleport");
    assert_eq!(act.params().unwrap(), json!({"to": "mars"}));
    // A known act with parameters that are none of its own is a mistake, not an unknown act.
    assert!(Act::from_parts("hold.place", json!({"to": "mars"})).is_err());
}

fn anchor() -> Anchor {
    Anchor {
        holdfast_anchor: 1,
        time_us: TIME_US,
        ledger_seq: 7,
        ledger_hash: Digest::of(b"head"),
        table_version: 12,
        table_sha256: Some(Digest::of(b"table")),
        ledger_fence: Some(5),
        segments: 1,
        segments_root: Digest::of(b"root"),
    }
}

#[test]
fn le1_an_anchor_is_written_as_ever() {
    let file = AnchorFile {
        anchor: anchor(),
        segments: vec![AnchoredSegment {
            path: "event_year=2026/a.parquet".to_owned(),
            rows: 3,
            merkle_root: Digest::of(b"rows"),
        }],
        stamp: Some(Stamp {
            tsa: "http://tsa".to_owned(),
            nonce: "40".to_owned(),
            token: "dG9rZW4=".to_owned(),
        }),
    };
    let golden = include_str!("ledger/anchor.json").trim_end();
    assert_eq!(String::from_utf8(file.encode().unwrap()).unwrap(), golden);
    assert_eq!(AnchorFile::decode(golden.as_bytes()).unwrap(), file);
    let newer = golden.replace("\"holdfast_anchor\":1", "\"holdfast_anchor\":2");
    let error = AnchorFile::decode(newer.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("format 2"), "{error}");
}

#[test]
fn le1_a_snapshot_of_another_version_is_passed_over_and_a_changed_one_refused() {
    let snapshot = Snapshot::new(7, Digest::of(b"head"), "{\"a\":1}".to_owned()).unwrap();
    let text = String::from_utf8(snapshot.encode().unwrap()).unwrap();
    let read = Snapshot::decode(text.as_bytes()).unwrap().unwrap();
    assert_eq!((read.seq, read.state.get()), (7, "{\"a\":1}"));
    let changed = text.replace("{\"a\":1}", "{\"a\":2}");
    assert!(matches!(
        Snapshot::decode(changed.as_bytes()),
        Err(RecordError::Hash { .. })
    ));
    let newer = text.replace("\"version\":1", "\"version\":999");
    assert!(Snapshot::decode(newer.as_bytes()).unwrap().is_none());
}
