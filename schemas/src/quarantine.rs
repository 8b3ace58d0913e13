//! Rows for records that are no events: nothing that came in is lost, and it can be searched for.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::canonical;
use crate::event::{Event, Intake, Row};
use crate::event_type::QUARANTINED;
use crate::json::Json;

/// Where a record came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// What is read: `kafka/<cluster>/<topic id>/<partition>`, `jsonl`, `outbox/<origin>`.
    pub source: String,
    /// The place in it, for people: an offset, or file and line.
    pub place: String,
    /// A number that is unique within the source and the same when the record is read again (a Kafka offset);
    /// `None` where there is none: then it is derived from place and bytes.
    pub number: Option<u64>,
}

/// What the origins of quarantined rows begin with.
pub const ORIGIN_PREFIX: &str = "quarantine/";

/// Identities that a record can have at most: the first, and those it gets when other rows have taken the ones before.
pub const IDENTITIES: u32 = 16;

/// The row of type `holdfast.quarantined` for a record that was not archived as itself.
///
/// Its origin is `quarantine/<source>`; sequence and id (a UUIDv8) follow from position and bytes alone, so that the same record read
/// again is a duplicate. `intake.ingest_time_us` becomes the time of the event.
#[must_use]
pub fn quarantined<'a>(
    raw: &'a [u8],
    reason: &str,
    position: &Position,
    intake: Intake<'a>,
) -> Row<'a> {
    quarantined_as(0, raw, reason, position, intake)
}

/// As [`quarantined`], under the record's `nth` identity: 0 is the usual one, the next ones (below [`IDENTITIES`]) are for records whose
/// sequence another row has already.
#[must_use]
pub fn quarantined_as<'a>(
    nth: u32,
    raw: &'a [u8],
    reason: &str,
    position: &Position,
    intake: Intake<'a>,
) -> Row<'a> {
    let (id, derived) = identity(&position.source, &position.place, raw, nth);
    let numbered = position.number.filter(|_| nth == 0);
    let event = Event {
        id: Cow::Owned(id.to_string()),
        event_type: Cow::Borrowed(QUARANTINED),
        time_us: intake.ingest_time_us,
        source: Cow::Borrowed("/holdfast/ingest"),
        origin: Cow::Owned(format!("{ORIGIN_PREFIX}{}", position.source)),
        sequence: numbered.map_or(derived, |n| n + 1),
        extra: Some(Cow::Owned(explanation(reason, position))),
        raw: (!raw.is_empty()).then_some(Cow::Borrowed(raw)),
        ..Event::default()
    };
    Row { event, intake }
}

