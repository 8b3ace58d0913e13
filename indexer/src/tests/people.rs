//! `participants` over an archive.

use holdfast_schemas::columns::Rows;
use holdfast_schemas::{Actor, Event, Intake, Message, Room, Row, event_type};
use proptest::prelude::*;

use super::archive::{SplitFate, Store, TestArchive, cases, fate, runtime};
use super::asked::Asked;
use super::corpus::{YEAR_END_US, draft_of_people};
use super::language::persons;
use super::search::{accepted, parsed};
use crate::{Request, SearchError};

/// An event of somebody in a room, `seconds` after the beginning.
fn row(
    sequence: u64,
    seconds: i64,
    event_type: &'static str,
    room: &'static str,
    actor: (&'static str, &'static str),
    extra: &'static str,
) -> Row<'static> {
    let event = Event {
        id: format!("0197c0de-0000-7000-8000-{sequence:012x}").into(),
        event_type: event_type.into(),
        time_us: YEAR_END_US - 100_000_000 + seconds * 1_000_000,
        source: "/pools/test".into(),
        origin: "main.1".into(),
        sequence,
        room: Room {
            id: Some(room.into()),
            ..Room::default()
        },
        actor: Actor {
            id: Some(actor.0.into()),
            email: Some(actor.1.into()),
            ..Actor::default()
        },
        message: Message {
            body: Some("talk".into()),
            ..Message::default()
        },
        extra: (!extra.is_empty()).then(|| extra.into()),
        ..Event::default()
    };
    Row {
        event,
        intake: Intake {
            ingest_time_us: YEAR_END_US,
            ..Intake::default()
        },
    }
}

const ANA: (&str, &str) = ("u-7", "ana@example.com");
const BEN: (&str, &str) = ("u-8", "ben@example.com");

/// Sequences of the events that a query finds.
async fn found(archive: &TestArchive, query: &str, as_of: Option<u64>) -> Vec<u64> {
    let request = Request {
        as_of,
        ..Request::new(parsed(query))
    };
    let mut hits = archive
        .searcher
        .search(&archive.snapshot().await, &request)
        .await
        .unwrap();
    let mut sequences = Vec::new();
    while let Some(batch) = hits.next().await.unwrap() {
        let rows = Rows::new(&batch.rows).unwrap();
        sequences.extend((0..rows.len()).map(|row| rows.event(row).sequence));
    }
    sequences
}

#[test]
fn se1_participants_find_what_a_person_said_or_could_see() {
    runtime().block_on(async {
        let archive = TestArchive::new(Store::Folder).await;
        let posted = event_type::MESSAGE_POSTED;
        let first = vec![
            row(1, 1, posted, "r-1", BEN, ""),
            row(
                2,
                2,
                event_type::ROOM_MEMBER_ADDED,
                "r-1",
                BEN,
                r#"{"data":{"member":{"id":"u-7"}}}"#,
            ),
            row(3, 3, posted, "r-1", BEN, ""),
            row(
                4,
                4,
                event_type::ROOM_MEMBER_REMOVED,
                "r-1",
                BEN,
                r#"{"data":{"member":{"id":"u-7"}}}"#,
            ),
            row(5, 5, posted, "r-1", BEN, ""),
            row(6, 6, posted, "r-2", ANA, ""),
            row(7, 7, posted, "r-2", BEN, ""),
        ];
        archive.append_rows(first, SplitFate::Good).await;
        let version = archive.snapshot().await.version();
        // Ana is known by her address from what she said in another room; the membership events know her id only.
        assert_eq!(
            found(&archive, "participants:ANA@example.com", None).await,
            [2, 3, 4, 6]
        );
        assert_eq!(
            found(&archive, "custodian:u-7 type:chat.message.posted", None).await,
            [3, 6]
        );
        assert_eq!(found(&archive, "-participants:u-7", None).await, [1, 5, 7]);
        let later = vec![row(
            8,
            8,
            event_type::ROOM_SNAPSHOT,
            "r-2",
            BEN,
            r#"{"data":{"members":[{"id":"u-7"},{"id":"u-8"}]}}"#,
        )];
        archive.append_rows(later, SplitFate::Missing).await;
        assert_eq!(
            found(&archive, "participants:u-7", None).await,
            [2, 3, 4, 6, 7, 8],
            "a member of r-2 since ever"
        );
        assert_eq!(
            found(&archive, "participants:u-7", Some(version)).await,
            [2, 3, 4, 6],
            "what was known at that version"
        );
        assert!(
            found(&archive, "participants:nobody", None)
                .await
                .is_empty()
        );
    });
}

