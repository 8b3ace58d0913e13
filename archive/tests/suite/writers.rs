//! Several writers on one table.

use std::sync::Arc;

use holdfast_archive::Archive;

use crate::common::{append, assert_archived, committed, memory, plan, row_ids, segment};

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_with_forced_conflicts_both_commit_everything() {
    let (store, url) = memory();
    let one = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let two = Archive::open_in(store, url).await.unwrap();
    let stale = (one.known_snapshot(), two.known_snapshot());
    for round in 0..20u64 {
        let range = round * 3 + 1..round * 3 + 4;
        let from = (round > 0).then(|| i64::try_from(round * 3).unwrap());
        // Both build on the same version, which is old from the second round on.
        for (archive, base, origin) in [(&one, &stale.0, "a"), (&two, &stale.1, "b")] {
            let file = segment(origin, range.clone());
            archive.put_segment(&file).await.unwrap();
            committed(
                archive
                    .append(base, plan(origin, range.clone(), from, &file))
                    .await
                    .unwrap(),
            );
        }
    }
    assert_archived(&one, "a", 1..61).await;
    assert_archived(&one, "b", 1..61).await;
    assert_eq!(one.snapshot().await.unwrap().version(), 40);
    let ids: Vec<_> = row_ids(&one).await;
    assert_eq!(
        ids,
        (0..120).collect::<Vec<_>>(),
        "row ids are dense and never given out twice"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_all_make_progress() {
    let (store, url) = memory();
    Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let writers = (0..8).map(|writer| {
        let (store, url) = (Arc::clone(&store), url.clone());
        tokio::spawn(async move {
            // Archives of their own: nothing but the store brings them into order.
            let archive = Archive::open_in(store, url).await.unwrap();
            for round in 0..15u64 {
                append(
                    &archive,
                    &format!("origin-{writer}"),
                    round * 2 + 1..round * 2 + 3,
                )
                .await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let archive = Archive::open_in(store, url).await.unwrap();
    assert_eq!(archive.snapshot().await.unwrap().version(), 120);
    for writer in 0..8 {
        assert_archived(&archive, &format!("origin-{writer}"), 1..31).await;
    }
}
