//! Lookups, standing, and the conversation around an event.

use holdfast_schemas::columns::Rows;
use proptest::prelude::*;

use super::archive::{SplitFate, Store, TestArchive, cases, fate, runtime};
use super::corpus::{Draft, ROOMS, YEAR_END_US, draft};
use super::search::parsed;
use crate::{HitBatch, Place, Request, SearchError, Status, Window};

fn ids(batch: &HitBatch) -> Vec<String> {
    let rows = Rows::new(&batch.rows).unwrap();
    (0..rows.len())
        .map(|row| rows.event(row).id.to_string())
        .collect()
}

async fn all(mut hits: crate::Hits) -> (Vec<String>, Vec<Status>) {
    let (mut found, mut status) = (Vec::new(), Vec::new());
    while let Some(batch) = hits.next().await.unwrap() {
        found.extend(ids(&batch));
        status.extend(batch.status);
    }
    (found, status)
}

/// The standing of every row by its definition.
fn standings(rows: &Rows<'_>) -> Vec<Status> {
    let events: Vec<_> = (0..rows.len()).map(|row| rows.event(row)).collect();
    let version = |kind: &str| {
        matches!(
            kind,
            "chat.message.posted" | "chat.message.edited" | "chat.message.replaced"
        )
    };
    events
        .iter()
        .map(|event| {
            let changes = events.iter().filter(|other| {
                event.message.id.is_some()
                    && other.message.id == event.message.id
                    && other.room.id == event.room.id
                    && matches!(
                        other.event_type.as_ref(),
                        "chat.message.edited" | "chat.message.deleted" | "chat.message.replaced"
                    )
            });
            let last = changes.max_by_key(|other| {
                (
                    other.room_seq.unwrap_or(i64::MAX),
                    other.time_us,
                    other.id.clone(),
                )
            });
            match last {
                Some(last)
                    if version(&event.event_type) && last.event_type == "chat.message.deleted" =>
                {
                    Status::Deleted
                }
                Some(last) if version(&event.event_type) && last.id != event.id => {
                    Status::Superseded
                }
                _ => Status::Current,
            }
        })
        .collect()
}

