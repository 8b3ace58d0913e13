//! Found by index = accepted by the matcher.

use holdfast_query::{Matcher, ParseOptions, Query, lower, parse};
use holdfast_schemas::columns::Rows;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::archive::{SplitFate, Store, TestArchive, cases, fate, runtime};
use super::corpus::{Draft, draft};
use super::language::query;
use crate::maintenance::policy::Policy;
use crate::maintenance::{CompactOptions, compact};
use crate::{Request, SearchError};

pub(super) fn parsed(text: &str) -> Query {
    let options = ParseOptions {
        tz: TimeZone::UTC,
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    parse(text, &options).unwrap_or_else(|error| panic!("{error}"))
}

/// Ids of the rows that the matcher accepts, of those archived by `version`.
async fn accepted(archive: &TestArchive, request: &Request, version: u64) -> Vec<String> {
    let (rows, versions) = archive.rows().await;
    let mut matcher =
        Matcher::from_plan(&lower(&request.query.expr, request.exact_diacritics).unwrap());
    let rows = Rows::new(&rows).unwrap();
    (0..rows.len())
        .filter(|row| versions[*row] <= version as i64 && matcher.matches(&rows.row(*row)))
        .map(|row| rows.event(row).id.to_string())
        .collect()
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
    text: &str,
    as_of: Option<u64>,
    exact_diacritics: bool,
    limit: Option<usize>,
) {
    let request = Request {
        as_of,
        exact_diacritics,
        ..Request::new(parsed(text))
    };
    let version = as_of.unwrap_or(archive.snapshot().await.version());
    let accepted = accepted(archive, &request, version).await;
    assert_eq!(
        found(archive, &request).await,
        accepted,
        "{text} as of {as_of:?}"
    );
    if limit.is_some() {
        let limited = Request { limit, ..request };
        let cut = &accepted[..accepted.len().min(limit.unwrap_or(usize::MAX))];
        assert_eq!(
            found(archive, &limited).await,
            cut,
            "{text} limited to {limit:?}"
        );
    }
}

#[derive(Debug, Clone)]
struct Case {
    commits: Vec<(Vec<Draft>, SplitFate)>,
    queries: Vec<(String, bool, Option<usize>)>,
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
    let store = prop_oneof![3 => Just(Store::Folder), 1 => Just(Store::Objects)];
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
    #![proptest_config(cases(48))]
    #[test]
    fn se1_index_and_matcher_agree(case in case()) {
        runtime().block_on(async {
            let mut archive = TestArchive::new(case.store).await;
            for (drafts, fate) in &case.commits {
                archive.append(drafts, *fate).await;
            }
            let newest = archive.snapshot().await.version();
            let as_of = case.as_of.min(newest);
            for (text, exact, limit) in &case.queries {
                agree(&archive, text, None, *exact, *limit).await;
                agree(&archive, text, Some(as_of), *exact, None).await;
            }
            let before = archive.snapshot().await.segments().await.unwrap().len();
            let options = CompactOptions { policy: Policy::everything(), holder: "test".to_owned(), merges_max: 100 };
            compact(&archive.archive, &options).await.unwrap();
            let after = archive.snapshot().await.segments().await.unwrap().len();
            assert!(after < before || before <= 2, "{before} segments, {after} after compaction");
            for (text, exact, limit) in &case.queries {
                agree(&archive, text, None, *exact, *limit).await;
                agree(&archive, text, Some(as_of), *exact, None).await;
            }
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
