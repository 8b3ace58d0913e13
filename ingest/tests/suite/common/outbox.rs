//! An outbox as a chat node would have it, on either database: rows are inserted, then given their sequences, as `docs/outbox-format.md` says.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use holdfast_archive::Archive;
use holdfast_fixtures::{Postgres, eventually};
use holdfast_ingest::pipeline::Stop;
use holdfast_ingest::settings::{FileSettings, RunFlags, Settings};
use holdfast_ingest::{IngestError, Report, run_in};
use holdfast_schemas::outbox::{
    Column, ORIGINS, ORIGINS_COLUMNS, OUTBOX, OUTBOX_COLUMNS, READERS, READERS_COLUMNS,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Executor, PgConnection, Row, SqliteConnection,
};

use super::event;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// One server for all tests of this program; each has a database of its own.
pub(crate) fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(&[]).unwrap())
}

pub(crate) struct Outbox {
    pub(crate) source: String,
    pub(crate) file: Option<PathBuf>,
    connection: Connection,
    backend: Backend,
}

fn table(name: &str, columns: &[Column], backend: Backend, rest: &str) -> String {
    let column = |column: &Column| {
        let kind = match backend {
            Backend::Sqlite => column.sqlite,
            Backend::Postgres => column.postgres,
        };
        let null = if column.nullable { "" } else { " not null" };
        format!("{} {kind}{null}", column.name)
    };
    let columns: Vec<String> = columns.iter().map(column).collect();
    format!("create table {name} ({}, {rest})", columns.join(", "))
}

impl Outbox {
    pub(crate) async fn new(backend: Backend, folder: &Path) -> Self {
        match backend {
            Backend::Sqlite => Self::sqlite(&folder.join("chat.db")).await,
            Backend::Postgres => {
                let url = tokio::task::spawn_blocking(|| postgres().database().unwrap());
                Self::postgres(&url.await.unwrap()).await
            }
        }
    }

    pub(crate) async fn sqlite(file: &Path) -> Self {
        Self::reopen(file).await.with_tables().await
    }

    /// One that has its tables.
    pub(crate) async fn reopen(file: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
            .busy_timeout(std::time::Duration::from_secs(10));
        Self {
            source: format!("outbox:sqlite://{}", file.display()),
            file: Some(file.to_owned()),
            connection: Connection::Sqlite(options.connect().await.unwrap()),
            backend: Backend::Sqlite,
        }
    }

    pub(crate) async fn postgres(url: &str) -> Self {
        Self::reopen_postgres(url).await.with_tables().await
    }

    pub(crate) async fn reopen_postgres(url: &str) -> Self {
        Self {
            source: format!("outbox:{url}"),
            file: None,
            connection: Connection::Postgres(PgConnection::connect(url).await.unwrap()),
            backend: Backend::Postgres,
        }
    }

    async fn with_tables(mut self) -> Self {
        let backend = self.backend;
        let outbox = &mut self;
        let (columns, rest) = (
            &OUTBOX_COLUMNS,
            "primary key (id), unique (origin, sequence)",
        );
        outbox.execute(&table(OUTBOX, columns, backend, rest)).await;
        let rest = "primary key (origin)";
        let origins = table(ORIGINS, &ORIGINS_COLUMNS, backend, rest);
        outbox.execute(&origins).await;
        let rest = "primary key (reader, origin)";
        let readers = table(READERS, &READERS_COLUMNS, backend, rest);
        outbox.execute(&readers).await;
        self
    }

    pub(crate) async fn execute(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match &mut self.connection {
            Connection::Sqlite(inner) => inner.execute(sql).await.map(drop),
            Connection::Postgres(inner) => inner.execute(sql).await.map(drop),
        }
        .unwrap();
    }

    pub(crate) async fn number(&mut self, sql: &str) -> Option<i64> {
        let sql = AssertSqlSafe(sql.to_owned());
        match &mut self.connection {
            Connection::Sqlite(inner) => inner.fetch_one(sql).await.unwrap().get(0),
            Connection::Postgres(inner) => inner.fetch_one(sql).await.unwrap().get(0),
        }
    }

