//! A node is killed: how long until its users are on other nodes with everything that was said meanwhile.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Size;
use super::pool::{Node, Setting, postgres};
use super::users::{AT_ONCE, database_of, describe, expect, import, runtime, settle};
use crate::load::{Command, Fleet, Shape, Spread};
use crate::table::{Goal, Row};

const NODES: usize = 3;
/// Users of the pool, unless fewer are asked for: a third of them loses its node.
const USERS_MAX: u32 = 6_000;
/// The seed's busiest model.
const POSTS: [f64; 3] = [68.4, 5.1, 0.5];
const TALK_SECONDS: f64 = 20.0;
const KILL_AFTER: Duration = Duration::from_secs(5);

/// Kills one of three nodes, once a round; the slowest user counts.
pub(crate) fn measure(folder: &Path, rounds: usize, size: Size) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let users = size.users.min(USERS_MAX);
    let shape = Shape::of(users);
    let (mut slowest, mut usual, mut moved) = (0.0_f64, Vec::new(), 0);
    for round in 0..rounds {
        let folder = folder.join(format!("chat-kill-{round}"));
        let server = postgres()?;
        let url = server.database()?;
        let db = runtime.block_on(import(&url, shape))?;
        server.sql(database_of(&url)?, "vacuum analyze")?;
        let setting = Setting {
            database: Some(url),
            in_pool: true,
            kafka: None,
        };
        let mut nodes = (0..NODES)
            .map(|n| Node::start(&folder, &format!("node-{n}"), &setting))
            .collect::<Result<Vec<_>>>()?;
        let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
        let mut fleet = Fleet::start(&Spread {
            nodes: &addresses,
            secret: &nodes[0].secret,
            users,
            shape: Some(shape),
        })?;
        expect(
            &fleet.command(&Command::Connect { at_once: AT_ONCE })?,
            &nodes.iter().collect::<Vec<_>>(),
        )?;
        fleet.tell(&Command::Talk {
            seconds: TALK_SECONDS,
            posts: POSTS,
            joins: 0.0,
        })?;
        std::thread::sleep(KILL_AFTER);
        // The first node leads the outbox.
        nodes[0].kill()?;
        let mut report = fleet.reports()?;
        report.add(&settle(&runtime, &db, &mut fleet)?)?;
        let right = report.gaps == 0
            && report.repeated == 0
            && report.refused == 0
            && report.behind == 0
            && report.posted == report.acked;
        ensure!(
            right && report.back.count() > 0 && report.back.count() == report.lost,
            "{} came back; {}",
            report.back.count(),
            describe(&report)
        );
        slowest = slowest.max(report.back.max_ms() / 1000.0);
        usual.push(report.back.quantile_ms(0.5) / 1000.0);
        moved = report.back.count();
    }
    let usual = crate::process::median(usual);
    Ok(vec![Row {
        what: format!(
            "a node of {NODES} killed: {moved} users with 16 rooms back and caught up, s (p50)"
        ),
        ours: format!("{slowest:.2} s"),
        other: format!("{usual:.2} s"),
        judged: slowest,
        goal: Goal::AtMost(5.0),
    }])
}