/// Id and derived sequence of a record.
fn identity(source: &str, place: &str, raw: &[u8], nth: u32) -> (Uuid, u64) {
    let mut hasher = Sha256::new()
        .chain_update(source.as_bytes())
        .chain_update([0])
        .chain_update(place.as_bytes())
        .chain_update([0])
        .chain_update(raw);
    if nth > 0 {
        hasher.update([0]);
        hasher.update(nth.to_be_bytes());
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    let mut number = [0; 8];
    number.copy_from_slice(&digest[16..24]);
    // 53 bits: exact in every reader, and never zero, since sequences begin at 1.
    (Uuid::new_v8(id), (u64::from_be_bytes(number) >> 11) + 1)
}

/// Why an event that came in may not have its origin, if so: only quarantined rows may have one that begins with [`ORIGIN_PREFIX`], under
/// the identity that follows from their position and bytes. Any other could take the place of a record that is quarantined later.
#[must_use]
pub fn forged(event: &Event<'_>) -> Option<String> {
    let source = event.origin.strip_prefix(ORIGIN_PREFIX)?;
    if event.event_type != QUARANTINED {
        return Some(format!(
            "origin {:?} is for {QUARANTINED} alone, this is {}",
            event.origin, event.event_type
        ));
    }
    let explained = event
        .extra
        .as_deref()
        .and_then(|extra| Json::parse(extra).ok());
    let place = explained
        .as_ref()
        .and_then(|extra| extra.get("data")?.get("position")?.as_str())
        .and_then(|position| position.strip_prefix(source)?.strip_prefix(": "));
    let Some(place) = place else {
        return Some(format!(
            "data.position does not begin with {source:?}, as the origin says"
        ));
    };
    // Kafka's records are numbered by their offsets from 0, rows of an outbox by their sequences from 1; their places end with them.
    let number = || place.rsplit(' ').next()?.parse::<u64>().ok();
    let numbered = if source.starts_with("kafka/") {
        Some(number().and_then(|offset| offset.checked_add(1)))
    } else if source.starts_with("outbox/") {
        Some(number())
    } else {
        None
    };
    let raw = event.raw.as_deref().unwrap_or_default();
    let genuine = (0..IDENTITIES).any(|nth| {
        let (id, derived) = identity(source, place, raw, nth);
        let sequence = match numbered {
            Some(numbered) if nth == 0 => numbered,
            _ => Some(derived),
        };
        Uuid::try_parse(&event.id).is_ok_and(|own| own == id) && sequence == Some(event.sequence)
    });
    (!genuine).then(|| {
        "id and sequence do not follow from data.position and data.raw, as those of a quarantined record do"
            .to_owned()
    })
}

/// `{"data":{"position":…,"reason":…}}`
fn explanation(reason: &str, position: &Position) -> String {
    let text = |t: &'_ str| Json::String(Cow::Owned(t.to_owned()));
    let place = format!("{}: {}", position.source, position.place);
    let data = vec![
        (Cow::Borrowed("position"), text(&place)),
        (Cow::Borrowed("reason"), text(reason)),
    ];
    let mut out = Vec::new();
    canonical::print(
        &Json::Object(vec![(Cow::Borrowed("data"), Json::Object(data))]),
        &mut out,
    );
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;

    fn position(number: Option<u64>) -> Position {
        let source = number.map_or("jsonl", |_| "kafka/c/t/0");
        let place = number.map_or("f line 3".to_owned(), |n| format!("topic t offset {n}"));
        Position {
            source: source.to_owned(),
            place,
            number,
        }
    }

    #[test]
    fn an_exported_quarantined_row_is_genuine_and_an_altered_one_is_not() {
        for (number, nth) in [(None, 0), (None, 3), (Some(7), 0), (Some(7), 1)] {
            let position = position(number);
            let row = quarantined_as(nth, b"{odd", "no JSON", &position, Intake::default());
            let mut text = Vec::new();
            canonical::write(&row.event, &mut text);
            let read = decode(&text).unwrap();
            assert_eq!(forged(&read), None, "{number:?} {nth}");
            let altered = [
                Event {
                    sequence: read.sequence + 1,
                    ..read.clone()
                },
                Event {
                    id: Cow::Borrowed("0197c0de-7a3e-7c51-9a1f-000000000000"),
                    ..read.clone()
                },
                Event {
                    raw: Some(Cow::Borrowed(b"other")),
                    ..read.clone()
                },
                Event {
                    extra: None,
                    ..read.clone()
                },
                Event {
                    event_type: Cow::Borrowed("chat.message.posted"),
                    ..read.clone()
                },
                Event {
                    origin: Cow::Borrowed("quarantine/elsewhere"),
                    ..read.clone()
                },
            ];
            for event in altered {
                assert!(forged(&event).is_some(), "{event:?}");
            }
        }
        assert_eq!(
            forged(&Event {
                origin: Cow::Borrowed("node-1"),
                ..Event::default()
            }),
            None
        );
    }

    #[test]
    fn a_records_identities_differ() {
        let position = position(Some(7));
        let ids: std::collections::BTreeSet<_> = (0..IDENTITIES)
            .map(|nth| {
                let row = quarantined_as(nth, b"x", "r", &position, Intake::default());
                (row.event.id.into_owned(), row.event.sequence)
            })
            .collect();
        assert_eq!(ids.len(), IDENTITIES as usize);
    }
}
