//! The published JSON Schema and examples against the Rust types.

use std::path::PathBuf;

use holdfast_schemas::columns::{RowBuilder, Rows};
use holdfast_schemas::decode::decode;
use holdfast_schemas::{Intake, Row, canonical, event_type};
use serde_json::Value;

pub(super) fn folder() -> PathBuf {
    // Where the tests run, not where they were built: a cache of built tests may come from another clone.
    PathBuf::from("json")
}

pub(super) fn example(event_type: &str) -> Value {
    let path = folder().join("examples").join(format!("{event_type}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

pub(super) fn validator() -> jsonschema::Validator {
    let text = std::fs::read_to_string(folder().join("compliance-event.schema.json")).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

#[test]
fn every_type_has_an_example_that_schema_and_decoder_accept() {
    let validator = validator();
    for known in event_type::KNOWN {
        let example = example(known.name);
        assert_eq!(example["type"], known.name);
        let complaints: Vec<_> = validator
            .iter_errors(&example)
            .map(|e| e.to_string())
            .collect();
        assert!(complaints.is_empty(), "{}: {complaints:?}", known.name);
        let bytes = serde_json::to_vec(&example).unwrap();
        let event = decode(&bytes).unwrap_or_else(|e| panic!("{}: {e}", known.name));
        assert_eq!(event.room.id.is_some(), known.room_bound, "{}", known.name);
    }
    let files = std::fs::read_dir(folder().join("examples"))
        .unwrap()
        .count();
    assert_eq!(
        files,
        event_type::KNOWN.len(),
        "an example of a type that the contract does not know"
    );
}

#[test]
fn schema_and_decoder_refuse_the_same_mistakes() {
    let validator = validator();
    let posted = || example("chat.message.posted");
    let broken = |change: fn(&mut Value)| {
        let mut event = posted();
        change(&mut event);
        event
    };
    let mistakes: [(&str, Value); 10] = [
        ("specversion", broken(|e| e["specversion"] = "0.3".into())),
        ("id", broken(|e| e["id"] = "42".into())),
        (
            "id",
            broken(|e| e["id"] = "0197c0de-7a3e-1c51-9a1f-2f6f6b1f0001".into()),
        ),
        ("time", broken(|e| e["time"] = Value::Null)),
        (
            "sequence",
            broken(|e| e["sequence"] = "00000000000000000000".into()),
        ),
        ("sequence", broken(|e| e["sequence"] = 17.into())),
        ("subject", broken(|e| e["subject"] = Value::Null)),
        (
            "data.room.name",
            broken(|e| e["data"]["room"]["name"] = 5.into()),
        ),
        (
            "data.message.body",
            broken(|e| e["data"]["message"]["body"] = serde_json::json!(["x"])),
        ),
        (
            "origin",
            broken(|e| drop(e.as_object_mut().unwrap().remove("origin"))),
        ),
    ];
    for (place, event) in mistakes {
        assert!(
            !validator.is_valid(&event),
            "the schema accepts a broken {place}"
        );
        let bytes = serde_json::to_vec(&event).unwrap();
        assert_eq!(decode(&bytes).unwrap_err().place, place);
    }
}

#[test]
fn canonical_form_of_every_example_is_golden() {
    let golden = folder().join("canonical.jsonl");
    let mut lines = Vec::new();
    for known in event_type::KNOWN {
        let bytes = serde_json::to_vec(&example(known.name)).unwrap();
        canonical::write(&decode(&bytes).unwrap(), &mut lines);
        lines.push(b'\n');
    }
    let lines = String::from_utf8(lines).unwrap();
    if std::env::var_os("HOLDFAST_BLESS").is_some() {
        std::fs::write(&golden, &lines).unwrap();
    }
    assert_eq!(
        lines,
        std::fs::read_to_string(&golden).unwrap(),
        "the hashed form changed: every archived hash would"
    );
}

#[test]
fn target_is_the_member_user_or_by_of_the_event() {
    let mut builder = RowBuilder::with_capacity(4);
    for name in [
        "chat.room.member_added",
        "chat.user.updated",
        "chat.message.deleted",
        "chat.message.posted",
    ] {
        let bytes = serde_json::to_vec(&example(name)).unwrap();
        builder.append(&Row {
            event: decode(&bytes).unwrap(),
            intake: Intake::default(),
        });
    }
    let batch = builder.finish().unwrap();
    assert_eq!(Rows::new(&batch).unwrap().len(), 4);
    let targets = batch.column_by_name("target_id").unwrap();
    let targets: Vec<_> = arrow::array::AsArray::as_string::<i32>(targets.as_ref())
        .iter()
        .collect();
    assert_eq!(targets, [Some("u-8"), Some("u-8"), Some("u-8"), None]);
}