#[test]
fn se1_a_person_is_found_by_part_of_a_name_in_every_script() {
    runtime().block_on(async {
        let archive = TestArchive::new(Store::Folder).await;
        let posted = event_type::MESSAGE_POSTED;
        let mut said = row(1, 1, posted, "r-9", ("u-5", "t@example.com"), "");
        said.event.actor.name = Some("山田太郎".into());
        let rows = vec![
            said,
            row(
                2,
                2,
                event_type::ROOM_MEMBER_ADDED,
                "r-1",
                BEN,
                r#"{"data":{"member":{"id":"u-5"}}}"#,
            ),
            row(3, 3, posted, "r-1", BEN, ""),
            row(4, 4, posted, "r-2", BEN, ""),
            row(
                5,
                5,
                event_type::ROOM_SNAPSHOT,
                "r-3",
                BEN,
                r#"{"data":{"members":[{"id":"u-6","uri":"sip:6"},{"id":"u-5","uri":"sip:5"}]}}"#,
            ),
            row(
                6,
                6,
                event_type::ROOM_MEMBER_ADDED,
                "r-4",
                BEN,
                r#"{"data":{"member":{"uri":"SIP:5"}}}"#,
            ),
            row(7, 7, posted, "r-4", BEN, ""),
        ];
        archive.append_rows(rows, SplitFate::Good).await;
        for query in [
            "participants:山田",
            "custodian:太郎",
            "participants:\"山田 太郎\"",
        ] {
            assert_eq!(
                found(&archive, query, None).await,
                [1, 2, 3, 5, 6, 7],
                "{query}"
            );
        }
    });
}

#[test]
fn se1_who_is_removed_ends_no_membership_but_their_own() {
    runtime().block_on(async {
        let archive = TestArchive::new(Store::Folder).await;
        let of = |sequence, event_type, extra| {
            row(sequence, sequence as i64, event_type, "r-1", BEN, extra)
        };
        let (added, removed) = (
            event_type::ROOM_MEMBER_ADDED,
            event_type::ROOM_MEMBER_REMOVED,
        );
        let hanako = r#"{"data":{"member":{"id":"u-6","name":"山田花子"}}}"#;
        let rows = vec![
            of(
                1,
                added,
                r#"{"data":{"member":{"id":"u-5","name":"山田太郎"}}}"#,
            ),
            of(2, added, hanako),
            of(3, removed, r#"{"data":{"member":{"id":"u-5"}}}"#),
            of(4, event_type::MESSAGE_POSTED, ""),
        ];
        archive.append_rows(rows, SplitFate::Good).await;
        let both = found(&archive, "participants:山田", None).await;
        assert_eq!(both, [1, 2, 3, 4]);
        let rows = vec![
            of(5, removed, r#"{"data":{"member":{"id":"u-6"}}}"#),
            of(6, event_type::MESSAGE_POSTED, ""),
        ];
        archive.append_rows(rows, SplitFate::Good).await;
        let both = found(&archive, "participants:山田", None).await;
        assert_eq!(both, [1, 2, 3, 4, 5]);
        assert_eq!(found(&archive, "participants:u-5", None).await, [1, 2, 3]);
    });
}

#[test]
fn se1_who_is_removed_under_one_id_stays_under_another() {
    runtime().block_on(async {
        let archive = TestArchive::new(Store::Folder).await;
        let of = |sequence, event_type, extra| {
            row(sequence, sequence as i64, event_type, "r-1", BEN, extra)
        };
        // One address, of one account after the other: the events make one person of them.
        let old = r#"{"data":{"member":{"id":"old-5","email":"five@example.com"}}}"#;
        let new = r#"{"data":{"member":{"id":"u-5","email":"five@example.com"}}}"#;
        let rows = vec![
            of(1, event_type::ROOM_MEMBER_ADDED, old),
            of(2, event_type::ROOM_MEMBER_ADDED, new),
            of(3, event_type::ROOM_MEMBER_REMOVED, old),
            of(4, event_type::MESSAGE_POSTED, ""),
        ];
        archive.append_rows(rows, SplitFate::Good).await;
        for query in ["participants:u-5", "participants:old-5"] {
            let seen = found(&archive, query, None).await;
            assert_eq!(seen, [1, 2, 3, 4], "{query}");
        }
    });
}

#[test]
fn se1_a_leave_that_gives_no_id_ends_one_session() {
    runtime().block_on(async {
        let archive = TestArchive::new(Store::Folder).await;
        let of = |sequence, event_type, id: Option<&'static str>| {
            let mut row = row(sequence, sequence as i64, event_type, "r-1", BEN, "");
            row.event.actor = Actor {
                id: id.map(Into::into),
                email: Some("five@example.com".into()),
                ..Actor::default()
            };
            row
        };
        let rows = vec![
            of(1, event_type::ROOM_JOINED, Some("u-5")),
            of(2, event_type::ROOM_JOINED, Some("old-5")),
            of(3, event_type::ROOM_LEFT, None),
            row(4, 4, event_type::MESSAGE_POSTED, "r-1", BEN, ""),
        ];
        archive.append_rows(rows, SplitFate::Good).await;
        let seen = found(&archive, "participants:u-5", None).await;
        assert_eq!(seen, [1, 2, 3, 4]);
    });
}

#[test]
fn se1_who_joins_by_a_name_alone_was_there() {
    runtime().block_on(async {
        let archive = TestArchive::new(Store::Folder).await;
        let of = |sequence, event_type| row(sequence, sequence as i64, event_type, "r-1", BEN, "");
        let by_name = |mut row: Row<'static>| {
            row.event.actor = Actor {
                name: Some("Cem".into()),
                ..Actor::default()
            };
            row
        };
        let rows = vec![
            by_name(of(1, event_type::ROOM_JOINED)),
            of(2, event_type::MESSAGE_POSTED),
            by_name(of(3, event_type::ROOM_LEFT)),
            of(4, event_type::MESSAGE_POSTED),
        ];
        archive.append_rows(rows, SplitFate::Good).await;
        assert_eq!(found(&archive, "participants:cem", None).await, [1, 2, 3]);
    });
}

