//! Found by index = accepted by the matcher.

use arrow::array::RecordBatch;
use holdfast_query::{Matcher, ParseOptions, Query, lower, parse};
use holdfast_schemas::Row;
use holdfast_schemas::columns::Rows;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::archive::{SplitFate, Store, TestArchive, cases, fate, runtime};
use super::asked::{self, Judge, query};
use super::corpus::{Draft, draft};
use crate::maintenance::policy::Policy;
use crate::maintenance::{CompactOptions, compact};
use crate::{Request, SearchError};

pub(super) fn parsed(text: &str) -> Query {
    parsed_in(text, TimeZone::UTC)
}

fn parsed_in(text: &str, tz: TimeZone) -> Query {
    let now = jiff::Timestamp::UNIX_EPOCH;
    parse(text, &ParseOptions { tz, now }).unwrap_or_else(|error| panic!("{error}"))
}

/// Every row of an archive, and the versions that archived them.
pub(super) type Archived = (RecordBatch, Vec<i64>);

fn ids(rows: &[Row<'_>], mut accepts: impl FnMut(&Row<'_>) -> bool) -> Vec<String> {
    let accepted = rows.iter().filter(|row| accepts(row));
    accepted.map(|row| row.event.id.to_string()).collect()
}

/// Ids of the rows that are meant, of those archived by `version`: leaf by leaf, and, as is asserted, by the matcher of the
/// query as a whole with its participants expanded.
pub(super) async fn accepted(
    archive: &TestArchive,
    (batch, versions): &Archived,
    asked: &asked::Asked,
    request: &Request,
    version: u64,
) -> Vec<String> {
    let all = Rows::new(batch).unwrap();
    let visible = (0..all.len()).filter(|row| versions[*row] <= version as i64);
    let rows: Vec<Row<'_>> = visible.map(|row| all.row(row)).collect();
    let events: Vec<_> = rows.iter().map(|row| row.event.clone()).collect();
    let mut judge = Judge::new(asked, request.exact_diacritics, &events);
    let meant = ids(&rows, |row| judge.accepts(row));
    let snapshot = archive.snapshot().await;
    let expanded = archive
        .searcher
        .expanded(&snapshot, request.as_of, &request.query.expr);
    let plan = lower(&expanded.await.unwrap(), request.exact_diacritics).unwrap();
    let mut matcher = Matcher::from_plan(&plan);
    let matched = ids(&rows, |row| matcher.matches(row));
    assert_eq!(matched, meant, "the matcher: {asked} as of {version}");
    meant
}

/// Ids that a search returns, in its order.
async fn found(archive: &TestArchive, request: &Request) -> Vec<String> {
    let snapshot = archive.snapshot().await;
    let mut hits = archive.searcher.search(&snapshot, request).await.unwrap();
    let (total, mut ids) = (hits.total(), Vec::new());
    while let Some(batch) = hits.next().await.unwrap() {
        assert_eq!(batch.rows.num_rows(), batch.status.len());
        let rows = Rows::new(&batch.rows).unwrap();
        ids.extend((0..rows.len()).map(|row| rows.event(row).id.to_string()));
    }
    let wanted = request.limit.map_or(total, |limit| total.min(limit as u64));
    assert_eq!(ids.len() as u64, wanted, "as many hits as were announced");
    let (count, coverage) = archive.searcher.count(&snapshot, request).await.unwrap();
    assert_eq!(count, total, "a count is the number of hits");
    let segments = snapshot.segments().await.unwrap().len() as u64;
    assert_eq!(
        coverage.segments_searched + coverage.segments_scanned + coverage.segments_pruned,
        segments
    );
    ids
}

async fn agree(
    archive: &TestArchive,
    archived: &Archived,
    asked: &Asking,
    as_of: Option<u64>,
    with_limit: bool,
) {
    let (query, exact_diacritics, limit) = asked;
    let text = query.asked.to_string();
    let request = Request {
        as_of,
        exact_diacritics: *exact_diacritics,
        ..Request::new(parsed_in(&text, query.zone.time_zone()))
    };
    let version = as_of.unwrap_or(archive.snapshot().await.version());
    let accepted = accepted(archive, archived, &query.asked, &request, version).await;
    assert_eq!(
        found(archive, &request).await,
        accepted,
        "{text} as of {as_of:?}"
    );
    if let Some(limit) = limit.filter(|_| with_limit) {
        let limited = Request {
            limit: Some(limit),
            ..request
        };
        let cut = &accepted[..accepted.len().min(limit)];
        assert_eq!(
            found(archive, &limited).await,
            cut,
            "{text} limited to {limit}"
        );
    }
}

/// Now, and as of a version.
async fn all_agree(archive: &TestArchive, queries: &[Asking], as_of: u64) {
    let archived = archive.rows().await;
    for asked in queries {
        agree(archive, &archived, asked, None, true).await;
        agree(archive, &archived, asked, Some(as_of), false).await;
    }
}

/// A query, whether diacritics count, and the limit it is asked with too.
type Asking = (asked::Query, bool, Option<usize>);

#[derive(Debug, Clone)]
struct Case {
    commits: Vec<(Vec<Draft>, SplitFate)>,
    queries: Vec<Asking>,
    as_of: u64,
    store: Store,
}

fn case() -> impl Strategy<Value = Case> {
    let commit = (prop::collection::vec(draft(), 1..14), fate());
    let queries = prop::collection::vec(
        (
            query(),
            prop::bool::weighted(0.2),
            prop::option::weighted(0.3, 0..5_usize),
        ),
        12,
    );
    let store = prop_oneof![
        4 => Just(Store::Folder), 1 => Just(Store::Objects), 1 => Just(Store::ObjectsWithoutSuffixes)
    ];
    (
        prop::collection::vec(commit, 1..5),
        queries,
        0..5_u64,
        store,
    )
        .prop_map(|(commits, queries, as_of, store)| Case {
            commits,
            queries,
            as_of,
            store,
        })
}

proptest! {
    #![proptest_config(cases(36))]
    #[test]
    fn se1_index_and_matcher_agree(case in case()) {
        runtime().block_on(async {
            let mut archive = TestArchive::new(case.store).await;
            for (drafts, fate) in &case.commits {
                archive.append(drafts, *fate).await;
            }
            let newest = archive.snapshot().await.version();
            let as_of = case.as_of.min(newest);
            all_agree(&archive, &case.queries, as_of).await;
            let before = archive.snapshot().await.segments().await.unwrap().len();
            let options = CompactOptions { policy: Policy::everything(), holder: "test".to_owned(), merges_max: 100 };
            compact(&archive.archive, &options).await.unwrap();
            let after = archive.snapshot().await.segments().await.unwrap().len();
            assert!(after < before || before <= 2, "{before} segments, {after} after compaction");
            all_agree(&archive, &case.queries, as_of).await;
        });
    }
}

#[test]
fn se1_a_version_that_is_not_there_is_an_error() {
    runtime().block_on(async {
        let archive = TestArchive::new(Store::Folder).await;
        let request = Request {
            as_of: Some(99),
            ..Request::new(parsed("keep"))
        };
        let error = archive
            .searcher
            .search(&archive.snapshot().await, &request)
            .await
            .unwrap_err();
        assert!(
            matches!(error, SearchError::VersionAhead { wanted: 99, .. }),
            "{error}"
        );
    });
}
