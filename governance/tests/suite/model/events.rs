//! Made-up events of a small archive, and their ingestion.

use std::collections::BTreeMap;

use holdfast_archive::segment::{SegmentFooter, encode, new_id};
use holdfast_archive::{Append, Archive, CommitKind, Counts, Outcome};
use holdfast_schemas::columns::{RowBuilder, event_year};
use holdfast_schemas::event_type as t;
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::{Actor, Event, Intake, Message, Room, Row, merkle};
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use uuid::Uuid;

pub(crate) const DAY_US: i64 = 86_400_000_000;
pub(crate) const ROOMS: u64 = 3;
pub(crate) const USERS: u64 = 3;
pub(crate) const ORIGIN: &str = "model.1";

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Made {
    pub(crate) seq: u64,
    pub(crate) event_type: &'static str,
    pub(crate) time_us: i64,
    pub(crate) room: u64,
    pub(crate) user: u64,
    /// Number of the message it belongs to.
    pub(crate) message: Option<u64>,
    pub(crate) session: u64,
    pub(crate) body: String,
}

impl Made {
    pub(crate) fn id(&self) -> String {
        format!("0197c0de-7a3e-7c51-8000-{:012x}", self.seq)
    }

    pub(crate) fn is_content(&self) -> bool {
        matches!(self.event_type, t::MESSAGE_POSTED | t::MESSAGE_EDITED)
    }

    pub(crate) fn row(&self) -> Row<'static> {
        let session = matches!(self.event_type, t::ROOM_JOINED | t::ROOM_LEFT);
        let event = Event {
            id: self.id().into(),
            event_type: self.event_type.into(),
            time_us: self.time_us,
            source: "/model".into(),
            origin: ORIGIN.into(),
            sequence: self.seq,
            room: Room {
                id: Some(format!("r-{}", self.room).into()),
                ..Room::default()
            },
            actor: Actor {
                id: Some(format!("u-{}", self.user).into()),
                ..Actor::default()
            },
            room_seq: Some(self.seq.cast_signed()),
            message: Message {
                id: self.message.map(|message| format!("m-{message}").into()),
                body: Some(self.body.clone().into()).filter(|_| self.is_content()),
                ..Message::default()
            },
            extra: session
                .then(|| format!(r#"{{"data":{{"session":"s-{}"}}}}"#, self.session).into()),
            ..Event::default()
        };
        Row {
            event,
            intake: Intake {
                ingest_time_us: self.time_us,
                ..Intake::default()
            },
        }
    }
}

/// What the generator remembers.
#[derive(Debug, Default)]
pub(crate) struct Source {
    next: u64,
    posted: Vec<(u64, u64)>,
    joined: Vec<(u64, u64, u64, i64)>,
}

impl Source {
    /// Some more events. Most are old enough to go; each time is used once.
    pub(crate) fn more(&mut self, random: &mut StdRng, now_us: i64) -> Vec<Made> {
        let count = 1 + random.random::<u64>() % 6;
        (0..count).map(|_| self.one(random, now_us)).collect()
    }

    fn one(&mut self, random: &mut StdRng, now_us: i64) -> Made {
        self.next += 1;
        let seq = self.next;
        let age = if random.next_u64().is_multiple_of(8) {
            1 + random.next_u64() % 20
        } else {
            800 + random.next_u64() % 600
        };
        let time_us = now_us / DAY_US * DAY_US - age.cast_signed() * DAY_US + seq.cast_signed();
        let (room, user) = (random.next_u64() % ROOMS, random.next_u64() % USERS);
        let word = if random.next_u64().is_multiple_of(5) {
            "keepme"
        } else {
            "plain"
        };
        let mut made = Made {
            seq,
            event_type: t::MESSAGE_POSTED,
            time_us,
            room,
            user,
            message: Some(seq),
            session: 0,
            body: format!("{word} marker{seq}x"),
        };
        let pick = random.next_u64() % 10;
        match pick {
            0..=2 if !self.posted.is_empty() => {
                let (room, message) = self.posted[random.next_u64() as usize % self.posted.len()];
                made.event_type =
                    [t::MESSAGE_EDITED, t::REACTION_ADDED, t::MESSAGE_DELETED][pick as usize];
                (made.room, made.message) = (room, Some(message));
            }
            3 => {
                (made.event_type, made.message, made.session) = (t::ROOM_JOINED, None, seq);
                self.joined.push((room, user, seq, time_us));
            }
            4 if !self.joined.is_empty() => {
                let (room, user, session, since) = self
                    .joined
                    .swap_remove(random.next_u64() as usize % self.joined.len());
                let days = 1 + random.next_u64() % 200;
                (made.event_type, made.message, made.session) = (t::ROOM_LEFT, None, session);
                (made.room, made.user) = (room, user);
                made.time_us = since + days.cast_signed() * DAY_US + seq.cast_signed();
            }
            _ => self.posted.push((room, seq)),
        }
        made
    }
}

/// Archives events in one commit.
pub(crate) async fn ingest(
    archive: &Archive,
    events: &[Made],
) -> Result<bool, holdfast_archive::ArchiveError> {
    let rows: Vec<Row<'static>> = events.iter().map(Made::row).collect();
    ingest_rows(archive, &rows).await
}

/// Archives rows of the model's origin in one commit.
pub(crate) async fn ingest_rows(
    archive: &Archive,
    rows: &[Row<'_>],
) -> Result<bool, holdfast_archive::ArchiveError> {
    let base = archive.snapshot().await?;
    let commit_id = Uuid::new_v4();
    let mut years: BTreeMap<i32, Vec<&Row<'_>>> = BTreeMap::new();
    for row in rows {
        let year = event_year(row.event.time_us);
        years.entry(year).or_default().push(row);
    }
    let mut scratch = Vec::new();
    let mut all = Vec::new();
    let mut segments = Vec::new();
    for (year, mut of_year) in years {
        of_year.sort_by_key(|row| (row.event.time_us, row.event.id.to_string()));
        let mut builder = RowBuilder::with_capacity(of_year.len());
        let mut hashes = Vec::new();
        for row in &of_year {
            let hash = event_hash(&row.event, &mut scratch);
            hashes.push((ORIGIN, row.event.sequence, hash));
            builder.append(row);
        }
        let footer = SegmentFooter {
            commit_id,
            positions: Vec::new(),
            rows: of_year.len() as u64,
            merkle_root: merkle::rows_root(hashes.iter().copied()),
        };
        all.extend(hashes);
        let batch = builder.finish().unwrap();
        let file = encode(new_id(), year, &batch, &footer, None)?;
        archive.put_segment(&file).await?;
        segments.push(file.segment);
    }
    let append = Append {
        commit_id,
        kind: CommitKind::Append,
        segments,
        positions: Vec::new(),
        archived: BTreeMap::from([(
            ORIGIN.to_owned(),
            rows.iter().map(|row| row.event.sequence).collect(),
        )]),
        counts: Counts {
            consumed: rows.len() as u64,
            archived: rows.len() as u64,
            ..Counts::default()
        },
        merkle_root: merkle::rows_root(all),
    };
    let mut outcome = archive.append(&base, append).await?;
    for _ in 0..3 {
        match outcome {
            Outcome::Committed(_) => return Ok(true),
            Outcome::Conflicted(_) => return Ok(false),
            Outcome::Unknown(uncertain) => outcome = archive.settle(uncertain).await?,
        }
    }
    Ok(false)
}
