//! Posts a second that one node accepts durably, against what the database itself takes with the same statements.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command as Process;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use holdfast_chat_node::db::{Db, Tx, Value, chunk_sizes, padded};
use holdfast_chat_node::outbox::insert_sql;
use holdfast_chat_node::write::sql;
use holdfast_fixtures::Postgres;
use sqlx::AssertSqlSafe;

use super::pool::{Node, Setting, postgres};
use super::users::{database_of, expect, runtime};
use super::{Size, content};
use crate::load::{Command, Fleet, Spread, body};
use crate::process::median;
use crate::table::{Goal, Row};

/// Clients that post, each one post after the other: what a client may send (100 frames a second) is far above what each gets to.
const POSTERS: u32 = 384;
const ROOMS: u32 = 1000;
/// Sessions of pgbench; the best counts.
const SESSIONS: [u32; 3] = [8, 24, 64];
/// The group commit's largest batch.
const BATCH_MAX: usize = 256;

/// What a node reached.
struct Reached {
    rate: f64,
    /// Posts of one transaction, on the average.
    batch: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Both databases.
pub(crate) fn measure(folder: &Path, rounds: usize, size: Size) -> Result<Vec<Row>> {
    let seconds = size.seconds.min(15.0);
    let mut rows = on_postgres(&folder.join("chat-posts"), rounds, seconds)?;
    rows.extend(on_sqlite(
        &folder.join("chat-posts-sqlite"),
        rounds,
        seconds,
    )?);
    Ok(rows)
}

fn on_postgres(folder: &Path, rounds: usize, seconds: f64) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let server = postgres()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut last = None;
    for round in 0..rounds {
        // A database of its own for each: neither works in tables that the other has filled.
        let url = server.database()?;
        prepare(&runtime, &server, &url)?;
        let setting = Setting {
            database: Some(url.clone()),
            in_pool: false,
            kafka: None,
        };
        let reached = hammer(&folder.join(round.to_string()), &setting, seconds)?;
        let event = runtime.block_on(event_bytes(&url))?;
        let url = server.database()?;
        prepare(&runtime, &server, &url)?;
        let script = folder.join("post.pgbench");
        std::fs::write(&script, pgbench_script(event))?;
        for (first, sessions) in (0_u64..).step_by(1_000_000_000).zip(SESSIONS) {
            let rate = pgbench(
                &server,
                database_of(&url)?,
                &script,
                (sessions, first),
                seconds,
            )?;
            theirs.push((rate, sessions));
        }
        ours.push(reached.rate);
        last = Some(reached);
    }
    let best = |sessions: u32| {
        median(
            theirs
                .iter()
                .filter(|(_, s)| *s == sessions)
                .map(|(rate, _)| *rate)
                .collect(),
        )
    };
    let (other, sessions) = SESSIONS
        .map(|s| (best(s), s))
        .into_iter()
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .context("sessions")?;
    Ok(vec![row(
        "PostgreSQL",
        median(ours),
        other,
        &format!("pgbench, {sessions} sessions"),
        last.as_ref(),
    )])
}

fn on_sqlite(folder: &Path, rounds: usize, seconds: f64) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut last = None;
    for round in 0..rounds {
        let folder = folder.join(round.to_string());
        let setting = Setting {
            database: None,
            in_pool: false,
            kafka: None,
        };
        let path = folder.join("one/chat.db");
        std::fs::create_dir_all(folder.join("one"))?;
        let url = format!("sqlite://{}", path.display());
        runtime.block_on(fill(&url))?;
        let reached = hammer(&folder, &setting, seconds)?;
        let event = runtime.block_on(event_bytes(&url))?;
        let raw = format!("sqlite://{}", folder.join("raw.db").display());
        let batch = (reached.batch.round() as usize).clamp(1, BATCH_MAX);
        theirs.push(runtime.block_on(raw_sqlite(&raw, batch, event, seconds))?);
        ours.push(reached.rate);
        last = Some(reached);
    }
    let batch = last.as_ref().map_or(0.0, |reached| reached.batch);
    Ok(vec![row(
        "SQLite",
        median(ours),
        median(theirs),
        &format!("its statements alone, {batch:.0} posts a commit"),
        last.as_ref(),
    )])
}

fn row(database: &str, ours: f64, other: f64, how: &str, last: Option<&Reached>) -> Row {
    if let Some(Reached {
        batch,
        p50_ms,
        p99_ms,
        ..
    }) = last
    {
        eprintln!(
            "{database}: {batch:.1} posts a transaction, acknowledged after p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms with {POSTERS} clients"
        );
    }
    Row {
        what: format!("posts/s durably, one node on {database} / {how}"),
        ours: format!("{ours:.0}/s"),
        other: format!("{other:.0}/s"),
        judged: ours / other,
        goal: Goal::AtLeast(0.8),
    }
}

/// Authors and rooms into a database without content.
async fn fill(url: &str) -> Result<()> {
    let db = content::open(url).await?;
    content::import_posters(&db, POSTERS, ROOMS).await?;
    db.close().await;
    Ok(())
}