#[test]
fn se1_the_expansion_is_in_the_coverage_statement() {
    runtime().block_on(async {
        let archive = TestArchive::new(Store::Folder).await;
        archive
            .append_rows(
                vec![row(1, 1, event_type::ROOM_JOINED, "r-1", ANA, "")],
                SplitFate::Good,
            )
            .await;
        let request = Request::new(parsed("participants:u-7"));
        let (count, coverage) = archive
            .searcher
            .count(&archive.snapshot().await, &request)
            .await
            .unwrap();
        assert_eq!(count, 1);
        assert!(
            !coverage.query.contains("participants"),
            "{}",
            coverage.query
        );
        // What the statement says can be asked again.
        let again = Request::new(parsed(&coverage.query));
        assert_eq!(
            archive
                .searcher
                .count(&archive.snapshot().await, &again)
                .await
                .unwrap()
                .0,
            1
        );
        let ahead = Request {
            as_of: Some(99),
            ..request
        };
        let error = archive
            .searcher
            .count(&archive.snapshot().await, &ahead)
            .await
            .unwrap_err();
        assert!(matches!(error, SearchError::VersionAhead { .. }), "{error}");
    });
}

proptest! {
    #![proptest_config(cases(32))]
    /// One at a time and several, in archives that are little but comings and goings.
    #[test]
    fn se1_participants_were_in_the_room_at_that_time(
        commits in prop::collection::vec((prop::collection::vec(draft_of_people(), 4..24), fate()), 1..4),
        values in prop::sample::subsequence(persons(), 6),
        as_of in prop::option::of(0..4_u64),
    ) {
        runtime().block_on(async {
            let mut archive = TestArchive::new(Store::Folder).await;
            for (drafts, fate) in &commits {
                archive.append(drafts, *fate).await;
            }
            let newest = archive.snapshot().await.version();
            let as_of = as_of.map(|version| version.min(newest));
            let archived = archive.rows().await;
            for value in values {
                let asked = Asked::Participants("participants".to_owned(), format!(":{value}"));
                let request = Request { as_of, ..Request::new(parsed(&asked.to_string())) };
                accepted(&archive, &archived, &asked, &request, as_of.unwrap_or(newest)).await;
            }
        });
    }
}
