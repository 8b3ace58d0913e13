//! Users connected and subscribed, and the models of what they do.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use holdfast_chat_node::db::Db;

use super::pool::{Node, Setting, postgres};
use super::{Size, content};
use crate::load::{Command, Fleet, Report, Shape, Spread};
use crate::table::{Goal, Row};

/// A process here has 20,000 descriptors and cannot have more: the seed's 20,000 users less what a node needs for itself.
const ONE_NODE_USERS: u32 = 19_500;
/// Nodes of the pool: 80,000 users in 16,000s.
const NODES: u32 = 5;
/// Logins at a time, in each load process.
pub(super) const AT_ONCE: usize = 24;
/// For everybody to have everything after the talk.
const SETTLE_SECONDS: f64 = 60.0;

/// Posts a second in small, medium and large rooms: 24.04, as published.
const SEED_POSTS: [f64; 3] = [22.22, 1.67, 0.15];
/// Joins a second.
const SEED_JOINS: f64 = 10.0;
/// The published models: posts a second. Their rooms are not published: shared out as in the first.
/// And what delivery must reach, p99 in ms: there is a goal for the first.
const MODELS: [(&str, f64, Goal); 3] = [
    ("user model", 24.04, DELIVERED),
    ("Model 1", 74.0, Goal::AtLeast(0.0)),
    ("Model 2", 56.0, Goal::AtLeast(0.0)),
];
const DELIVERED: Goal = Goal::AtMost(250.0);

/// One node with as many users as it has descriptors, and what it takes of memory.
pub(crate) fn connected(folder: &Path, size: Size) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let users = size.users.min(ONE_NODE_USERS);
    let shape = Shape::of(users);
    let folder = folder.join("chat-connected");
    let server = postgres()?;
    let url = server.database()?;
    let db = runtime.block_on(import(&url, shape))?;
    server.sql(database_of(&url)?, "vacuum analyze")?;
    let node = Node::start(
        &folder,
        "one",
        &Setting {
            database: Some(url.clone()),
            in_pool: false,
            kafka: None,
        },
    )?;
    let mut fleet = Fleet::start(&Spread {
        nodes: &[node.address],
        secret: &node.secret,
        users,
        shape: Some(shape),
    })?;
    size.step("everybody logs in")?;
    let begin = Instant::now();
    let login = fleet.command(&Command::Connect { at_once: AT_ONCE })?;
    let seconds = begin.elapsed().as_secs_f64();
    expect(&login, &[&node])?;
    // A minute of the user model's talk, in this node's share, so that it is memory of a node at work.
    let share = f64::from(users) / f64::from(crate::load::MODEL_USERS);
    let talk = Command::Talk {
        seconds: size.seconds.min(60.0),
        posts: SEED_POSTS.map(|rate| rate * share),
        joins: SEED_JOINS * share,
    };
    let mut report = fleet.command(&talk)?;
    report.add(&settle(&runtime, &db, &mut fleet)?)?;
    expect(&report, &[&node])?;
    let (now, peak) = node.memory_mib()?;
    Ok(vec![
        Row {
            what: format!(
                "{users} users in {} rooms on one node: memory, MiB (now; peak)",
                shape.rooms()
            ),
            ours: format!("{now:.0} MiB"),
            other: format!("{peak:.0} MiB"),
            judged: peak,
            goal: Goal::AtMost(1024.0),
        },
        figure(
            &format!("… logins with 16 rooms, a second ({seconds:.0} s in all)"),
            f64::from(users) / seconds,
            0.0,
        ),
        delivered("… post to delivery, p99 in ms (p50)", &report, DELIVERED),
    ])
}

