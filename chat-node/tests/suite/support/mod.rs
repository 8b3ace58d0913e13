//! A node under test with its clients.

use std::time::Duration;

mod client;
mod proxy;
mod world;

pub(crate) use client::Client;
pub(crate) use proxy::{Loss, Proxy};
pub(crate) use world::{Answer, Backend, Options, World, postgres};

/// Waits until `found` gives something. What it looks at, SQL or a node's numbers, tells nobody that it has changed: it is asked again and again.
pub(crate) async fn eventually<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(found) = found().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(60), asked).await {
        Ok(found) => found,
        Err(_elapsed) => panic!("{what}: not within a minute"),
    }
}

/// Each test once on SQLite and once on PostgreSQL.
#[macro_export]
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::support::Backend::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::support::Backend::Postgres).await;
            })*
        }
    };
}
