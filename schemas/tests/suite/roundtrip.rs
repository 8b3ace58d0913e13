//! From any producer's JSON to columns and back: the same normalised event, the same hash, nothing lost.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use holdfast_schemas::columns::{RowBuilder, Rows};
use holdfast_schemas::decode::decode;
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::{Intake, Row, canonical, event_type};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Leaves and small trees, as a foreign member may hold them.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6..1e6).prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
        Just(Value::from("\u{0}\u{8}\t\n\"\\/\u{1f}\u{7f}\u{2028}𝄞")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map("[a-z𝄞é]{0,3}", inner, 0..3)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// A string, null, an empty one, or nothing.
fn text() -> impl Strategy<Value = Option<Value>> {
    proptest::option::of(
        prop_oneof![4 => "\\PC{1,8}".prop_map(Value::from), 1 => Just(Value::Null), 1 => Just(Value::from(""))],
    )
}

fn members(names: &'static [&'static str]) -> impl Strategy<Value = Map<String, Value>> {
    (
        vec(text(), names.len()),
        btree_map("x[a-z]{0,3}", anything(), 0..2),
    )
        .prop_map(move |(texts, more)| {
            let known = names
                .iter()
                .zip(texts)
                .filter_map(|(n, t)| Some(((*n).to_owned(), t?)));
            known.chain(more).collect()
        })
}

/// Any integer of 64 bits, and those at which doubles end, and the columns.
fn integer() -> impl Strategy<Value = i64> {
    let end = 1_i64 << 53;
    prop_oneof![
        2 => -end..=end,
        1 => any::<i64>(),
        1 => proptest::sample::select(vec![0, 1, end - 1, end, end + 1, i64::MAX - 1, i64::MAX, i64::MIN]),
    ]
}

fn attachment() -> impl Strategy<Value = Value> {
    let known = members(&["id", "name", "media_type", "sha256"]);
    (known, proptest::option::of(integer())).prop_map(|(mut file, size)| {
        file.insert("size".to_owned(), size.into());
        Value::Object(file)
    })
}

/// True, false, null, or nothing.
fn internal() -> impl Strategy<Value = Option<Value>> {
    proptest::option::of(proptest::option::of(any::<bool>()).prop_map(Value::from))
}

fn actor() -> impl Strategy<Value = Value> {
    let known = members(&["id", "uri", "name", "email", "kind"]);
    (known, internal()).prop_map(|(mut actor, internal)| {
        actor.extend(internal.map(|internal| ("internal".to_owned(), internal)));
        Value::Object(actor)
    })
}

fn message() -> impl Strategy<Value = Value> {
    let known = members(&["id", "kind", "title", "body", "reply_to"]);
    let files = vec(attachment(), 0..3).prop_map(Value::from);
    (known, proptest::option::of(files)).prop_map(|(mut message, files)| {
        message.extend(files.map(|files| ("attachments".to_owned(), files)));
        Value::Object(message)
    })
}

/// What came in, in base64, as quarantined rows have it.
fn raw() -> impl Strategy<Value = Option<Value>> {
    let bytes = vec(any::<u8>(), 0..9).prop_map(|bytes| BASE64.encode(bytes).into());
    proptest::option::of(prop_oneof![4 => bytes, 1 => Just(Value::Null)])
}

fn data() -> impl Strategy<Value = Map<String, Value>> {
    let room = members(&["id", "name", "category"]).prop_map(Value::Object);
    let room_seq = proptest::option::of(integer()).prop_map(Value::from);
    let known = (
        proptest::option::of(room),
        proptest::option::of(actor()),
        proptest::option::of(message()),
        proptest::option::of(attachment()),
        proptest::option::of(room_seq),
    );
    let more = btree_map(
        "(by|member|user|reason|value|x[a-z]{0,2})",
        anything(),
        0..3,
    );
    (known, more).prop_map(|((room, actor, message, attachment, room_seq), more)| {
        let known = [
            ("room", room),
            ("actor", actor),
            ("message", message),
            ("attachment", attachment),
            ("room_seq", room_seq),
        ];
        let given = known
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        more.into_iter().chain(given).collect()
    })
}

fn event_name() -> impl Strategy<Value = String> {
    let known: Vec<_> = event_type::KNOWN.iter().map(|t| t.name).collect();
    prop_oneof![
        6 => proptest::sample::select(known).prop_map(str::to_owned),
        1 => proptest::sample::select(vec![event_type::FILE_UPLOADED, event_type::FILE_DOWNLOADED]).prop_map(str::to_owned),
        1 => Just(event_type::QUARANTINED.to_owned()),
        2 => "other\\.[a-z]{1,5}",
    ]
}

fn time() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..4_000_000_000_000_000_i64).prop_map(holdfast_schemas::time::format_us),
        Just("2026-11-20T07:10:45.5+02:00".to_owned()),
        Just("2026-11-20T05:10:45.123456789Z".to_owned()),
        Just("1970-01-01T00:00:00Z".to_owned()),
    ]
}