/// Ids of a room's events around places, by their definition.
fn conversation(
    inside: &[holdfast_schemas::Event<'_>],
    places: &[Place],
    window: Window,
) -> Vec<String> {
    let mut kept = std::collections::BTreeSet::new();
    for place in places {
        let key = (place.event_time_us, place.event_id.as_str());
        let before = inside.partition_point(|event| (event.time_us, event.id.as_ref()) < key);
        let behind = inside.partition_point(|event| (event.time_us, event.id.as_ref()) <= key);
        let posted = |at: &usize| inside[*at].event_type == "chat.message.posted";
        kept.extend(match window {
            Window::Messages(0) => before..behind,
            Window::Messages(n) => {
                let first = (0..before).rev().filter(posted).nth(n - 1);
                let last = (behind..inside.len()).filter(posted).nth(n - 1);
                first.unwrap_or(0)..last.map_or(inside.len(), |last| last + 1)
            }
            Window::Microseconds(us) => {
                inside.partition_point(|event| event.time_us < key.0 - us)
                    ..inside.partition_point(|event| event.time_us <= key.0 + us)
            }
        });
    }
    kept.into_iter()
        .map(|at| inside[at].id.to_string())
        .collect()
}

async fn archive_of(commits: &[(Vec<Draft>, SplitFate)]) -> TestArchive {
    let mut archive = TestArchive::new(Store::Folder).await;
    for (drafts, fate) in commits {
        archive.append(drafts, *fate).await;
    }
    archive
}

#[tokio::test]
async fn whoever_waits_for_a_network_keeps_no_core() {
    let archive = TestArchive::new(Store::Objects).await;
    assert!(archive.searcher.busy().is_none());
}

proptest! {
    #![proptest_config(cases(24))]
    #[test]
    fn se1_lookups_and_standing_are_what_the_rows_say(
        commits in prop::collection::vec((prop::collection::vec(draft(), 1..14), fate()), 1..4),
        messages in 0..4_usize,
        us in 0..2_000_000_i64,
    ) {
        runtime().block_on(async {
            let archive = archive_of(&commits).await;
            let snapshot = archive.snapshot().await;
            let (rows, _) = archive.rows().await;
            let rows = Rows::new(&rows).unwrap();
            let hits = archive.searcher.search(&snapshot, &Request::new(parsed("*"))).await.unwrap();
            assert_eq!(hits.coverage().events_considered, rows.len() as u64);
            let attachments: usize = (0..rows.len()).map(|row| rows.event(row).attachments.len()).sum();
            assert_eq!(hits.coverage().attachments_not_searchable, attachments as u64);
            assert_eq!(all(hits).await.1, standings(&rows));
            // Beside somebody who is busy, and stays so, fewer workers find as much.
            let busy = archive.searcher.busy();
            assert!(busy.is_some() && archive.searcher.busy().is_none());
            let hits = archive.searcher.search(&snapshot, &Request::new(parsed("*"))).await.unwrap();
            assert_eq!(all(hits).await.1, standings(&rows));
            drop(busy);
            for row in 0..rows.len() {
                let event = rows.event(row);
                let found = archive.searcher.lookup(&snapshot, &event.id.to_uppercase()).await.unwrap().unwrap();
                assert_eq!(ids(&found), [event.id.to_string()]);
                let found = archive.searcher.lookup_sequence(&snapshot, &event.origin, event.sequence).await.unwrap().unwrap();
                assert_eq!(ids(&found), [event.id.to_string()]);
            }
            assert!(archive.searcher.lookup(&snapshot, "0197c0de-0000-7000-8000-ffffffffffff").await.unwrap().is_none());
            assert!(archive.searcher.lookup_sequence(&snapshot, "import", 9_999).await.unwrap().is_none());
            let places: Vec<Place> = [rows.len() / 2, rows.len() - 1].map(|row| Place {
                event_time_us: rows.event(row).time_us,
                event_id: rows.event(row).id.to_string(),
            }).into();
            for room in ROOMS {
                let inside: Vec<_> = (0..rows.len()).map(|row| rows.event(row)).filter(|event| {
                    event.room.id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(room))
                }).collect();
                for window in [Window::Messages(messages), Window::Microseconds(us)] {
                    let found = archive.searcher.around(&snapshot, None, room, &places, window).await.unwrap();
                    assert_eq!(found.windows.iter().sum::<u64>(), found.hits.total());
                    assert_eq!(all(found.hits).await.0, conversation(&inside, &places, window));
                }
            }
        });
    }
}

/// A message of a fresh word each, as many as asked for.
fn many_words(words: usize) -> Vec<Draft> {
    (0..words)
        .map(|n| Draft::plain(YEAR_END_US - 1_000_000 + n as i64, format!("word{n}x")))
        .collect()
}

#[test]
fn se1_too_many_expansions_are_an_error_wherever_the_words_lie() {
    runtime().block_on(async {
        let mut archive = TestArchive::new(Store::Folder).await;
        let words = many_words(10_001);
        archive.append(&words[..6_000], SplitFate::Good).await;
        archive.append(&words[6_000..10_000], SplitFate::Good).await;
        let request = Request::new(parsed("word*"));
        assert_eq!(
            archive
                .searcher
                .count(&archive.snapshot().await, &request)
                .await
                .unwrap()
                .0,
            10_000
        );
        archive.append(&words[10_000..], SplitFate::Good).await;
        for text in [
            "word*",
            "*ord*",
            "body:wor*",
            "wor?*x",
            "-word*",
            "nowhere word*",
        ] {
            let error = archive
                .searcher
                .count(&archive.snapshot().await, &Request::new(parsed(text)))
                .await;
            match error {
                Err(SearchError::TooManyTerms { max: 10_000, .. }) => {}
                other => panic!("{text}: {other:?}"),
            }
        }
    });
}

