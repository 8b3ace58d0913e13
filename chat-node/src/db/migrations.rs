//! The schema's history, in the program itself.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

macro_rules! history {
    ($folder:literal: $($version:literal $name:literal),*) => {
        &[$(($version, $name, include_str!(concat!("../../migrations/", $folder, "/", $name, ".sql")))),*]
    };
}

/// Version, name and statements of each step.
type History = &'static [(i64, &'static str, &'static str)];

// A number means one change: a database that has no need of it skips it.
const SQLITE: History = history!("sqlite": 1 "0001_content", 2 "0002_outbox", 3 "0003_nodes");
const POSTGRES: History = history!("postgres": 1 "0001_content", 2 "0002_outbox", 3 "0003_nodes", 4 "0004_search", 5 "0005_search_index");

fn migrator(history: History) -> Migrator {
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
    migrator(SQLITE)
}

pub(super) fn postgres() -> Migrator {
    migrator(POSTGRES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_the_history() {
        // Where cargo runs the test, not where it was compiled: a folder of compiled programs may be kept for several clones.
        let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
        for (folder, history) in [("sqlite", SQLITE), ("postgres", POSTGRES)] {
            let path = format!("{package}/migrations/{folder}");
            let files = std::fs::read_dir(path).unwrap();
            let mut names: Vec<_> = files
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            let known = history.iter().map(|(_, name, _)| format!("{name}.sql"));
            assert_eq!(names, known.collect::<Vec<_>>(), "{folder}");
        }
    }
}
