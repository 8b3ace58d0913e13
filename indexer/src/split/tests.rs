//! A split answers what its rows say; a damaged one answers nothing.

use std::collections::BTreeMap;

use holdfast_query::analyzer::{Analyzer, fold_keyword};
use holdfast_query::plan::TextField;
use holdfast_schemas::columns::RowBuilder;
use holdfast_schemas::{Actor, Attachment, Event, Intake, Message, Room, Row};
use proptest::prelude::*;
use tantivy::directory::OwnedBytes;
use tantivy::postings::Postings;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, TERMINATED};

use super::open::{open_bytes, postings};
use super::{Split, Wanted, build_split};
use crate::error::SplitError;
use crate::schema::{Hashed, Key, size_term};

const SEGMENT: &str = "01J00000000000000000000000";

#[derive(Debug, Clone)]
struct Given {
    body: Option<String>,
    title: Option<String>,
    actor: Option<String>,
    room: Option<String>,
    files: Vec<(Option<String>, Option<i64>)>,
    time_us: i64,
}

fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("keep"),
        Just("Keep"),
        Just("plan"),
        Just("naïve"),
        Just("日本語"),
        Just("シャツ"),
        Just("да"),
        Just("R&D"),
        Just("👍"),
        Just("a_very_long_word_of_more_than_twelve_bytes"),
        Just("ﬁn"),
        Just(","),
    ];
    prop::collection::vec(word, 0..8).prop_map(|words| words.join(" "))
}

fn given() -> impl Strategy<Value = Given> {
    (
        prop::option::of(words()),
        prop::option::weighted(0.2, words()),
        prop::option::of(prop::sample::select(vec![
            "Ana Pérez".to_owned(),
            "ana pérez".to_owned(),
            "Bo".to_owned(),
            "an actor with a long name".to_owned(),
        ])),
        prop::option::of("[ab]{1,2}"),
        prop::collection::vec(
            (prop::option::of(words()), prop::option::of(-2..100_000_i64)),
            0..3,
        ),
        0..1_000_000_i64,
    )
        .prop_map(|(body, title, actor, room, files, time_us)| Given {
            body,
            title,
            actor,
            room,
            files,
            time_us,
        })
}

fn id(row: usize) -> String {
    format!("0197c0de-0000-7000-8000-{row:012X}")
}

fn batch(given: &[Given]) -> arrow::array::RecordBatch {
    let mut builder = RowBuilder::with_capacity(given.len());
    for (row, given) in given.iter().enumerate() {
        let attachment = |(name, size): &(Option<String>, Option<i64>)| Attachment {
            name: name.clone().filter(|name| !name.is_empty()).map(Into::into),
            size: *size,
            id: Some("f".into()),
            ..Attachment::default()
        };
        let event = Event {
            id: id(row).into(),
            event_type: "chat.message.posted".into(),
            time_us: given.time_us,
            source: "/s".into(),
            origin: "main".into(),
            sequence: row as u64 + 1,
            room: Room {
                id: given.room.clone().map(Into::into),
                ..Room::default()
            },
            actor: Actor {
                name: given.actor.clone().map(Into::into),
                ..Actor::default()
            },
            message: Message {
                id: Some(format!("m-{}", row / 2).into()),
                body: given
                    .body
                    .clone()
                    .filter(|body| !body.is_empty())
                    .map(Into::into),
                title: given
                    .title
                    .clone()
                    .filter(|title| !title.is_empty())
                    .map(Into::into),
                ..Message::default()
            },
            attachments: given.files.iter().map(attachment).collect(),
            ..Event::default()
        };
        builder.append(&Row {
            event,
            intake: Intake {
                ingest_time_us: 7,
                ..Intake::default()
            },
        });
    }
    builder.finish().unwrap()
}

fn wanted(rows: usize) -> Wanted {
    Wanted {
        path: "index/x.split".to_owned(),
        segment: SEGMENT.to_owned(),
        rows: rows as u64,
    }
}

fn open(bytes: &[u8], rows: usize) -> Result<Split, SplitError> {
    let (source, tail) = open_bytes(OwnedBytes::new(bytes.to_vec()))?;
    Split::new(source, tail, &wanted(rows))
}

