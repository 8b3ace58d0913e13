//! What the published JSON Schema accepts, the decoder reads: examples with random changes. What a schema cannot say, and the
//! decoder refuses all the same, is not drawn here; the schema's description lists it.

use std::cell::Cell;

use holdfast_schemas::decode::decode;
use holdfast_schemas::event_type;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::contract::{example, folder, validator};

/// Places that most examples have nothing at.
const MORE_PLACES: [&str; 18] = [
    "/type",
    "/subject",
    "/originaltime",
    "/x",
    "/data/room",
    "/data/room/name",
    "/data/actor",
    "/data/actor/internal",
    "/data/actor/kind",
    "/data/room_seq",
    "/data/message",
    "/data/message/title",
    "/data/message/attachments",
    "/data/message/attachments/0/size",
    "/data/attachment",
    "/data/attachment/size",
    "/data/raw",
    "/data/x",
];

/// JSON pointers to every value within, in order.
fn places(value: &Value, before: &str, found: &mut Vec<String>) {
    let mut each = |name: &str, value: &Value| {
        let place = format!("{before}/{name}");
        places(value, &place, found);
        found.push(place);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| each(name, value)),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .for_each(|(at, value)| each(&at.to_string(), value)),
        _ => {}
    }
}

/// Puts a value at a place, or takes away what is there. A place within something else than an object or list is none.
fn change(event: &mut Value, place: &str, new: Option<Value>) {
    let Some((parent, name)) = place.rsplit_once('/') else {
        return;
    };
    match (event.pointer_mut(parent), new) {
        (Some(Value::Object(members)), Some(new)) => drop(members.insert(name.to_owned(), new)),
        (Some(Value::Object(members)), None) => drop(members.remove(name)),
        (Some(Value::Array(elements)), Some(new)) => {
            if let Some(element) = name
                .parse::<usize>()
                .ok()
                .and_then(|at| elements.get_mut(at))
            {
                *element = new;
            }
        }
        _ => {}
    }
}

/// Values at the edges of what some member may be.
fn edges() -> Vec<Value> {
    let mut edges = vec![
        json!(null),
        json!(true),
        json!(false),
        json!([]),
        json!({}),
        json!([{}]),
        json!([5]),
        json!({"id": 5}),
        json!({"id": "x", "size": i64::MAX, "name": null}),
        json!([{"size": i64::MAX.cast_unsigned() + 1}]),
        json!(1.5),
        json!(1e3),
        json!(1e300),
        json!(9_223_372_036_854_775_808.0),
        json!(u64::MAX),
        json!(i64::MAX.cast_unsigned() + 1),
    ];
    edges.extend([0, 1, -1, 1 << 53, (1 << 53) + 1, i64::MAX, i64::MIN].map(Value::from));
    edges.extend([1_024, 1_025, 262_144, 262_145].map(|n| "x".repeat(n).into()));
    let texts = [
        "",
        "x",
        "1.0",
        "other.type",
        event_type::MESSAGE_POSTED,
        event_type::NODE_STARTED,
        event_type::FILE_UPLOADED,
        event_type::QUARANTINED,
        "story",
        "00000000000000000000",
        "0000000000000000001",
        "09223372036854775807",
        "09223372036854775808",
        "09300000000000000000",
        "99999999999999999999",
        "0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001",
        "0197C0DE-7a3e-7c51-9a1f-2f6f6b1f0001",
        "0197c0de-7a3e-8c51-9a1f-2f6f6b1f0001",
        "0197c0de-7a3e-7c51-ca1f-2f6f6b1f0001",
        "2026-11-20T05:10:45Z",
        "2026-11-20t05:10:45.5z",
        "2026-11-20 05:10:45Z",
        "2026-11-20T05:10:45",
        "2026-11-20T05:10:45.Z",
        "2026-13-20T05:10:45Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T23:59:60Z",
        "2026-11-20T05:10:45.123456789+05:45",
        "2026-11-20T05:10:45+24:00",
        "eHg=",
        "eHk",
        "eHl=",
        "eA==",
        "eB==",
    ];
    edges.extend(texts.map(Value::from));
    edges
}