    /// An incarnation begins; later ones are newer.
    pub(crate) async fn origin(&mut self, pool: &str, incarnation: i64) {
        self.execute(&format!(
            "insert into outbox_origins values ('{pool}.{incarnation}', '{pool}', {incarnation}, 'id', 0, '', {incarnation}000)"
        ))
        .await;
    }

    /// Rows without a sequence.
    pub(crate) async fn insert(&mut self, events: &[String]) {
        for events in events.chunks(500) {
            let next = self.number("select coalesce(max(id), 0) from outbox").await;
            let now_us = jiff::Timestamp::now().as_microsecond();
            let values: Vec<String> = events
                .iter()
                .zip(next.unwrap() + 1..)
                .map(|(event, id)| format!("({id}, '{}', {now_us})", event.replace('\'', "''")))
                .collect();
            let values = values.join(", ");
            self.execute(&format!(
                "insert into outbox (id, event, created_us) values {values}"
            ))
            .await;
        }
    }

    /// Gives every row without a sequence its place, as the leader does.
    pub(crate) async fn sequence(&mut self, origin: &str) {
        let last = format!("(select last_sequence from outbox_origins where origin = '{origin}')");
        let begin = match self.backend {
            Backend::Sqlite => "begin immediate",
            Backend::Postgres => "begin",
        };
        let sql = format!(
            "{begin};
             create temporary table places as select id, {last} + row_number() over (order by id) as place from outbox where sequence is null;
             create unique index places_by_id on places (id);
             update outbox set origin = '{origin}', sequence = (select place from places where places.id = outbox.id) where sequence is null;
             update outbox_origins set last_sequence = coalesce((select max(place) from places), last_sequence) where origin = '{origin}';
             drop table places;
             commit;"
        );
        self.execute(&sql).await;
    }

    /// Events `from` to `to` of an origin, inserted and sequenced.
    pub(crate) async fn fill(&mut self, origin: &str, numbers: std::ops::RangeInclusive<u64>) {
        let events: Vec<String> = numbers.map(|n| stored(origin, n)).collect();
        self.insert(&events).await;
        self.sequence(origin).await;
    }

    /// How far readers say that an origin is archived; nothing when nobody said.
    pub(crate) async fn told(&mut self, origin: &str) -> Option<i64> {
        self.number(&format!(
            "select max(through_sequence) from outbox_readers where origin = '{origin}'"
        ))
        .await
    }

    /// Waits until it is archived so far.
    pub(crate) async fn until_told(&mut self, origin: &str, through: i64) {
        let what = format!("{origin} archived through {through}");
        let told = async || (self.told(origin).await == Some(through)).then_some(());
        eventually(&what, told).await;
    }

    pub(crate) async fn close(self) {
        match self.connection {
            Connection::Sqlite(inner) => inner.close().await,
            Connection::Postgres(inner) => inner.close().await,
        }
        .unwrap();
    }
}

/// An event as an outbox stores it. The same event whichever incarnation sequences it: ids do not depend on the origin.
pub(crate) fn stored(origin: &str, number: u64) -> String {
    let seed = origin.bytes().map(u64::from).sum();
    let mut event: serde_json::Value =
        serde_json::from_slice(&event(origin, number, seed)).unwrap();
    let members = event.as_object_mut().unwrap();
    members.remove("origin");
    members.remove("sequence");
    event.to_string()
}

/// Settings of a run over an outbox.
pub(crate) fn settings(source: &str, until_idle: bool, losses: &[&str]) -> Settings {
    let flags = RunFlags {
        source: Some(source.to_owned()),
        archive: Some("given".into()),
        until_idle,
        no_upkeep: true,
        threads: Some(2),
        flush_ms: Some(200),
        accept_loss: losses.iter().map(|loss| (*loss).to_owned()).collect(),
        ..RunFlags::default()
    };
    let mut settings = Settings::resolve(flags, FileSettings::default(), &[]).unwrap();
    settings.outbox.take_over_after = std::time::Duration::from_secs(2);
    settings.outbox.start_patience = std::time::Duration::from_millis(600);
    settings
}

/// Reads an outbox until nothing is left.
pub(crate) async fn drain(
    archive: &Archive,
    source: &str,
    losses: &[&str],
) -> Result<Report, IngestError> {
    let settings = settings(source, true, losses);
    run_in(settings, archive.clone(), Arc::new(Stop::default())).await
}
