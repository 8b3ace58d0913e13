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
    let digest: [u8; 32] = Sha256::new()
        .chain_update(position.source.as_bytes())
        .chain_update([0])
        .chain_update(position.place.as_bytes())
        .chain_update([0])
        .chain_update(raw)
        .finalize()
        .into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    let mut number = [0; 8];
    number.copy_from_slice(&digest[16..24]);
    // 53 bits: exact in every reader, and never zero, since sequences begin at 1.
    let derived = (u64::from_be_bytes(number) >> 11) + 1;
    let event = Event {
        id: Cow::Owned(Uuid::new_v8(id).to_string()),
        event_type: Cow::Borrowed(QUARANTINED),
        time_us: intake.ingest_time_us,
        source: Cow::Borrowed("/holdfast/ingest"),
        origin: Cow::Owned(format!("quarantine/{}", position.source)),
        sequence: position.number.map_or(derived, |n| n + 1),
        extra: Some(Cow::Owned(explanation(reason, position))),
        raw: (!raw.is_empty()).then_some(Cow::Borrowed(raw)),
        ..Event::default()
    };
    Row { event, intake }
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
