//! What compliance costs those who post: the same node with its events going to Kafka, with Kafka down, and without events.
//!
//! Three nodes, each with its own database on one server. They talk in turns of a few seconds, in another order each round, so that whatever the
//! machine does meanwhile falls on all three alike; a node whose turn it is not has nothing to do. Without events means: a trigger of the database
//! throws the rows for the outbox away, so that inserting, sequencing and relaying fall away while everything else stays as it is.
//!
//! What is judged is the median of the minutes' ratios: a disk that stands still for a second falls on whoever talks just then, and the slowest
//! hundredth of a minute's posts is then that second alone.

use std::path::Path;

use anyhow::{Context, Result};
use holdfast_fixtures::Postgres;
use holdfast_tests::kafka::Broker;

use super::pool::{Kafka, Node, Setting, postgres};
use super::users::{database_of, describe, expect, runtime};
use super::{Size, content};
use crate::load::{Command, Fleet, Report, Shape, Spread};
use crate::process::median;
use crate::table::{Goal, Row};

/// Users of each node; they post in rooms of 30.
const USERS: u32 = 600;
/// The posts of the busiest published model.
const POSTS_A_SECOND: f64 = 74.0;
const TURN_SECONDS: f64 = 5.0;
/// Turns of each side that are compared with one another.
const TURNS_A_MINUTE: usize = 12;
const PARTITIONS: i32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    On,
    Off,
    KafkaDown,
}

const MODES: [Mode; 3] = [Mode::On, Mode::Off, Mode::KafkaDown];

struct Side {
    mode: Mode,
    node: Node,
    fleet: Fleet,
    /// Of all turns.
    report: Report,
    /// Of the turns of each minute.
    minutes: Vec<Report>,
}

/// Turns of all three, until each has talked for `size.seconds`.
pub(crate) fn measure(folder: &Path, size: Size) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let folder = folder.join("chat-compliance");
    let server = postgres()?;
    let broker = Broker::shared();
    let topic = runtime.block_on(broker.topic(PARTITIONS));
    let mut sides = Vec::new();
    for mode in MODES {
        let kafka = match mode {
            Mode::On => Some(broker.bootstrap().to_owned()),
            Mode::Off => None,
            // Nothing listens there.
            Mode::KafkaDown => Some(unused_address()?),
        };
        let kafka = kafka.map(|bootstrap| Kafka {
            bootstrap,
            topic: topic.name.clone(),
        });
        sides.push(runtime.block_on(start(&folder, &server, mode, kafka))?);
    }
    // Caches and prepared statements first.
    for side in &mut sides {
        turn(side)?;
    }
    let turns = (size.seconds / TURN_SECONDS).ceil().max(1.0) as usize;
    for round in 0..turns {
        for n in 0..sides.len() {
            let side = &mut sides[(n + round) % MODES.len()];
            let report = turn(side)?;
            side.report.add(&report)?;
            side.minutes
                .resize_with(round / TURNS_A_MINUTE + 1, Report::default);
            side.minutes[round / TURNS_A_MINUTE].add(&report)?;
        }
    }
    for side in &sides {
        eprintln!("{:?}: {}", side.mode, describe(&side.report));
    }
    let find = |mode| {
        sides
            .iter()
            .find(|side| side.mode == mode)
            .context("a mode")
    };
    let off = find(Mode::Off)?;
    let mut rows = Vec::new();
    for (mode, name) in [
        (Mode::On, "compliance on / off"),
        (Mode::KafkaDown, "Kafka down / compliance off"),
    ] {
        let side = find(mode)?;
        for (share, quantile) in [(0.5, "p50"), (0.99, "p99")] {
            rows.push(row(&format!("{name}, {quantile}"), share, side, off));
        }
    }
    Ok(rows)
}

fn row(what: &str, share: f64, side: &Side, off: &Side) -> Row {
    let of = |report: &Report| report.ack.quantile_ms(share);
    let minutes = side.minutes.iter().zip(&off.minutes);
    let ratios: Vec<f64> = minutes.map(|(ours, other)| of(ours) / of(other)).collect();
    Row {
        what: format!("post latency, {what} of {} posts each", side.report.acked),
        ours: format!("{:.2} ms", of(&side.report)),
        other: format!("{:.2} ms", of(&off.report)),
        judged: median(ratios),
        goal: Goal::AtMost(1.05),
    }
}

async fn start(folder: &Path, server: &Postgres, mode: Mode, kafka: Option<Kafka>) -> Result<Side> {
    let url = server.database()?;
    let shape = Shape::of(USERS);
    let db = content::open(&url).await?;
    content::import_model(&db, shape).await?;
    db.close().await;
    if mode == Mode::Off {
        server.sql(
            database_of(&url)?,
            "create function no_event() returns trigger language plpgsql as 'begin return null; end'; \
             create trigger no_events before insert on outbox for each row execute function no_event()",
        )?;
    }
    server.sql(database_of(&url)?, "vacuum analyze")?;
    let node = Node::start(
        &folder.join(format!("{mode:?}")),
        "one",
        &Setting {
            database: Some(url),
            in_pool: false,
            kafka,
        },
    )?;
    let spread = Spread {
        nodes: &[node.address],
        secret: &node.secret,
        users: USERS,
        shape: Some(shape),
    };
    let mut fleet = Fleet::start(&spread)?;
    expect(&fleet.command(&Command::Connect { at_once: 16 })?, &[&node])?;
    Ok(Side {
        mode,
        node,
        fleet,
        report: Report::default(),
        minutes: Vec::new(),
    })
}

fn turn(side: &mut Side) -> Result<Report> {
    let report = side.fleet.command(&Command::Talk {
        seconds: TURN_SECONDS,
        posts: [POSTS_A_SECOND, 0.0, 0.0],
        joins: 0.0,
    })?;
    anyhow::ensure!(
        report.refused == 0 && report.lost == 0,
        "{}\n{}",
        describe(&report),
        side.node.log()
    );
    // A post at the very end is acknowledged in the next turn.
    Ok(report)
}

fn unused_address() -> Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}