type Occurrences = BTreeMap<Vec<u8>, Vec<(u32, Vec<u32>)>>;

/// All terms of a text field with rows and positions.
fn read_text(split: &Split, field: TextField) -> Result<Occurrences, SplitError> {
    let reader = split.text(field)?;
    let mut all = Occurrences::new();
    let mut terms = reader.terms().stream()?;
    while terms.advance() {
        let mut docs = postings(
            &reader,
            terms.value(),
            IndexRecordOption::WithFreqsAndPositions,
        )?;
        let rows = all.entry(terms.key().to_vec()).or_default();
        while docs.doc() != TERMINATED {
            let mut positions = Vec::new();
            docs.positions(&mut positions);
            rows.push((docs.doc(), positions));
            docs.advance();
        }
    }
    Ok(all)
}

fn read_keys(split: &Split) -> Result<BTreeMap<Vec<u8>, Vec<u32>>, SplitError> {
    let reader = split.keys()?;
    let mut all = BTreeMap::new();
    let mut terms = reader.terms().stream()?;
    while terms.advance() {
        let mut docs = postings(&reader, terms.value(), IndexRecordOption::Basic)?;
        let rows: &mut Vec<u32> = all.entry(terms.key().to_vec()).or_default();
        while docs.doc() != TERMINATED {
            rows.push(docs.doc());
            docs.advance();
        }
    }
    Ok(all)
}