/// The average size of a post's event, as the node wrote it.
async fn event_bytes(url: &str) -> Result<usize> {
    let db = content::open(url).await?;
    let sql = "select cast(round(avg(octet_length(event))) as bigint) from outbox where event like '%message.posted%'";
    let bytes = db.one(sql, Vec::new()).await?.int(0)?;
    db.close().await;
    Ok(usize::try_from(bytes)?)
}

fn prepare(runtime: &tokio::runtime::Runtime, server: &Postgres, url: &str) -> Result<()> {
    runtime.block_on(fill(url))?;
    server.sql(database_of(url)?, "vacuum analyze")?;
    server
        .sql(database_of(url)?, "checkpoint")
        .map(drop)
        .map_err(Into::into)
}

/// A node under as many posts as its clients get answered.
fn hammer(folder: &Path, setting: &Setting, seconds: f64) -> Result<Reached> {
    let node = Node::start(folder, "one", setting)?;
    let mut fleet = Fleet::start(&Spread {
        nodes: &[node.address],
        secret: &node.secret,
        users: POSTERS,
        shape: None,
    })?;
    expect(&fleet.command(&Command::Connect { at_once: 16 })?, &[&node])?;
    let counted = || {
        Ok::<_, anyhow::Error>((
            node.metric("holdfast_chat_posts_total")?,
            node.metric("holdfast_chat_post_batches_total")?,
        ))
    };
    let before = counted()?;
    let begin = Instant::now();
    let report = fleet.command(&Command::Hammer {
        seconds,
        rooms: ROOMS,
    })?;
    let took = begin.elapsed().as_secs_f64();
    expect(&report, &[&node])?;
    let after = counted()?;
    ensure!(
        after.0 - before.0 >= report.acked as f64,
        "more acknowledged than written"
    );
    // The last quarter of a second only waits for answers.
    ensure!(
        took < seconds + 2.0,
        "the load took {took:.1} s for {seconds:.1}"
    );
    Ok(Reached {
        rate: report.acked as f64 / seconds,
        batch: (after.0 - before.0) / (after.1 - before.1),
        p50_ms: report.ack.quantile_ms(0.5),
        p99_ms: report.ack.quantile_ms(0.99),
    })
}

/// The statements of one post, as a node sends them for a batch of one, with pgbench's variables for parameters.
fn pgbench_script(event_bytes: usize) -> String {
    let text = |expression: &str| format!("cast({expression} as text)");
    let room = text("'p-' || :r");
    let user = text("'u-' || :u");
    let id = text("'m_' || :stamp || '_' || :client_id");
    let fill = |sql: String, values: &[&str]| {
        // From the last: $1 begins $10 too.
        values
            .iter()
            .enumerate()
            .rev()
            .fold(sql, |sql, (n, value)| {
                sql.replace(&format!("${}", n + 1), value)
            })
    };
    let event = "x".repeat(event_bytes);
    let message: Vec<String> = sql::MESSAGE
        .iter()
        .map(|(name, _kind)| match *name {
            "room_id" => room.clone(),
            "room_seq" => ":last_seq + 1".into(),
            "id" | "client_id" => id.clone(),
            "action" => "'posted'".into(),
            "author_id" => user.clone(),
            "kind" => "'plain'".into(),
            "body" => format!("'{}'", body(1_700_000_000_000_000, 7)),
            "attachments" | "mentions" => "'[]'".into(),
            "time_us" => ":stamp".into(),
            "deleted" => "false".into(),
            _ => "null".into(),
        })
        .collect();
    let message: Vec<&str> = message.iter().map(String::as_str).collect();
    [
        format!("\\set r random(0, {})", ROOMS - 1),
        format!("\\set u random(0, {})", POSTERS - 1),
        // Ids grow with time, as the node's do.
        "\\set stamp 1700000000000000 + :n".to_owned(),
        "\\set n :n + 1".to_owned(),
        "begin;".to_owned(),
        format!("{};", fill(sql::lock_rooms(1), &[&room])),
        format!("{} \\gset", fill(sql::rooms(1), &[&room])),
        format!("{};", fill(sql::people(1), &[&room, &user])),
        format!("{};", fill(sql::posted(1), &[&room, &user, &id])),
        format!(
            "{};",
            fill(sql::advance_rooms(1), &[&room, ":last_seq + 1"])
        ),
        format!("{};", fill(sql::insert_messages(1), &message)),
        format!(
            "{};",
            fill(insert_sql(1), &[&room, &format!("'{event}'"), ":stamp"])
        ),
        "end;\n".to_owned(),
    ]
    .join("\n")
}

/// Transactions a second. `first`: where the ids of this run begin.
fn pgbench(
    server: &Postgres,
    database: &str,
    script: &Path,
    (sessions, first): (u32, u64),
    seconds: f64,
) -> Result<f64> {
    let mut command = Process::new(server.programs().join("pgbench"));
    command
        .args(["-n", "-M", "prepared", "-j", "2", "-U", "holdfast", "-h"])
        .arg(server.socket_folder());
    command.args(["-D", &format!("n={first}")]);
    command
        .args([
            "-c",
            &sessions.to_string(),
            "-T",
            &format!("{seconds:.0}"),
            "-f",
        ])
        .arg(script)
        .arg(database);
    let printed = crate::process::run(&mut command)?.stdout;
    let line = printed.lines().find_map(|line| line.strip_prefix("tps = "));
    let tps = line.and_then(|line| line.split(' ').next()?.parse().ok());
    tps.with_context(|| format!("pgbench printed no rate: {printed}"))
}

