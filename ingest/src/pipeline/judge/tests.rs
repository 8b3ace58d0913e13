use proptest::prelude::*;
use std::collections::BTreeMap;

use super::*;
use crate::pipeline::decode::Decoder;
use crate::pipeline::{Budget, decode::Decoded};
use crate::source::{Chunk, Draft, Records};
use std::time::{Duration, Instant};

/// Everything archived, by origin and sequence; nothing for a sequence whose event was disposed of.
#[derive(Default)]
struct Archive(BTreeMap<(String, u64), Option<Uuid>>);

impl FindIds for Archive {
    fn find(
        &mut self,
        origin: &str,
        sequences: &RoaringTreemap,
    ) -> Result<FxHashMap<u64, Uuid>, IngestError> {
        let id = |sequence| {
            self.0
                .get(&(origin.to_owned(), sequence))
                .copied()
                .flatten()
                .map(|id| (sequence, id))
        };
        Ok(sequences.iter().filter_map(id).collect())
    }
    fn archived(&mut self, origin: &str) -> Result<RoaringTreemap, IngestError> {
        Ok(self
            .0
            .keys()
            .filter(|key| key.0 == origin)
            .map(|key| key.1)
            .collect())
    }
}

impl Archive {
    fn take(&mut self, rows: &[Rows]) {
        for rows in rows {
            let columns = IdColumns::new(&rows.batch).unwrap();
            for row in 0..columns.rows() {
                let key = (columns.origin(row).to_owned(), columns.sequence(row));
                let earlier = self.0.insert(key.clone(), Some(columns.id(row).unwrap()));
                assert!(earlier.is_none(), "{key:?} is archived twice");
            }
        }
    }
}

fn line(origin: u8, sequence: u64, id: u8) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"0197c0de-7a3e-7c51-9a1f-{origin:04x}{id:02x}{sequence:06x}","source":"/s","type":"chat.message.posted","subject":"r","time":"2026-01-01T00:00:00Z","datacontenttype":"application/json","dataschema":"urn:holdfast:compliance-event:1","partitionkey":"r","origin":"o{origin}","sequence":"{sequence:020}","data":{{"room":{{"id":"r"}},"actor":{{"id":"u"}},"room_seq":1,"message":{{"id":"m","body":"b"}}}}}}"#
    )
}

fn decoded(lines: &[(u8, u64, u8)]) -> Decoded {
    let bytes = lines
        .iter()
        .map(|(origin, sequence, id)| line(*origin, *sequence, *id) + "\n")
        .collect::<String>()
        .into_bytes();
    let records = Records::Lines {
        file: Arc::from("f"),
        first_line: 1,
    };
    let draft = Draft {
        generation: 0,
        bytes,
        records,
        positions: Vec::new(),
        flush: false,
    };
    let grant = Budget::new(1).acquire(1, Duration::ZERO, || false).unwrap();
    Decoder::default()
        .decode(Chunk {
            number: 0,
            draft,
            grant,
            at: Instant::now(),
            ingest_time_us: 1,
        })
        .unwrap()
}

proptest! {
    /// Against the definition: row by row, the first event of a sequence is archived, the same id again is a duplicate, another id a
    /// conflict that is quarantined once, and what was disposed of stays so.
    #[test]
    fn ar1_verdicts_are_those_of_the_definition(
        chunks in proptest::collection::vec(proptest::collection::vec((0u8..2, 1u64..12, 0u8..2), 0..25), 1..5),
        disposed in proptest::collection::btree_set(1u64..12, 0..3),
    ) {
        let mut archive = Archive::default();
        for sequence in &disposed {
            archive.0.insert(("o0".into(), *sequence), None);
        }
        let mut known = Known::default();
        let mut definition: BTreeMap<(u8, u64), u8> = BTreeMap::new();
        for chunk in &chunks {
            let Decoded { rows, records, .. } = decoded(chunk);
            let verdict = judge(rows, &records, 2, &mut known, &mut archive).unwrap();
            let (mut new, mut gone, mut same, mut conflicts) = (0u64, 0, 0, 0);
            for (origin, sequence, id) in chunk {
                if *origin == 0 && disposed.contains(sequence) {
                    gone += 1;
                    continue;
                }
                match definition.get(&(*origin, *sequence)) {
                    None => { definition.insert((*origin, *sequence), *id); new += 1; }
                    Some(first) if first == id => same += 1,
                    Some(_) => conflicts += 1,
                }
            }
            let kept: u64 = verdict.kept.iter().map(|rows| rows.hashes.len() as u64).sum();
            let quarantined: u64 = verdict.kept.iter().map(|rows| rows.quarantined.len() as u64).sum();
            prop_assert_eq!(kept - quarantined, new);
            prop_assert_eq!(verdict.disposed, gone);
            prop_assert_eq!(verdict.conflicts, conflicts);
            // Lines of different chunks have the same places here, so that a conflict may repeat one that is quarantined already.
            prop_assert_eq!(verdict.duplicates + quarantined, gone + same + conflicts);
            for rows in &verdict.kept {
                prop_assert_eq!(rows.batch.num_rows(), rows.hashes.len());
                prop_assert_eq!(rows.origins.iter().map(|origin| origin.sequences.len()).sum::<u64>(), rows.hashes.len() as u64);
            }
            archive.take(&verdict.kept);
        }
        let found = archive.0.iter().filter(|((origin, _), id)| origin.starts_with('o') && id.is_some()).count();
        prop_assert_eq!(found, definition.len());
    }
}