fn expected_text<'a>(texts: impl Iterator<Item = (usize, Vec<&'a str>)>) -> Occurrences {
    let mut analyzer = Analyzer::new();
    let mut all = Occurrences::new();
    for (row, values) in texts {
        let mut base = 0;
        for value in values {
            let mut end = base;
            analyzer.terms(value, |term| {
                let rows = all.entry(term.text.as_bytes().to_vec()).or_default();
                if rows.last().is_none_or(|(last, _)| *last != row as u32) {
                    rows.push((row as u32, Vec::new()));
                }
                rows.last_mut().unwrap().1.push(base + term.position);
                end = base + term.position + 1;
            });
            base = end + holdfast_query::limits::VALUE_POSITION_GAP;
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn ar3_a_split_says_what_its_rows_say(given in prop::collection::vec(given(), 0..40)) {
        let given: Vec<Given> = { let mut given = given; given.sort_by_key(|given| given.time_us); given };
        let bytes = build_split(&batch(&given), SEGMENT).unwrap();
        prop_assert_eq!(&bytes, &build_split(&batch(&given), SEGMENT).unwrap());
        let split = open(&bytes, given.len()).unwrap();
        prop_assert_eq!(split.rows() as usize, given.len());
        prop_assert_eq!(split.attachments() as usize, given.iter().map(|given| given.files.len()).sum::<usize>());
        let one = |value: &Option<String>| -> Vec<String> { value.iter().cloned().collect() };
        for (field, values) in [
            (TextField::Body, given.iter().map(|given| one(&given.body)).collect::<Vec<_>>()),
            (TextField::Title, given.iter().map(|given| one(&given.title)).collect()),
            (TextField::ActorName, given.iter().map(|given| one(&given.actor)).collect()),
            (TextField::AttachmentName, given.iter().map(|given| given.files.iter().filter_map(|file| file.0.clone()).filter(|name| !name.is_empty()).collect()).collect()),
        ] {
            let texts = values.iter().enumerate().map(|(row, values)| (row, values.iter().map(String::as_str).collect()));
            prop_assert_eq!(read_text(&split, field).unwrap(), expected_text(texts));
        }
        let mut keys = BTreeMap::<Vec<u8>, Vec<u32>>::new();
        let mut key = |key: Key, value: &[u8], row: usize| {
            let rows = keys.entry([&[key as u8], value].concat()).or_default();
            if rows.last() != Some(&(row as u32)) { rows.push(row as u32) }
        };
        for (row, given) in given.iter().enumerate() {
            key(Key::Type, b"chat.message.posted", row);
            key(Key::Origin, b"main", row);
            given.room.iter().for_each(|room| key(Key::RoomId, room.as_bytes(), row));
            for (_, size) in &given.files {
                key(Key::HasAttachment, b"1", row);
                size.iter().for_each(|size| key(Key::Size, &size_term(*size), row));
            }
        }
        prop_assert_eq!(read_keys(&split).unwrap(), keys);
        for (row, given) in given.iter().enumerate() {
            prop_assert!(split.hashed(Hashed::Id, &fold_keyword(&id(row))).unwrap().contains(&(row as u32)));
            let message = format!("m-{}", row / 2);
            prop_assert!(split.hashed(Hashed::Message, &message).unwrap().contains(&(row as u32)));
            prop_assert_eq!(split.event_times().unwrap().get_val(row as u32), given.time_us);
            prop_assert_eq!(split.ingest_times().unwrap().get_val(row as u32), 7);
        }
    }
}

/// Everything a split can be asked, or the first error.
fn read_all(bytes: &[u8], rows: usize) -> Result<(), SplitError> {
    let split = open(bytes, rows)?;
    for field in [
        TextField::Body,
        TextField::Title,
        TextField::AttachmentName,
        TextField::ActorName,
    ] {
        read_text(&split, field)?;
    }
    read_keys(&split)?;
    for row in 0..rows {
        split.hashed(Hashed::Id, &fold_keyword(&id(row)))?;
        split.hashed(Hashed::Message, &format!("m-{row}"))?;
    }
    split.event_times()?;
    split.ingest_times()?;
    Ok(())
}

fn sample() -> Vec<Given> {
    (0..300)
        .map(|row| Given {
            body: Some(format!(
                "keep the plan number {row} シャツ {}",
                "word ".repeat(row % 7)
            )),
            title: (row % 9 == 0).then(|| "a story".to_owned()),
            actor: Some(format!("Ana {}", row % 3)),
            room: Some(format!("room-of-a-long-name-{}", row % 4)),
            files: if row % 5 == 0 {
                vec![(Some("plan.pdf".to_owned()), Some(row as i64))]
            } else {
                Vec::new()
            },
            time_us: row as i64 * 1000,
        })
        .collect()
}

#[test]
fn se1_a_changed_byte_is_an_error_and_never_a_panic() {
    let given = sample();
    let bytes = build_split(&batch(&given), SEGMENT).unwrap();
    read_all(&bytes, given.len()).unwrap();
    for at in (0..bytes.len())
        .step_by(61)
        .chain(bytes.len() - 600..bytes.len())
    {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (at % 8);
        // Four bytes of the trailer are reserved and mean nothing.
        let reserved = bytes.len() - 12..bytes.len() - 8;
        assert_eq!(
            read_all(&damaged, given.len()).is_ok(),
            reserved.contains(&at),
            "byte {at} of {}",
            bytes.len()
        );
    }
}

#[test]
fn se1_a_cut_split_is_an_error_and_never_a_panic() {
    let given = sample();
    let bytes = build_split(&batch(&given), SEGMENT).unwrap();
    for len in (0..bytes.len())
        .step_by(97)
        .chain(bytes.len() - 50..bytes.len())
    {
        assert!(
            read_all(&bytes[..len], given.len()).is_err(),
            "cut to {len}"
        );
        assert!(
            read_all(&bytes[bytes.len() - len..], given.len()).is_err(),
            "the last {len}"
        );
    }
}

#[test]
fn se1_the_split_of_another_segment_is_refused() {
    let given = sample();
    let bytes = build_split(&batch(&given), "01J00000000000000000000001").unwrap();
    assert!(matches!(
        open(&bytes, given.len()),
        Err(SplitError::Wrong { .. })
    ));
    let bytes = build_split(&batch(&given), SEGMENT).unwrap();
    assert!(matches!(
        open(&bytes, given.len() + 1),
        Err(SplitError::Wrong { .. })
    ));
}

#[test]
fn an_empty_segment_has_a_split() {
    let bytes = build_split(&batch(&[]), SEGMENT).unwrap();
    read_all(&bytes, 0).unwrap();
}