prop_compose! {
    fn any_event()(
        name in event_name(), time in time(), id in any::<u128>(), sequence in 1..=i64::MAX, mut data in data(),
        subject in "[a-z]{1,4}", routing in 0..4_u8, schema in proptest::option::of("urn:[a-z]{1,4}"),
        foreign in btree_map("x[a-z]{0,4}", anything(), 0..2), raw in raw(),
    ) -> Value {
        let quarantined = name == event_type::QUARANTINED;
        // Ingest's own rows have an id that follows from their position.
        let version = if quarantined && routing < 2 { uuid::Version::Custom } else { uuid::Version::SortRand };
        data.extend(raw.filter(|_| quarantined).map(|raw| ("raw".to_owned(), raw)));
        let id = uuid::Builder::from_bytes(id.to_be_bytes()).with_version(version).with_variant(uuid::Variant::RFC4122).into_uuid();
        let room = data.get("room").and_then(|r| r.get("id")).and_then(Value::as_str).filter(|r| !r.is_empty()).map(str::to_owned);
        let subject = if routing == 0 { subject } else { room.unwrap_or(subject) };
        let mut event = json!({"specversion": "1.0", "id": id.to_string(), "source": "/pools/main", "type": name, "subject": subject, "time": time,
            "origin": "main.1", "sequence": format!("{sequence:020}"), "data": data});
        if routing < 3 {
            event["datacontenttype"] = "application/json".into();
            event["partitionkey"] = subject.into();
            event["dataschema"] = schema.unwrap_or_else(|| "urn:holdfast:compliance-event:1".to_owned()).into();
        }
        event.as_object_mut().unwrap().extend(foreign);
        event
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn drop_blank(object: &mut Value, names: &[&str]) {
    if let Value::Object(members) = object {
        members.retain(|name, value| !(names.contains(&name.as_str()) && is_blank(value)));
    }
}

/// Normalisation as the contract words it, written again the plain way.
fn normalised(mut event: Value) -> Value {
    let name = event["type"].as_str().unwrap().to_owned();
    let time = event["time"].as_str().unwrap().to_owned();
    let parsed = holdfast_schemas::time::parse_rfc3339(&time).unwrap();
    event["time"] = holdfast_schemas::time::format_us(parsed.us).into();
    if parsed.lossy {
        event["originaltime"] = time.into();
    }
    let file = ["id", "name", "media_type", "size", "sha256"];
    if let Some(data) = event.get_mut("data") {
        for (object, names) in [
            ("room", &["id", "name", "category"][..]),
            ("actor", &["id", "uri", "name", "email", "internal", "kind"]),
        ] {
            if let Some(object) = data.get_mut(object) {
                drop_blank(object, names);
            }
        }
        if let Some(message) = data.get_mut("message") {
            if let (false, Some(Value::Array(files))) = (
                name.starts_with("chat.file."),
                message.get_mut("attachments"),
            ) {
                let plain = files.iter().all(|f| {
                    f.as_object().unwrap().iter().all(|(n, v)| {
                        file.contains(&n.as_str()) || (is_blank(v) && file.contains(&n.as_str()))
                    })
                });
                if plain {
                    files.iter_mut().for_each(|f| drop_blank(f, &file));
                }
            }
            drop_blank(message, &["id", "kind", "title", "body", "reply_to"]);
            if !name.starts_with("chat.file.") {
                drop_blank(message, &["attachments"]);
            }
        }
        if name.starts_with("chat.file.") {
            if let Some(attachment) = data.get_mut("attachment") {
                drop_blank(attachment, &file);
            }
            drop_blank(data, &["attachment"]);
        }
        if name == event_type::QUARANTINED {
            drop_blank(data, &["raw"]);
        }
        drop_blank(data, &["room", "actor", "message", "room_seq"]);
    }
    drop_blank(&mut event, &["data"]);
    event
}

/// The integers that a double may not hold, as texts that nothing else looks like: RFC 8785 rounds them, we keep them.
fn with_kept_integers(value: &mut Value) {
    match value {
        Value::Number(n) if n.as_i64().is_some_and(|n| n.unsigned_abs() > 1 << 53) => {
            *value = format!("{KEPT}{n}{KEPT}").into();
        }
        Value::Array(elements) => elements.iter_mut().for_each(with_kept_integers),
        Value::Object(members) => members.values_mut().for_each(with_kept_integers),
        _ => {}
    }
}

const KEPT: &str = "kept integer";

/// Canonical JSON as RFC 8785 has it, but for those integers.
fn canonical_by_the_oracle(mut event: Value) -> String {
    with_kept_integers(&mut event);
    let text = String::from_utf8(serde_jcs::to_vec(&event).unwrap()).unwrap();
    text.replace(&format!("\"{KEPT}"), "")
        .replace(&format!("{KEPT}\""), "")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn columns_give_the_same_event_and_hash(events in vec(any_event(), 1..5)) {
        let records: Vec<_> = events.iter().map(|e| serde_json::to_vec(e).unwrap()).collect();
        let mut builder = RowBuilder::with_capacity(records.len());
        let mut scratch = Vec::new();
        let mut hashes = Vec::new();
        for record in &records {
            let event = decode(record).map_err(|e| TestCaseError::fail(e.to_string()))?;
            hashes.push(event_hash(&event, &mut scratch));
            builder.append(&Row { event, intake: Intake::default() });
        }
        let batch = builder.finish().unwrap();
        let rows = Rows::new(&batch).unwrap();
        for (i, record) in records.iter().enumerate() {
            prop_assert_eq!(&rows.event(i), &decode(record).unwrap());
            prop_assert_eq!(event_hash(&rows.event(i), &mut scratch), hashes[i]);
        }
    }

    #[test]
    fn canonical_json_is_that_of_the_oracle(event in any_event()) {
        let record = serde_json::to_vec(&event).unwrap();
        let mut ours = Vec::new();
        canonical::write(&decode(&record).map_err(|e| TestCaseError::fail(e.to_string()))?, &mut ours);
        let theirs = canonical_by_the_oracle(normalised(event));
        prop_assert_eq!(String::from_utf8(ours.clone()).unwrap(), theirs);
        let mut again = Vec::new();
        canonical::write(&decode(&ours).unwrap(), &mut again);
        prop_assert_eq!(ours, again, "reading an export back changes the event");
    }
}

#[test]
fn what_normalisation_would_lose_is_kept_and_hashed() {
    let event = |time: &str, subject: &str, number: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001","source":"s","type":"chat.message.posted","subject":"{subject}",
            "time":"{time}","origin":"o","sequence":"00000000000000000001","data":{{"room":{{"id":"r-1"}},"n":{number}}}}}"#
        )
    };
    let hash = |text: &str| event_hash(&decode(text.as_bytes()).unwrap(), &mut Vec::new());
    let plain = hash(&event("2026-11-20T05:10:45Z", "r-1", "1"));
    for changed in [
        event("2026-11-20T07:10:45+02:00", "r-1", "1"),
        event("2026-11-20T05:10:45.0000001Z", "r-1", "1"),
        event("2026-11-20T05:10:45Z", "r-2", "1"),
    ] {
        assert_ne!(hash(&changed), plain, "{changed}");
    }
    let big = event("2026-11-20T05:10:45Z", "r-1", "9007199254740993");
    assert_ne!(
        hash(&big),
        hash(&event("2026-11-20T05:10:45Z", "r-1", "9007199254740992"))
    );
    assert!(
        decode(big.as_bytes())
            .unwrap()
            .extra
            .unwrap()
            .contains("9007199254740993")
    );
}