/// A pool with everybody, and each of the models.
pub(crate) fn models(folder: &Path, size: Size) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let shape = Shape::of(size.users);
    let folder = folder.join("chat-models");
    let server = postgres()?;
    let url = server.database()?;
    let begin = Instant::now();
    let db = runtime.block_on(import(&url, shape))?;
    server.sql(database_of(&url)?, "vacuum analyze")?;
    eprintln!(
        "{} memberships imported in {:.0} s",
        shape.memberships(),
        begin.elapsed().as_secs_f64()
    );
    let setting = Setting {
        database: Some(url.clone()),
        in_pool: true,
        kafka: None,
    };
    let nodes = (0..NODES)
        .map(|n| Node::start(&folder, &format!("node-{n}"), &setting))
        .collect::<Result<Vec<_>>>()?;
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    let all: Vec<&Node> = nodes.iter().collect();
    let mut fleet = Fleet::start(&Spread {
        nodes: &addresses,
        secret: &nodes[0].secret,
        users: size.users,
        shape: Some(shape),
    })?;
    size.step("everybody logs in")?;
    let begin = Instant::now();
    let login = fleet.command(&Command::Connect { at_once: AT_ONCE })?;
    let seconds = begin.elapsed().as_secs_f64();
    expect(&login, &all)?;
    let mut rows = vec![figure(
        &format!(
            "{} users on {NODES} nodes: logins a second ({seconds:.0} s in all)",
            size.users
        ),
        f64::from(size.users) / seconds,
        0.0,
    )];
    // The models are about people who are there: what their logins left to do is done first.
    size.step("the logins' events are sequenced")?;
    runtime.block_on(content::sequenced(&db))?;
    for (name, posts, delivery) in MODELS {
        let scale = posts / SEED_POSTS.iter().sum::<f64>();
        let talk = Command::Talk {
            seconds: size.seconds,
            posts: SEED_POSTS.map(|rate| rate * scale),
            joins: SEED_JOINS,
        };
        size.step(name)?;
        let mut report = fleet.command(&talk)?;
        let rate = report.acked as f64 / size.seconds;
        report.add(&settle(&runtime, &db, &mut fleet)?)?;
        expect(&report, &all)?;
        eprintln!("{name}: {}", describe(&report));
        rows.push(Row {
            what: format!("{name}: posts/s for {:.0} s / its rate", size.seconds),
            ours: format!("{rate:.1}/s"),
            other: format!("{posts:.1}/s"),
            judged: rate / posts,
            // People post at random moments: over minutes, their number is a few hundredths off.
            goal: Goal::AtLeast(0.95),
        });
        let what = "… post to delivery, p99 in ms (p50)";
        rows.push(delivered(what, &report, delivery));
    }
    let memory = nodes
        .iter()
        .map(|node| Ok(node.memory_mib()?.1))
        .collect::<Result<Vec<_>>>()?;
    let worst = memory.iter().copied().fold(0.0, f64::max);
    rows.push(Row {
        what: format!("… memory of a node with {} users, peak", size.users / NODES),
        ours: format!("{worst:.0} MiB"),
        other: String::new(),
        judged: worst,
        goal: Goal::AtMost(1024.0),
    });
    Ok(rows)
}

/// One thread: what the bench itself asks SQL.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?)
}

pub(super) async fn import(url: &str, shape: Shape) -> Result<Db> {
    let db = content::open(url).await?;
    content::import_model(&db, shape).await?;
    Ok(db)
}

/// The database's name in a URL of the bench's server.
pub(super) fn database_of(url: &str) -> Result<&str> {
    let path = url.split('?').next().unwrap_or(url);
    path.rsplit('/').next().context("a URL without a database")
}

/// Waits until every client has seen every place that SQL holds.
pub(super) fn settle(
    runtime: &tokio::runtime::Runtime,
    db: &Db,
    fleet: &mut Fleet,
) -> Result<Report> {
    let rooms = runtime.block_on(content::places(db))?;
    fleet.command(&Command::Settle {
        rooms,
        seconds: SETTLE_SECONDS,
    })
}

/// A figure says nothing when messages were lost or refused on the way to it.
pub(super) fn expect(report: &Report, nodes: &[&Node]) -> Result<()> {
    let whole = report.gaps == 0
        && report.repeated == 0
        && report.refused == 0
        && report.lost == 0
        && report.behind == 0;
    ensure!(
        whole && report.posted == report.acked,
        "not everything arrived: {}\n{}",
        describe(report),
        nodes.iter().map(|node| node.log()).collect::<String>()
    );
    Ok(())
}

pub(super) fn describe(report: &Report) -> String {
    format!(
        "{} posted, {} acknowledged, {} refused; {} delivered, {} gaps, {} repeated; {} connections lost, {} behind; \
         delivery p50 {:.1} ms, p99 {:.1} ms, max {:.0} ms; ack p50 {:.1} ms, p99 {:.1} ms; {} joins p50 {:.1} ms, p99 {:.1} ms{}",
        report.posted,
        report.acked,
        report.refused,
        report.delivered,
        report.gaps,
        report.repeated,
        report.lost,
        report.behind,
        report.delivery.quantile_ms(0.5),
        report.delivery.quantile_ms(0.99),
        report.delivery.max_ms(),
        report.ack.quantile_ms(0.5),
        report.ack.quantile_ms(0.99),
        report.join.count(),
        report.join.quantile_ms(0.5),
        report.join.quantile_ms(0.99),
        report
            .trouble
            .as_ref()
            .map(|text| format!("; {text}"))
            .unwrap_or_default(),
    )
}

fn delivered(what: &str, report: &Report, goal: Goal) -> Row {
    Row {
        what: what.to_owned(),
        ours: format!("{:.1} ms", report.delivery.quantile_ms(0.99)),
        other: format!("{:.1} ms", report.delivery.quantile_ms(0.5)),
        judged: report.delivery.quantile_ms(0.99),
        goal,
    }
}

/// A figure without a goal of its own.
fn figure(what: &str, value: f64, least: f64) -> Row {
    Row {
        what: what.to_owned(),
        ours: format!("{value:.0}"),
        other: String::new(),
        judged: value,
        goal: Goal::AtLeast(least),
    }
}
