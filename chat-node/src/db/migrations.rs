//! The schema's history, in the program itself.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

macro_rules! history {
    ($folder:literal: $($version:literal $name:literal),*) => {
        [$(($version, $name, include_str!(concat!("../../migrations/", $folder, "/", $name, ".sql")))),*]
    };
}

const SQLITE: [(i64, &str, &str); 3] =
    history!("sqlite": 1 "0001_content", 2 "0002_outbox", 3 "0003_nodes");
const POSTGRES: [(i64, &str, &str); 3] =
    history!("postgres": 1 "0001_content", 2 "0002_outbox", 3 "0003_nodes");

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_the_history() {
        for (folder, history) in [("sqlite", SQLITE), ("postgres", POSTGRES)] {
            let path = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
            let files = std::fs::read_dir(path).unwrap();
            let mut names: Vec<_> = files
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            let known = history.map(|(_, name, _)| format!("{name}.sql"));
            assert_eq!(names, known, "{folder}");
        }
    }
}
