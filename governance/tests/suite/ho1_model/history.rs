//! One random history of the model.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_fixtures::{Fault, Plan};
use holdfast_governance::disposition::recover;
use object_store::ObjectStore;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::ops::{Op, carry_out};
use crate::model::check::{self, Hold, Of, Rest};
use crate::model::events::{self, Made, Source};
use crate::model::world::{self, Process, process};

/// What became of it.
enum Done {
    Acknowledged,
    Failed(String),
}

/// One history.
pub(super) struct Model {
    random: StdRng,
    pub(super) inner: Arc<dyn ObjectStore>,
    source: Source,
    /// Everything that may have been archived.
    made: BTreeMap<u64, Made>,
    holds: Vec<Hold>,
    rest: Rest,
    holds_named: u64,
    /// Holds whose release was asked for, whatever became of it.
    released: std::collections::BTreeSet<String>,
    pub(super) log: Vec<String>,
}

impl Model {
    pub(super) async fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            inner: world::begin().await,
            source: Source::default(),
            made: BTreeMap::new(),
            holds: Vec::new(),
            rest: Rest::default(),
            holds_named: 0,
            released: std::collections::BTreeSet::new(),
            log: Vec::new(),
        }
    }

    fn pick(&mut self, below: u64) -> u64 {
        self.random.next_u64() % below
    }

    async fn choose(&mut self, healthy: &Process) -> Op {
        let state = healthy.ledger.refresh().await.unwrap();
        match self.pick(23) {
            0..=5 => {
                let events = self.source.more(&mut self.random, healthy.ledger.now_us());
                self.made
                    .extend(events.iter().map(|event| (event.seq, event.clone())));
                Op::Ingest(events)
            }
            6..=7 => {
                self.holds_named += 1;
                let of = match self.pick(3) {
                    0 => Of::Room(self.pick(events::ROOMS)),
                    1 => Of::User(self.pick(events::USERS)),
                    _ => Of::Word,
                };
                Op::Place(format!("h{}", self.holds_named), of)
            }
            8 => {
                let open: Vec<_> = state
                    .holds
                    .iter()
                    .filter(|(_, hold)| hold.released.is_none())
                    .map(|(name, _)| name.clone())
                    .collect();
                match open.is_empty() {
                    true => Op::Plan,
                    false => Op::Release(open[self.pick(open.len() as u64) as usize].clone()),
                }
            }
            9..=10 => Op::Plan,
            11..=14 => {
                let mut plans: Vec<_> = state
                    .plans
                    .values()
                    .map(|plan| (plan.saved.seq, plan.plan.id.clone()))
                    .collect();
                plans.sort();
                // The newest, mostly: an old one meets what changed since.
                let old = self.pick(4) == 0;
                let place = if old {
                    self.pick(plans.len().max(1) as u64) as usize
                } else {
                    plans.len().saturating_sub(1)
                };
                Op::Run(plans.get(place).map(|(_, id)| id.clone()))
            }
            15..=16 => Op::Purge,
            17 => {
                let runs: Vec<String> = state.dispositions.keys().cloned().collect();
                let run = match runs.is_empty() {
                    true => None,
                    false => Some(runs[self.pick(runs.len() as u64) as usize].clone()),
                };
                Op::Restore(run)
            }
            18 => Op::Compact,
            19 => Op::Collect,
            20..=21 => {
                self.holds_named += 1;
                Op::Erase(format!("e{}", self.holds_named), self.pick(events::USERS))
            }
            _ => {
                let open: Vec<_> = self
                    .holds
                    .iter()
                    .filter(|hold| matches!(hold.of, Of::Kept(_)) && !hold.released)
                    .map(|hold| hold.name.clone())
                    .collect();
                match open
                    .first()
                    .filter(|_| self.random.next_u64().is_multiple_of(2))
                {
                    Some(name) => Op::EndKeep(name.clone()),
                    None => {
                        self.holds_named += 1;
                        Op::Keep(format!("k{}", self.holds_named), self.pick(events::ROOMS))
                    }
                }
            }
        }
    }

    /// Holds that a process was told are in force, or that are on their way out.
    fn note(&mut self, op: &Op, done: &Done) {
        match (op, done) {
            (Op::Place(name, of), Done::Acknowledged) => self.holds.push(Hold {
                name: name.clone(),
                of: *of,
                released: self.released.contains(name),
                must_keep: std::collections::BTreeSet::new(),
                acknowledged: false,
            }),
            (Op::Keep(name, room), Done::Acknowledged) => self.holds.push(Hold {
                name: name.clone(),
                of: Of::Kept(*room),
                released: self.released.contains(name),
                must_keep: std::collections::BTreeSet::new(),
                acknowledged: false,
            }),
            _ => self.leaves(op),
        }
        if let Done::Failed(problem) = done {
            self.log.push(format!("  failed: {problem}"));
        }
    }

    /// A hold on its way out is in force no longer: a release that failed, or that has not come back yet, may be written all the same.
    fn leaves(&mut self, op: &Op) {
        let (Op::Release(name) | Op::EndKeep(name)) = op else {
            return;
        };
        self.released.insert(name.clone());
        self.holds
            .iter_mut()
            .filter(|hold| hold.name == *name)
            .for_each(|hold| hold.released = true);
    }

    async fn come_to_rest(&mut self, evaluated: bool) {
        let healthy = process(&self.inner).await;
        recover::all(&healthy.ledger, &healthy.by).await.unwrap();
        self.rest = check::all(
            &healthy,
            &self.made,
            &self.rest,
            &mut self.holds,
            evaluated,
            healthy.ledger.now_us(),
        )
        .await;
    }

    /// One operation of a process with a fault at a random place.
    async fn faulty(&mut self, op: Op) {
        let nth = 1 + self.pick(70);
        let dying = process(&self.inner).await;
        dying.store.faults().clear();
        let plan = match self.pick(6) {
            0 => Plan::dead_from(nth, Fault::Before),
            1 => Plan::dead_from(nth, Fault::After),
            2 => Plan::nth(nth, Fault::After),
            3 => Plan::nth(nth, Fault::AlreadyExistsAfter),
            4 => Plan::nth(nth, Fault::Before),
            _ => Plan::dead_from(nth, Fault::AlreadyExistsAfter),
        };
        self.log.push(format!("{op:?} with {plan:?}"));
        dying.store.faults().plan(plan);
        let done = finished(carry_out(&dying, &op).await);
        self.note(&op, &done);
    }

    /// One operation of a process that is paused in the middle while others go on, and that comes back late.
    async fn late(&mut self, op: Op) {
        let nth = 1 + self.pick(60);
        let sleeping = process(&self.inner).await;
        let faults = sleeping.store.faults();
        faults.clear();
        let fault = if self.pick(2) == 0 {
            Fault::PauseBefore
        } else {
            Fault::PauseAfter
        };
        faults.plan(Plan::nth(nth, fault));
        self.log.push(format!("{op:?} paused at {nth}"));
        let asked = op.clone();
        let mut task = tokio::spawn(async move { carry_out(&sleeping, &asked).await });
        let early = tokio::select! {
            done = &mut task => Some(done.unwrap()),
            () = faults.paused(1) => None,
        };
        let done = match early {
            Some(done) => done,
            None => {
                self.leaves(&op);
                for _ in 0..1 + self.pick(3) {
                    self.healthy_step().await;
                }
                faults.release();
                task.await.unwrap()
            }
        };
        self.log.push("  came back".to_owned());
        self.note(&op, &finished(done));
    }

    async fn healthy_step(&mut self) {
        let healthy = process(&self.inner).await;
        let op = self.choose(&healthy).await;
        self.log.push(format!("{op:?}"));
        let done = finished(carry_out(&healthy, &op).await);
        self.note(&op, &done);
        let ran = matches!((&op, &done), (Op::Run(Some(_)), Done::Acknowledged));
        self.come_to_rest(ran).await;
    }

    pub(super) async fn step(&mut self) {
        match self.pick(10) {
            0..=3 => self.healthy_step().await,
            4..=7 => {
                let healthy = process(&self.inner).await;
                let op = self.choose(&healthy).await;
                self.faulty(op).await;
                self.come_to_rest(false).await;
            }
            _ => {
                let healthy = process(&self.inner).await;
                let op = self.choose(&healthy).await;
                self.late(op).await;
                self.come_to_rest(false).await;
            }
        }
    }
}

fn finished(done: Result<(), String>) -> Done {
    match done {
        Ok(()) => Done::Acknowledged,
        Err(problem) => Done::Failed(problem),
    }
}
