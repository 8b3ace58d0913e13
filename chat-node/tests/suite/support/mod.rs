//! A node under test with its clients.

mod client;
mod proxy;
mod world;

pub(crate) use client::Client;
pub(crate) use holdfast_fixtures::eventually;
pub(crate) use proxy::{Loss, Proxy};
pub(crate) use world::{Answer, Backend, Options, World, postgres};

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
