//! The schema's history, in the program itself.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

macro_rules! history {
    ($folder:literal: $($version:literal $name:literal),*) => {
        [$(($version, $name, include_str!(concat!("../../migrations/", $folder, "/", $name, ".sql")))),*]
    };
}

const SQLITE: [(i64, &str, &str); 2] = history!("sqlite": 1 "0001_content", 2 "0002_outbox");
const POSTGRES: [(i64, &str, &str); 2] = history!("postgres": 1 "0001_content", 2 "0002_outbox");

fn migrator(history: &'static [(i64, &'static str, &'static str)]) -> Migrator {
    let migrations = history
        .iter()
        .map(|(version, name, sql)| {
            Migration::new(
                *version,
                Cow::Borrowed(*name),
                MigrationType::Simple,
                sql.into_sql_str(),
                false,
            )
        })
        .collect();
    Migrator::with_migrations(migrations)
}

pub(super) fn sqlite() -> Migrator {
    migrator(&SQLITE)
}

pub(super) fn postgres() -> Migrator {
    migrator(&POSTGRES)
}
