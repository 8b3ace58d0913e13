//! Leases: one holder at a time.

use std::sync::Arc;
use std::time::Duration;

use holdfast_archive::Archive;
use holdfast_archive::lease::{self, Taken};

use crate::common::memory;

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_has_one_holder_and_a_growing_number() {
    let (store, url) = memory();
    let one = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let two = Archive::open_in(store, url).await.unwrap();
    let minute = Duration::from_secs(60);
    let Taken::Ours(first) = lease::take(&one, "compactor", "a", minute, 1_000)
        .await
        .unwrap()
    else {
        panic!()
    };
    assert_eq!((first.fencing, first.until_ms), (1, 61_000));
    assert_eq!(
        lease::take(&two, "compactor", "b", minute, 60_999)
            .await
            .unwrap(),
        Taken::Theirs(first.clone())
    );
    let Taken::Ours(renewed) = lease::take(&one, "compactor", "a", minute, 50_000)
        .await
        .unwrap()
    else {
        panic!()
    };
    assert_eq!((renewed.fencing, renewed.until_ms), (1, 110_000));
    // It ends, and somebody else takes over under a higher number.
    let Taken::Ours(second) = lease::take(&two, "compactor", "b", minute, 110_000)
        .await
        .unwrap()
    else {
        panic!()
    };
    assert_eq!(second.fencing, 2);
    // Giving back what is no longer ours changes nothing.
    lease::release(&one, &renewed).await.unwrap();
    assert_eq!(
        lease::current(&one.snapshot().await.unwrap(), "compactor").unwrap(),
        Some(second.clone())
    );
    lease::release(&two, &second).await.unwrap();
    let Taken::Ours(third) = lease::take(&one, "compactor", "a", minute, 110_001)
        .await
        .unwrap()
    else {
        panic!()
    };
    assert_eq!(third.fencing, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_ask_for_a_lease_one_gets_it() {
    let (store, url) = memory();
    Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let (store, url) = (Arc::clone(&store), url.clone());
            tokio::spawn(async move {
                let archive = Archive::open_in(store, url).await.unwrap();
                let taken = lease::take(
                    &archive,
                    "compactor",
                    &format!("p{n}"),
                    Duration::from_secs(9),
                    1,
                )
                .await;
                matches!(taken.unwrap(), Taken::Ours(_))
            })
        })
        .collect();
    let mut holders = 0;
    for task in tasks {
        holders += usize::from(task.await.unwrap());
    }
    assert_eq!(holders, 1);
}