/// What is wrong with a split's file or its tail is mended by a plain `reindex`, as the hint of a search says; and it leaves alone what is usable.
#[test]
fn ar3_reindex_rebuilds_every_split_that_does_not_open() {
    runtime().block_on(async {
        for store in Store::ALL {
            let mut archive = TestArchive::new(store).await;
            for fate in [
                SplitFate::Good,
                SplitFate::Missing,
                SplitFate::Cut,
                SplitFate::Empty,
                SplitFate::Foreign,
                SplitFate::Stale,
                SplitFate::Unfiltered,
            ] {
                archive.append(&many_words(20), fate).await;
            }
            let snapshot = archive.snapshot().await;
            let request = Request::new(parsed("word7x"));
            let (_, coverage) = archive.searcher.count(&snapshot, &request).await.unwrap();
            let seen = (coverage.segments_scanned, coverage.segments_damaged);
            assert_eq!(seen, (5, 0), "{store:?}");
            let reindex = async || {
                let options = crate::maintenance::ReindexOptions::default();
                let report = crate::maintenance::reindex(&archive.archive, options, |_, _| ());
                report.await.unwrap()
            };
            let report = reindex().await;
            assert_eq!((report.segments, report.built), (7, 5), "{store:?}");
            assert_eq!(reindex().await.built, 0, "{store:?}");
            let (_, coverage) = archive.searcher.count(&snapshot, &request).await.unwrap();
            assert_eq!(coverage.segments_scanned, 0, "{store:?}");
        }
    });
}

#[test]
fn ar3_what_is_missing_is_told_by_a_listing() {
    runtime().block_on(async {
        use crate::maintenance::missing;
        for store in Store::ALL {
            let mut archive = TestArchive::new(store).await;
            for fate in [SplitFate::Good, SplitFate::Missing, SplitFate::Cut] {
                archive.append(&many_words(20), fate).await;
            }
            let segments = archive.snapshot().await.segments().await.unwrap();
            let found = missing(&archive.archive, &segments).await.unwrap();
            let [one] = found.as_slice() else {
                panic!("{store:?}: {found:?}");
            };
            let path = one.split_path(crate::maintenance::ANALYZER_VERSION);
            assert_eq!(archive.archive.split_bytes(&path).await.unwrap(), None);
        }
    });
}

#[test]
fn ar3_a_segment_that_left_the_table_gets_no_split() {
    runtime().block_on(async {
        let mut archive = TestArchive::new(Store::Folder).await;
        for _ in 0..2 {
            archive.append(&many_words(20), SplitFate::Missing).await;
        }
        let left = archive.snapshot().await.segments().await.unwrap();
        let options = crate::maintenance::CompactOptions {
            policy: crate::maintenance::policy::Policy::everything(),
            holder: "test".to_owned(),
            merges_max: 1,
        };
        let merged = crate::maintenance::compact(&archive.archive, &options).await;
        assert_eq!(merged.unwrap().merges.len(), 1);
        for segment in left.iter() {
            let built = crate::maintenance::build(&archive.archive, segment).await;
            assert!(!built.unwrap());
            let path = segment.split_path(crate::maintenance::ANALYZER_VERSION);
            assert_eq!(archive.archive.split_bytes(&path).await.unwrap(), None);
        }
    });
}

#[test]
fn se1_a_split_that_was_rebuilt_is_used_again() {
    runtime().block_on(async {
        let mut archive = TestArchive::new(Store::Folder).await;
        archive.append(&many_words(20), SplitFate::Damaged).await;
        let snapshot = archive.snapshot().await;
        let request = Request::new(parsed("word7x"));
        let (count, coverage) = archive.searcher.count(&snapshot, &request).await.unwrap();
        assert_eq!((count, coverage.segments_scanned), (1, 1));
        // Its tail is sound: only a search that reads the block knows.
        assert_eq!(coverage.segments_damaged, 1);
        let plain = crate::maintenance::ReindexOptions::default();
        let report = crate::maintenance::reindex(&archive.archive, plain, |_, _| ());
        assert_eq!(report.await.unwrap().built, 0);
        let options = crate::maintenance::ReindexOptions {
            all: true,
            ..Default::default()
        };
        crate::maintenance::reindex(&archive.archive, options, |_, _| ())
            .await
            .unwrap();
        let (count, coverage) = archive.searcher.count(&snapshot, &request).await.unwrap();
        assert_eq!(
            (count, coverage.segments_scanned, coverage.segments_searched),
            (1, 0, 1)
        );
    });
}
