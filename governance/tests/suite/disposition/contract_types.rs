//! Each event type of the contract, as its schema has them, against holds and retention: a new type cannot be forgotten.

use std::collections::BTreeSet;
use std::path::PathBuf;

use holdfast_schemas::decode::decode;
use holdfast_schemas::event_type as t;
use holdfast_schemas::ledger::hold::HoldScope;
use holdfast_schemas::{Event, Intake, Row};
use serde_json::Value;

use crate::model::acts::{fresh, live, place, run_plan, save};
use crate::model::events::{DAY_US, ORIGIN, ingest_rows};

fn contract() -> PathBuf {
    PathBuf::from("../schemas/json")
}

/// Every type that the schema says something of.
fn types() -> BTreeSet<String> {
    let text = std::fs::read(contract().join("compliance-event.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&text).unwrap();
    let of_type = schema["allOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["if"]["properties"]["type"]);
    let named = of_type.flat_map(|of| match of["enum"].as_array() {
        Some(many) => many.clone(),
        None => vec![of["const"].clone()],
    });
    named
        .map(|name| name.as_str().expect("a type's name").to_owned())
        .collect()
}

/// The contract's example of a type, as if it had happened so long ago.
fn example(text: &[u8], days_ago: i64) -> Row<'_> {
    let event = decode(text).unwrap();
    let event = Event {
        time_us: jiff::Timestamp::now().as_microsecond() - days_ago * DAY_US,
        origin: ORIGIN.into(),
        sequence: 1,
        ..event
    };
    Row {
        event,
        intake: Intake::default(),
    }
}

#[test]
fn the_schema_and_the_code_know_the_same_types() {
    let known = t::KNOWN.iter().map(|known| known.name.to_owned());
    assert_eq!(types(), known.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_re1_each_type_of_the_schema_goes_with_its_time_and_stays_with_a_hold() {
    let types = types();
    assert!(types.len() > 30, "{types:?}");
    for name in types {
        let file = contract().join("examples").join(format!("{name}.json"));
        let text = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        // Its time is over or not; it is held or not.
        for (days_ago, held) in [(800, false), (800, true), (100, false)] {
            let stays = held || days_ago < 365;
            let process = fresh().await;
            ingest_rows(&process.archive, &[example(&text, days_ago)])
                .await
                .unwrap();
            if held {
                let scope = HoldScope {
                    types: vec![name.clone()],
                    ..HoldScope::default()
                };
                let receipt = place(&process, "h", scope).await;
                assert_eq!(receipt.coverage.events, 1, "{name}");
            }
            let (plan, tally) = save(&process).await;
            let context = format!("{name}, {days_ago} days ago, held: {held}");
            assert_eq!(tally.events, u64::from(!stays), "{context}");
            if !stays {
                run_plan(&process, &plan).await;
            }
            assert_eq!(
                live(&process.archive).await.len(),
                usize::from(stays),
                "{context}"
            );
        }
    }
}