/// Whether the decoder may refuse what is valid: texts too long in an event of an unknown type, and an attribute that a time
/// needs for itself.
fn beyond_the_schema(event: &Value) -> bool {
    let unknown = event["type"].as_str().and_then(event_type::known).is_none();
    let long = |name: &str| event["data"][name].to_string().len() > 1_024;
    let taken = event
        .get("originaltime")
        .is_some_and(|text| !text.is_null());
    taken || (unknown && ["room", "actor", "message"].into_iter().any(long))
}

#[test]
fn what_is_valid_by_the_schema_decodes() {
    let validator = validator();
    let edges = edges();
    let one = (
        any::<Index>(),
        proptest::option::weighted(0.9, any::<Index>()),
    );
    let drawn = (any::<Index>(), vec(one, 0..4));
    let cases = ProptestConfig {
        cases: ProptestConfig::default().cases.max(12_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (valid, all) = (Cell::new(0), Cell::new(0));
    let outcome = TestRunner::new(cases).run(&drawn, |(known, changes)| {
        let mut event = example(known.get(event_type::KNOWN).name);
        for (place, new) in changes {
            let mut all: Vec<String> = MORE_PLACES.map(str::to_owned).into();
            places(&event, "", &mut all);
            change(
                &mut event,
                place.get::<String>(&all),
                new.map(|new| new.get(&edges).clone()),
            );
        }
        all.set(all.get() + 1);
        if validator.is_valid(&event) && !beyond_the_schema(&event) {
            valid.set(valid.get() + 1);
            let record = serde_json::to_vec(&event).unwrap();
            let decoded = decode(&record);
            prop_assert!(decoded.is_ok(), "{}: {event}", decoded.unwrap_err());
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(
        valid.get() > all.get() / 5,
        "{} of {}",
        valid.get(),
        all.get()
    );
}

/// Each of these is valid and refused, as the schema's description says.
#[test]
fn what_a_schema_cannot_say_is_in_its_description() {
    let validator = validator();
    let posted = |change: fn(&mut Value)| {
        let mut event = example(event_type::MESSAGE_POSTED);
        change(&mut event);
        event
    };
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let mut deep = posted(|_| ());
    deep["x"] = nested(64);
    let events = [
        ("nested deeper than 64 levels", deep.clone()),
        (
            "1,024 of a name",
            posted(|e| e["data"]["room"]["name"] = "é".repeat(1_024).into()),
        ),
        (
            "262,144 of a body or title",
            posted(|e| e["data"]["message"]["title"] = "é".repeat(262_144).into()),
        ),
        (
            "2,097,152 of an event",
            posted(|e| e["x"] = "x".repeat(2_097_152).into()),
        ),
        (
            "an event of an unknown type",
            posted(|e| {
                e["type"] = "other.type".into();
                e["data"]["room"]["name"] = "x".repeat(1_025).into();
            }),
        ),
        (
            "a day that its month does not have",
            posted(|e| e["time"] = "2026-02-30T00:00:00Z".into()),
        ),
        (
            "out of the years 0000 to 9999",
            posted(|e| e["time"] = "0000-01-01T00:00:00+01:00".into()),
        ),
        (
            "the attribute originaltime",
            posted(|e| {
                e["time"] = "2026-11-20T05:10:45+02:00".into();
                e["originaltime"] = "x".into();
            }),
        ),
    ];
    let records = events.map(|(said, event)| (said, event.to_string()));
    let written = |instead: &str| {
        let event = posted(|e| e["data"]["room_seq"] = "instead".into()).to_string();
        event.replace("\"instead\"", instead)
    };
    let texts = [
        ("a member that appears twice", written(r#"1,"x":1,"x":2"#)),
        ("a lone surrogate", written(r#"1,"x":"\ud800""#)),
        (
            "a number beyond the range of doubles",
            written(r#"1,"x":1e999"#),
        ),
        (
            "an integer beyond 2^53 with a fraction or exponent",
            written("9.007199254740993e15"),
        ),
    ];
    let description = description();
    for (said, record) in records.into_iter().chain(texts) {
        assert!(description.contains(said), "{said}");
        assert!(decode(record.as_bytes()).is_err(), "{said}: {record:.200}");
        if let Ok(event) = serde_json::from_str(&record) {
            assert!(validator.is_valid(&event), "{said}");
        }
    }
    deep["x"] = nested(63);
    assert!(decode(deep.to_string().as_bytes()).is_ok());
}

fn description() -> String {
    let text = std::fs::read_to_string(folder().join("compliance-event.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    schema["description"].as_str().unwrap().to_owned()
}