#[test]
fn bad_records_are_refused_with_a_reason() {
    let record = |data: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001","source":"s","type":"chat.message.posted","subject":"r-1",
            "time":"2026-11-20T05:10:45Z","origin":"o","sequence":"00000000000000000001","data":{data}}}"#
        )
    };
    let reason = |record: &[u8]| decode(record).unwrap_err().to_string();
    assert!(reason(b"not json").starts_with("event: "));
    assert!(reason(b"").starts_with("event: "));
    assert!(reason(b"[]").contains("expected an object"));
    assert!(reason(b"{\"a\":\"\xff\"}").contains("not UTF-8 at byte 6"));
    assert!(reason(record(r#"{"a":1,"a":1}"#).as_bytes()).contains("data.a: member appears twice"));
    assert!(
        reason(record(r#"{"room":{"id":"r-1","id":"r-1"}}"#).as_bytes())
            .contains("data.room.id: member appears twice")
    );
    assert!(
        reason(record(r#"{"message":{"body":"\ud800"}}"#).as_bytes())
            .starts_with("data.message.body")
    );
    assert!(
        reason(record(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).as_bytes())
            .contains("nested deeper")
    );
    assert!(
        reason(
            record(&format!(
                r#"{{"message":{{"body":"{}"}}}}"#,
                "x".repeat(256 * 1024 + 1)
            ))
            .as_bytes()
        )
        .contains("limit is 262144")
    );
    assert!(
        reason(record(&format!(r#"{{"x":"{}"}}"#, "x".repeat(2 * 1024 * 1024))).as_bytes())
            .contains("limit is 2097152")
    );
    assert!(reason(record(r#"{"x":1e999}"#).as_bytes()).starts_with("data.x: "));
}

/// Each of these took minutes when places were spelt out for every value, or members searched one by one.
#[test]
fn one_record_cannot_keep_the_pipeline_busy() {
    let envelope = |more: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001","source":"s","type":"chat.node.started",
            "time":"2026-11-20T05:10:45Z","origin":"o","sequence":"00000000000000000001",{more}}}"#
        )
    };
    let long_name = envelope(&format!(
        r#""{}":[{}1]"#,
        "n".repeat(1 << 20),
        "1,".repeat(400_000)
    ));
    let many_names = envelope(
        &(0..150_000)
            .map(|i| format!(r#""x{i}":1"#))
            .collect::<Vec<_>>()
            .join(","),
    );
    for record in [long_name, many_names] {
        let event = decode(record.as_bytes()).unwrap();
        let mut canonical = Vec::new();
        canonical::write(&event, &mut canonical);
        assert_eq!(decode(&canonical).unwrap(), event);
    }
}