/// The node's statements on SQLite, in batches of as many posts, and nothing else: no clients, no JSON, no sequencer.
async fn raw_sqlite(url: &str, batch: usize, event_bytes: usize, seconds: f64) -> Result<f64> {
    fill(url).await?;
    let db = content::open(url).await?;
    let event = "x".repeat(event_bytes);
    let mut places = vec![0_i64; ROOMS as usize];
    let (mut count, mut pick) = (0_u64, 1_u64);
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < seconds {
        let posts: Vec<(String, usize, String)> = (0..batch)
            .map(|_post| {
                pick = pick
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let room = usize::try_from(pick >> 33).unwrap_or(0) % ROOMS as usize;
                (
                    format!("p-{room}"),
                    room,
                    format!("u-{}", (pick >> 20) % u64::from(POSTERS)),
                )
            })
            .collect();
        write_batch(&db, &posts, &mut places, count, &event).await?;
        count += posts.len() as u64;
    }
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    db.close().await;
    Ok(rate)
}

async fn write_batch(
    db: &Db,
    posts: &[(String, usize, String)],
    places: &mut [i64],
    first: u64,
    event: &str,
) -> Result<()> {
    let mut tx = db.begin().await?;
    let ids: Vec<String> = (0..posts.len() as u64)
        .map(|n| format!("m_{:016x}", first + n))
        .collect();
    let rooms = posts.iter().map(|(room, _, _)| vec![room.as_str()]);
    ask(&mut tx, rooms, sql::rooms).await?;
    let pairs = posts
        .iter()
        .map(|(room, _, user)| vec![room.as_str(), user]);
    ask(&mut tx, pairs, sql::people).await?;
    let keys = posts.iter().zip(&ids);
    let keys = keys.map(|((room, _, user), id)| vec![room.as_str(), user, id]);
    ask(&mut tx, keys, sql::posted).await?;
    let mut messages = Vec::with_capacity(posts.len());
    for ((room, number, user), id) in posts.iter().zip(&ids) {
        places[*number] += 1;
        messages.push((room.as_str(), places[*number], user.as_str(), id.as_str()));
    }
    let advanced: BTreeSet<(&str, i64)> = posts
        .iter()
        .map(|(room, number, _)| (room.as_str(), places[*number]))
        .collect();
    let advanced: Vec<(&str, i64)> = advanced.into_iter().collect();
    write(&mut tx, &advanced, sql::advance_rooms, |(room, seq)| {
        vec![Value::from(*room), Value::from(*seq)]
    })
    .await?;
    write(
        &mut tx,
        &messages,
        sql::insert_messages,
        |(room, seq, user, id)| message(room, *seq, user, id),
    )
    .await?;
    write(&mut tx, &messages, insert_sql, |(room, seq, _, _)| {
        vec![Value::from(*room), event.into(), (*seq).into()]
    })
    .await?;
    Ok(tx.commit().await?)
}

/// Asks about each tuple once, in one statement.
async fn ask<'a>(
    tx: &mut Tx,
    tuples: impl Iterator<Item = Vec<&'a str>>,
    sql: impl FnOnce(usize) -> String,
) -> Result<()> {
    let distinct: BTreeSet<Vec<&str>> = tuples.collect();
    let (count, args) = padded(distinct.iter().map(Vec::as_slice));
    tx.all(AssertSqlSafe(sql(count)), args).await?;
    Ok(())
}

/// Writes rows in the lengths that the node writes them in.
async fn write<T>(
    tx: &mut Tx,
    rows: &[T],
    sql: impl Fn(usize) -> String,
    args: impl Fn(&T) -> Vec<Value>,
) -> Result<()> {
    let mut rest = rows;
    for size in chunk_sizes(rows.len()) {
        let (chunk, after) = rest.split_at(size);
        rest = after;
        let args = chunk.iter().flat_map(&args).collect();
        tx.all(AssertSqlSafe(sql(size)), args).await?;
    }
    Ok(())
}

fn message(room: &str, seq: i64, user: &str, id: &str) -> Vec<Value> {
    let text = body(1_700_000_000_000_000, seq.unsigned_abs());
    let nothing = || Value::Text(None);
    sql::MESSAGE
        .iter()
        .map(|(name, _kind)| match *name {
            "room_id" => room.into(),
            "room_seq" | "time_us" => seq.into(),
            "id" | "client_id" => id.into(),
            "action" => "posted".into(),
            "author_id" => user.into(),
            "kind" => "plain".into(),
            "body" => text.as_str().into(),
            "attachments" | "mentions" => "[]".into(),
            "deleted" => false.into(),
            _ => nothing(),
        })
        .collect()
}
