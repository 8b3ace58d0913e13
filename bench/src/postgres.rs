//! PostgreSQL as a peer: a server of our own with a table of the archive's columns and a GIN index over the body.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use holdfast_schemas::decode::decode;
use holdfast_schemas::time::format_us;

/// A server in a temporary folder, on a Unix socket only. Stopped when dropped.
pub(crate) struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
}

const TABLE: &str = "create table events (event_id uuid, event_type text, event_time timestamptz, ingest_time timestamptz, origin text,
    origin_seq bigint, source text, kafka_topic text, kafka_partition int, kafka_offset bigint, room_id text, room_name text, category text,
    room_seq bigint, actor_id text, actor_uri text, actor_name text, actor_email text, actor_internal bool, actor_kind text, target_id text,
    message_id text, message_kind text, title text, body text, reply_to text, attachments jsonb, extra jsonb, raw bytea);
    create index on events using gin (to_tsvector('simple', body));";

impl Postgres {
    /// Starts a server. Durable as it comes; memory raised to what a machine of this size would be given.
    pub(crate) fn start() -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("holdfast-pg").tempdir()?;
        let server = Self { folder, programs };
        server.own_folder()?;
        server.as_owner(
            "initdb",
            &[
                "-D",
                &server.data(),
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
                "-U",
                "bench",
            ],
        )?;
        let options = format!(
            "-k {} -c listen_addresses= -c shared_buffers=1GB -c maintenance_work_mem=512MB -c max_wal_size=8GB -c work_mem=64MB",
            server.socket()
        );
        server.as_owner(
            "pg_ctl",
            &[
                "-D",
                &server.data(),
                "-w",
                "-o",
                &options,
                "-l",
                &format!("{}/log", server.socket()),
                "start",
            ],
        )?;
        server.sql(TABLE)?;
        Ok(server)
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn socket(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// The server refuses to run as root: then its folder and processes belong to the user its package made.
    fn own_folder(&self) -> Result<()> {
        if is_root() {
            let status = Command::new("chown")
                .arg("postgres")
                .arg(self.folder.path())
                .status()?;
            ensure!(status.success(), "chown postgres: {status}");
        }
        Ok(())
    }

    fn as_owner(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let path = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        let output = command
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?
            .wait_with_output()?;
        ensure!(
            output.status.success(),
            "{program}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// A `psql` that runs one statement and prints bare values.
    pub(crate) fn psql(&self, sql: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-h",
            &self.socket(),
            "-U",
            "bench",
            "-d",
            "postgres",
            "-c",
            sql,
        ]);
        command
    }

    /// Runs statements and returns what they print.
    pub(crate) fn sql(&self, sql: &str) -> Result<String> {
        crate::process::run(&mut self.psql(sql)).map(|run| run.stdout.trim().to_owned())
    }

    /// Copies prepared files side by side, one session each, and returns the seconds it took until all had committed.
    pub(crate) fn copy(&self, files: &[PathBuf]) -> Result<f64> {
        let begin = Instant::now();
        let sessions = files.iter().map(|file| {
            let mut command = self.psql("copy events from stdin");
            command.stdin(File::open(file)?).spawn().context("psql")
        });
        for mut session in sessions.collect::<Result<Vec<_>>>()? {
            ensure!(session.wait()?.success(), "copy failed");
        }
        Ok(begin.elapsed().as_secs_f64())
    }

    /// Ends what loading left to do: the index takes in what is pending, and all is written, so that nothing of it runs
    /// while something is measured.
    pub(crate) fn settle(&self) -> Result<()> {
        self.sql("vacuum analyze events")?;
        self.sql("checkpoint").map(drop)
    }

    /// Bytes of the table with its indexes, settled.
    pub(crate) fn bytes(&self) -> Result<u64> {
        self.settle()?;
        Ok(self
            .sql("select pg_total_relation_size('events')")?
            .parse()?)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.as_owner("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
    }
}

fn is_root() -> bool {
    std::env::var("USER").is_ok_and(|user| user == "root") || Path::new("/root").read_dir().is_ok()
}

/// The folder of the server's programs, which Debian keeps off the PATH.
fn programs() -> Result<PathBuf> {
    let versions = Path::new("/usr/lib/postgresql")
        .read_dir()
        .into_iter()
        .flatten()
        .flatten();
    let mut folders: Vec<_> = versions
        .map(|v| v.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    folders.sort();
    folders
        .pop()
        .context("PostgreSQL's server is not installed\nhint: scripts/bench installs it")
}

/// Writes the events as PostgreSQL's text format to as many files as there are cores, in their order.
pub(crate) fn prepare(events: &Path, count: u64, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(events)?);
    let (mut line, mut row, mut files) = (Vec::new(), String::new(), Vec::new());
    for half in 0..2_u64 {
        let path = folder.join(format!("copy.{half}"));
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let rows = if half == 0 {
            count / 2
        } else {
            count - count / 2
        };
        for _ in 0..rows {
            line.clear();
            ensure!(
                reader.read_until(b'\n', &mut line)? > 0,
                "fewer events than counted"
            );
            row.clear();
            write_row(line.trim_ascii_end(), &mut row)?;
            out.write_all(row.as_bytes())?;
        }
        out.flush()?;
        files.push(path);
    }
    Ok(files)
}

fn write_row(record: &[u8], out: &mut String) -> Result<()> {
    let e = decode(record)?;
    let (room, actor, message) = (&e.room, &e.actor, &e.message);
    write!(
        out,
        "{}\t{}\t{}\t{}\t",
        e.id,
        e.event_type,
        format_us(e.time_us),
        format_us(e.time_us)
    )?;
    text(Some(&e.origin), out);
    write!(out, "{}\t", e.sequence)?;
    text(Some(&e.source), out);
    out.push_str("\\N\t\\N\t\\N\t");
    for value in [&room.id, &room.name, &room.category] {
        text(value.as_deref(), out);
    }
    write!(
        out,
        "{}\t",
        e.room_seq.map_or("\\N".to_owned(), |n| n.to_string())
    )?;
    for value in [&actor.id, &actor.uri, &actor.name, &actor.email] {
        text(value.as_deref(), out);
    }
    write!(
        out,
        "{}\t",
        actor.internal.map_or("\\N", |b| if b { "t" } else { "f" })
    )?;
    text(actor.kind.as_deref(), out);
    out.push_str("\\N\t");
    for value in [
        &message.id,
        &message.kind,
        &message.title,
        &message.body,
        &message.reply_to,
    ] {
        text(value.as_deref(), out);
    }
    ensure!(
        e.attachments.is_empty() && e.extra.is_none(),
        "{}: COPY would get less of it than we do",
        e.id
    );
    out.push_str("\\N\t\\N\t\\N\n");
    Ok(())
}

/// A value and a tab, escaped as COPY's text format wants it.
fn text(value: Option<&str>, out: &mut String) {
    match value {
        None => out.push_str("\\N"),
        Some(value) => {
            for c in value.chars() {
                match c {
                    '\\' => out.push_str("\\\\"),
                    '\t' => out.push_str("\\t"),
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    // PostgreSQL's text cannot hold it.
                    '\0' => {}
                    c => out.push(c),
                }
            }
        }
    }
    out.push('\t');
}