#[test]
fn what_was_disposed_of_is_not_resurrected() {
    let mut archive = Archive::default();
    archive.0.insert(("o0".into(), 5), None);
    let Decoded { rows, records, .. } = decoded(&[(0, 4, 0), (0, 5, 0), (0, 6, 0)]);
    let verdict = judge(rows, &records, 2, &mut Known::default(), &mut archive).unwrap();
    assert_eq!(
        (
            verdict.kept[0].hashes.len(),
            verdict.duplicates,
            verdict.disposed
        ),
        (2, 1, 1)
    );
}

/// Lines of a file as a chunk.
fn decoded_lines(lines: &[String]) -> Decoded {
    let bytes = (lines.join("\n") + "\n").into_bytes();
    let records = Records::Lines {
        file: Arc::from("f"),
        first_line: 1,
    };
    let draft = Draft {
        generation: 0,
        bytes,
        records,
        positions: Vec::new(),
        flush: false,
    };
    let grant = Budget::new(1).acquire(1, Duration::ZERO, || false).unwrap();
    Decoder::default()
        .decode(Chunk {
            number: 0,
            draft,
            grant,
            at: Instant::now(),
            ingest_time_us: 1,
        })
        .unwrap()
}

/// The row that `raw` on line 2 gets, as an event that a producer sends: genuine, or under an id of its own.
fn quarantined_line_2(raw: &str) -> (String, u64) {
    let position = crate::source::line_position("f", 2);
    let row = holdfast_schemas::quarantine::quarantined(
        raw.as_bytes(),
        "odd",
        &position,
        holdfast_schemas::Intake::default(),
    );
    let mut text = Vec::new();
    holdfast_schemas::canonical::write(&row.event, &mut text);
    (String::from_utf8(text).unwrap(), row.event.sequence)
}

#[test]
fn ar1_a_forged_identity_hides_no_record() {
    let (genuine, sequence) = quarantined_line_2("{odd");
    let id = genuine.split("\"id\":\"").nth(1).unwrap()[..36].to_owned();
    let forged = genuine.replace(&id, "0197c0de-7a3e-7c51-9a1f-000000000000");
    let mut archive = Archive::default();
    let mut known = Known::default();
    let Decoded { rows, records, .. } = decoded_lines(&[forged, "{odd".to_owned()]);
    assert_eq!(rows.quarantined, [0, 1], "the forged one is no event");
    let verdict = judge(rows, &records, 2, &mut known, &mut archive).unwrap();
    assert_eq!((verdict.kept[0].hashes.len(), verdict.duplicates), (2, 0));
    archive.take(&verdict.kept);
    // A sender may know the record's own bytes and place: then its row is the row, and nothing is lost.
    let Decoded { rows, records, .. } = decoded_lines(&[genuine, "{odd".to_owned()]);
    assert_eq!(rows.quarantined, [1]);
    let verdict = judge(rows, &records, 2, &mut known, &mut archive).unwrap();
    assert_eq!((verdict.kept.len(), verdict.duplicates), (0, 2));
    assert!(
        archive
            .0
            .contains_key(&("quarantine/jsonl".into(), sequence))
    );
}

#[test]
fn ar1_a_record_whose_place_is_taken_gets_its_next_identity_every_time() {
    let (_, sequence) = quarantined_line_2("{odd");
    let mut archive = Archive::default();
    let other = Uuid::from_u128(7);
    archive
        .0
        .insert(("quarantine/jsonl".into(), sequence), Some(other));
    for (kept, duplicates) in [(1, 0), (0, 1)] {
        let Decoded { rows, records, .. } = decoded_lines(&[String::new(), "{odd".to_owned()]);
        let verdict = judge(rows, &records, 2, &mut Known::default(), &mut archive).unwrap();
        let found: usize = verdict.kept.iter().map(|rows| rows.hashes.len()).sum();
        assert_eq!((found, verdict.duplicates), (kept, duplicates));
        archive.take(&verdict.kept);
    }
}
