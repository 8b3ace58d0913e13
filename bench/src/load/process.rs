//! A load process.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use holdfast_chat_node::auth::Secret;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::client::{Client, Common, Order};
use super::frames::now_us;
use super::ports::Ports;
use super::report::Stats;
use super::shape::{Class, Room};
use super::{Command, Plan};

/// Between two looks whether everybody has everything.
const LOOK: Duration = Duration::from_millis(250);

struct Process {
    plan: Plan,
    common: Arc<Common>,
    clients: Vec<mpsc::UnboundedSender<Order>>,
    random: StdRng,
}

/// Serves the bench until it hangs up.
pub(crate) fn run() -> Result<()> {
    // One thread: the machine's cores are for the node.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // Reading waits: on a thread of its own.
        let (sender, mut lines) = mpsc::unbounded_channel::<String>();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let plan: Plan = serde_json::from_str(&lines.recv().await.context("no plan")?)?;
        let mut process = Process::new(plan)?;
        while let Some(line) = lines.recv().await {
            process.obey(serde_json::from_str(&line)?).await?;
            let report = process.common.stats.take();
            let mut out = std::io::stdout().lock();
            writeln!(out, "{}", serde_json::to_string(&report)?)?;
            out.flush()?;
        }
        Ok(())
    })
}

impl Process {
    fn new(plan: Plan) -> Result<Self> {
        let secret = Secret::load(&plan.secret)?;
        let common = Arc::new(Common {
            stats: Stats::default(),
            secret,
            nodes: plan.nodes.clone(),
            ports: Ports::default(),
        });
        let random = StdRng::seed_from_u64(u64::from(plan.from) + 1);
        Ok(Self {
            plan,
            common,
            clients: Vec::new(),
            random,
        })
    }

    async fn obey(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Connect { at_once } => self.connect(at_once).await,
            Command::Talk {
                seconds,
                posts,
                joins,
            } => {
                self.talk(seconds, posts, joins).await;
                Ok(())
            }
            Command::Hammer { seconds, rooms } => {
                let until = Instant::now() + Duration::from_secs_f64(seconds);
                for client in &self.clients {
                    tell(client, Order::Hammer(rooms, until));
                }
                // The last answers come after the end.
                tokio::time::sleep_until(tokio::time::Instant::from_std(until) + LOOK).await;
                Ok(())
            }
            Command::Settle { rooms, seconds } => {
                let rooms = rooms
                    .iter()
                    .filter_map(|(id, last)| Some((Room::parse(id)?, *last)));
                let behind = self.settle(Arc::new(rooms.collect()), seconds).await;
                self.common.stats.lock().behind += behind;
                Ok(())
            }
        }
    }

    async fn connect(&mut self, at_once: usize) -> Result<()> {
        let gate = Arc::new(Semaphore::new(at_once));
        let mut arrivals = Vec::new();
        for user in self.plan.from..self.plan.to {
            let rooms = self
                .plan
                .shape
                .map(|shape| shape.rooms_of(user))
                .unwrap_or_default();
            let block = u64::from(user) * self.plan.nodes.len() as u64 / u64::from(self.plan.users);
            let client = Client::new(
                Arc::clone(&self.common),
                user,
                usize::try_from(block)?,
                self.plan.source,
                rooms,
            );
            let (orders, inbox) = mpsc::unbounded_channel();
            self.clients.push(orders);
            let (there, arrived) = oneshot::channel();
            let permit = Arc::clone(&gate).acquire_owned().await?;
            tokio::spawn(client.run(inbox, there));
            arrivals.push(tokio::spawn(async move {
                let outcome = arrived.await;
                drop(permit);
                outcome
            }));
        }
        for arrival in arrivals {
            arrival.await?.context("a client gave up")?;
        }
        Ok(())
    }

    /// Random moments, as people have them: each next one after an exponentially distributed time.
    async fn talk(&mut self, seconds: f64, posts: [f64; 3], joins: f64) {
        let share = f64::from(self.plan.to - self.plan.from) / f64::from(self.plan.users);
        let rate = (posts.iter().sum::<f64>() + joins) * share;
        let (begin, mut at) = (Instant::now(), 0.0);
        let wall_us = now_us();
        if rate <= 0.0 {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            return;
        }
        loop {
            at += -(1.0 - self.random.random::<f64>()).ln() / rate;
            if at >= seconds {
                break;
            }
            let due = begin + Duration::from_secs_f64(at);
            tokio::time::sleep_until(due.into()).await;
            self.act(
                posts,
                joins,
                wall_us + Duration::from_secs_f64(at).as_micros() as u64,
            );
        }
        tokio::time::sleep_until((begin + Duration::from_secs_f64(seconds)).into()).await;
    }

    fn act(&mut self, posts: [f64; 3], joins: f64, due_us: u64) {
        let mut pick = self.random.random::<f64>() * (posts.iter().sum::<f64>() + joins);
        let index = self.random.random_range(0..self.clients.len());
        let user = self.plan.from + u32::try_from(index).unwrap_or(0);
        let rooms = self
            .plan
            .shape
            .map(|shape| shape.rooms_of(user))
            .unwrap_or_default();
        for (class, rate) in [Class::Small, Class::Medium, Class::Large]
            .into_iter()
            .zip(posts)
        {
            if pick < rate {
                let rooms: Vec<Room> = rooms
                    .into_iter()
                    .filter(|room| room.class() == class)
                    .collect();
                if !rooms.is_empty() {
                    let room = rooms[self.random.random_range(0..rooms.len())];
                    tell(&self.clients[index], Order::Post(room, due_us));
                }
                return;
            }
            pick -= rate;
        }
        if !rooms.is_empty() {
            tell(
                &self.clients[index],
                Order::Rejoin(self.random.random_range(0..rooms.len())),
            );
        }
    }

    /// How many clients are still behind in the end.
    async fn settle(&self, expected: Arc<HashMap<Room, i64>>, seconds: f64) -> u64 {
        let give_up = Instant::now() + Duration::from_secs_f64(seconds);
        loop {
            let mut answers = Vec::new();
            for client in &self.clients {
                let (answer, answered) = oneshot::channel();
                tell(client, Order::Check(Arc::clone(&expected), answer));
                answers.push(answered);
            }
            let mut behind = 0;
            for answer in answers {
                let left = give_up.saturating_duration_since(Instant::now());
                let right = tokio::time::timeout(left, answer).await;
                behind += u64::from(!matches!(right, Ok(Ok(true))));
            }
            if behind == 0 || Instant::now() >= give_up {
                return behind;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A client that ended has told why.
fn tell(client: &mpsc::UnboundedSender<Order>, order: Order) {
    let _ended = client.send(order);
}
