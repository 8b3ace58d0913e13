//! The load: light-weight clients, thousands to a process, because a process has 20,000 descriptors.
//!
//! The bench starts load processes (itself, with a hidden subcommand) and speaks with each over its standard input and output, one JSON object a
//! line: first a [`Plan`], then [`Command`]s, each answered by one [`Report`]. A load process ends when its input does.

mod client;
mod fleet;
mod frames;
mod ports;
mod process;
mod report;
mod shape;

pub(crate) use fleet::{Fleet, Spread};
pub(crate) use frames::body;
pub(crate) use process::run;
pub(crate) use report::Report;
pub(crate) use shape::{Class, MODEL_USERS, Shape};

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Who a load process is.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Plan {
    /// The pool's secret: clients sign their own tokens.
    secret: PathBuf,
    /// Where the pool's nodes listen. Users are spread over them in blocks.
    nodes: Vec<SocketAddr>,
    /// Rooms and members; `None`: clients subscribe nothing.
    shape: Option<Shape>,
    /// All users of the run, and this process's part of them.
    users: u32,
    from: u32,
    to: u32,
    /// The address that this process's clients come from: a pair of addresses has 28,000 ports.
    source: Ipv4Addr,
}

/// What a load process is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    /// Connect everybody and subscribe all rooms, so many at a time.
    Connect {
        /// At a time, in each process.
        at_once: usize,
    },
    /// Talk: posts and joins at random moments, on the average so many a second in the whole run.
    Talk {
        /// For so long.
        seconds: f64,
        /// Posts a second in small, medium and large rooms.
        posts: [f64; 3],
        /// Joins a second: a user leaves a room and comes again.
        joins: f64,
    },
    /// Post as fast as posts are answered, each client one after the other, into so many rooms.
    Hammer {
        /// For so long.
        seconds: f64,
        /// Rooms to choose from.
        rooms: u32,
    },
    /// Wait until every client has seen what SQL holds: room ids with their last places.
    Settle {
        /// From `rooms.last_seq`, where it is above 0.
        rooms: Vec<(String, i64)>,
        /// Give up after this.
        seconds: f64,
    },
}
