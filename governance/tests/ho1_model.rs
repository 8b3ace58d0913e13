//! HO-1 and LE-1 by model: random histories of ingest, holds, plans, runs, purges, restores, compaction and collection,
//! with processes that die at any store operation, are told wrong things by the store, or come back late.
//!
//! `HOLDFAST_SEEDS` histories from `HOLDFAST_SEED` on; each prints its seed when it fails.

// Clippy takes helpers outside of `#[test]` functions for production code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

#[path = "model/check.rs"]
mod check;
#[path = "model/events.rs"]
mod events;
#[path = "model/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use check::{Hold, Of, Rest};
use events::{Made, Source};
use holdfast_archive::gc::{self, GcOptions};
use holdfast_fixtures::{Fault, Plan};
use holdfast_governance::disposition::{plan_file, recover, run};
use holdfast_governance::ledger::state::IntentEnd;
use holdfast_governance::ledger::{Context, State};
use holdfast_governance::{erasure, hold, policy, purge, restore};
use holdfast_indexer::maintenance::policy::Policy;
use holdfast_indexer::maintenance::{CompactOptions, compact};
use holdfast_schemas::ledger::disposition::Authority;
use holdfast_schemas::ledger::erasure::{ErasureRequest, ErasureSubject};
use holdfast_schemas::ledger::hold::{Custodian, HoldPlace, HoldRelease, HoldScope, RoomRef};
use holdfast_schemas::ledger::person::{Identity, IdentityKind};
use holdfast_schemas::ledger::policy::{PolicyAction, PolicyRemove, PolicyScope, PolicySet};
use object_store::ObjectStore;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use world::{Process, process};

/// What a process is asked to do.
#[derive(Debug, Clone)]
enum Op {
    Ingest(Vec<Made>),
    Place(String, Of),
    Release(String),
    Plan,
    Run(Option<String>),
    Purge,
    Restore(Option<String>),
    Compact,
    Collect,
    /// Somebody asks that everything of a user is erased, and it is run as far as it goes.
    Erase(String, u64),
    /// A policy that keeps a room's events for longer.
    Keep(String, u64),
    /// It ends.
    EndKeep(String),
}

/// What became of it.
enum Done {
    Acknowledged,
    Failed(String),
}

fn scope(of: Of) -> HoldScope {
    match of {
        Of::Room(room) => HoldScope {
            rooms: vec![RoomRef {
                id: format!("r-{room}"),
                name: None,
            }],
            ..HoldScope::default()
        },
        Of::User(user) => {
            let identity = identity(user);
            let custodian = Custodian {
                given: format!("u-{user}"),
                person: None,
                identities: vec![identity],
            };
            HoldScope {
                custodians: vec![custodian],
                ..HoldScope::default()
            }
        }
        Of::Word => HoldScope {
            query: Some("body:keepme".to_owned()),
            ..HoldScope::default()
        },
        Of::Kept(_) => unreachable!("a policy is no hold"),
    }
}

fn identity(user: u64) -> Identity {
    Identity {
        kind: IdentityKind::Id,
        value: format!("u-{user}"),
        from_us: None,
        until_us: None,
    }
}

fn keeping(name: &str, room: u64) -> PolicySet {
    PolicySet {
        name: name.to_owned(),
        scope: PolicyScope {
            rooms: vec![RoomRef {
                id: format!("r-{room}"),
                name: None,
            }],
            ..PolicyScope::default()
        },
        period: format!("{}d", check::KEPT_DAYS),
        time_zone: None,
        action: PolicyAction::Retain,
        explicit: false,
        reason: None,
    }
}

async fn carry_out(process: &Process, op: &Op) -> Result<(), String> {
    let (ledger, by) = (&process.ledger, &process.by);
    let said = |error: &dyn std::fmt::Display| error.to_string();
    match op {
        Op::Ingest(events) => match events::ingest(&process.archive, events).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("conflict".to_owned()),
            Err(error) => Err(said(&error)),
        },
        Op::Place(name, of) => {
            let version = process.archive.known_snapshot().version();
            let place = HoldPlace {
                name: name.clone(),
                matter: "m".to_owned(),
                scope: scope(*of),
                reason: "model".to_owned(),
                table_version: version,
            };
            hold::place(ledger, by, &place)
                .await
                .map(|_| ())
                .map_err(|e| said(&e))
        }
        Op::Release(name) => {
            let release = HoldRelease {
                name: name.clone(),
                reason: "model".to_owned(),
                holds_until_us: 0,
            };
            hold::release(ledger, by, &release)
                .await
                .map(|_| ())
                .map_err(|e| said(&e))
        }
        Op::Plan => {
            let made = plan_file::make(ledger, ledger.now_us())
                .await
                .map_err(|e| said(&e))?;
            plan_file::save(ledger, by, &made)
                .await
                .map(|_| ())
                .map_err(|e| said(&e))
        }
        Op::Run(plan) => match plan {
            Some(plan) => run::run(ledger, by, plan, Authority::Plan)
                .await
                .map(|_| ())
                .map_err(|e| said(&e)),
            None => Ok(()),
        },
        Op::Purge => purge::run(ledger, by)
            .await
            .map(|_| ())
            .map_err(|e| said(&e)),
        Op::Restore(of) => match of {
            Some(of) => restore::run(ledger, by, of)
                .await
                .map(|_| ())
                .map_err(|e| said(&e)),
            None => Ok(()),
        },
        Op::Compact => {
            let options = CompactOptions {
                policy: Policy::everything(),
                holder: uuid::Uuid::new_v4().to_string(),
                merges_max: 4,
            };
            compact(&process.archive, &options)
                .await
                .map(|_| ())
                .map_err(|e| said(&e))
        }
        Op::Erase(id, user) => {
            let request = ErasureRequest {
                id: id.clone(),
                subject: ErasureSubject::Person {
                    person: format!("u-{user}"),
                    identities: vec![identity(*user)],
                },
                due_us: ledger.now_us(),
                reason: "model".to_owned(),
            };
            erasure::request(ledger, by, &request)
                .await
                .map_err(|e| said(&e))?;
            erasure::run(ledger, by, id)
                .await
                .map(|_| ())
                .map_err(|e| said(&e))
        }
        Op::Keep(name, room) => {
            let set = keeping(name, *room);
            let judged = |state: &State| policy::judge_set(state, &set);
            let done = ledger.append_fenced(by, Context::default(), judged).await;
            done.map(|_| ()).map_err(|e| said(&e))
        }
        Op::EndKeep(name) => {
            let remove = PolicyRemove {
                name: name.clone(),
                reason: None,
            };
            let judged = |state: &State| policy::judge_remove(state, &remove);
            let done = ledger.append_fenced(by, Context::default(), judged).await;
            done.map(|_| ()).map_err(|e| said(&e))
        }
        Op::Collect => {
            let options = GcOptions {
                min_age: Duration::ZERO,
                grace: Duration::ZERO,
                dry_run: false,
            };
            let now_ms = ledger.now_us() / 1000;
            gc::run(&process.archive, options, now_ms)
                .await
                .map(|_| ())
                .map_err(|e| said(&e))
        }
    }
}

struct Model {
    random: StdRng,
    inner: Arc<dyn ObjectStore>,
    source: Source,
    /// Everything that may have been archived.
    made: BTreeMap<u64, Made>,
    holds: Vec<Hold>,
    rest: Rest,
    holds_named: u64,
    /// Holds whose release was asked for, whatever became of it.
    released: std::collections::BTreeSet<String>,
    log: Vec<String>,
}

/// What happened in all histories together: a model in which nothing happens would pass, too.
static HAPPENED: [AtomicU64; 7] = [const { AtomicU64::new(0) }; 7];
const WHAT: [&str; 7] = [
    "holds",
    "runs",
    "restores",
    "purges",
    "abandoned",
    "erasures",
    "policies",
];

impl Model {
    async fn new(seed: u64) -> Self {
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
            // A release that failed may be written all the same.
            (Op::Release(name) | Op::EndKeep(name), _) => {
                self.released.insert(name.clone());
                self.holds
                    .iter_mut()
                    .filter(|hold| hold.name == *name)
                    .for_each(|hold| hold.released = true);
            }
            _ => {}
        }
        if let Done::Failed(problem) = done {
            self.log.push(format!("  failed: {problem}"));
        }
    }

    async fn come_to_rest(&mut self) {
        let healthy = process(&self.inner).await;
        recover::all(&healthy.ledger, &healthy.by).await.unwrap();
        self.rest = check::all(
            &healthy,
            &self.made,
            &self.rest,
            &mut self.holds,
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
        self.come_to_rest().await;
    }

    async fn step(&mut self) {
        match self.pick(10) {
            0..=3 => self.healthy_step().await,
            4..=7 => {
                let healthy = process(&self.inner).await;
                let op = self.choose(&healthy).await;
                self.faulty(op).await;
                self.come_to_rest().await;
            }
            _ => {
                let healthy = process(&self.inner).await;
                let op = self.choose(&healthy).await;
                self.late(op).await;
                self.come_to_rest().await;
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

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .filter(|text| !text.is_empty())
        .map_or(default, |text| text.parse().unwrap())
}

async fn history(seed: u64) {
    let mut model = Box::pin(Model::new(seed)).await;
    for _ in 0..14 {
        let step = Box::pin(model.step());
        let caught = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(step)).await;
        if let Err(panic) = caught {
            eprintln!("seed {seed}:\n{}", model.log.join("\n"));
            std::panic::resume_unwind(panic);
        }
    }
    let state = process(&model.inner).await.ledger.state();
    let abandoned = state
        .intents
        .values()
        .filter(|intent| matches!(intent.end, Some(IntentEnd::Abandoned(_))));
    let counts = [
        state.holds.len(),
        state
            .dispositions
            .values()
            .filter(|run| run.outcome.is_some())
            .count(),
        state
            .restores
            .values()
            .filter(|restore| restore.outcome.is_some())
            .count(),
        state
            .purges
            .values()
            .filter(|purge| purge.outcome.is_some())
            .count(),
        abandoned.count(),
        state
            .erasures
            .values()
            .map(|erasure| erasure.outcomes.len())
            .sum(),
        state.policies.len() - 1,
    ];
    for (total, count) in HAPPENED.iter().zip(counts) {
        total.fetch_add(count as u64, Ordering::SeqCst);
    }
}

#[test]
fn ho1_le1_random_histories_keep_what_holds_cover_and_account_for_the_rest() {
    let (first, seeds) = (number("HOLDFAST_SEED", 1), number("HOLDFAST_SEEDS", 150));
    let next = AtomicU64::new(first);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap();
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= first + seeds {
                        return;
                    }
                    runtime.block_on(Box::pin(history(seed)));
                }
            });
        }
    });
    for (what, count) in WHAT.iter().zip(&HAPPENED) {
        let count = count.load(Ordering::SeqCst);
        eprintln!("{what}: {count}");
        assert!(count > 0 || seeds < 20, "no {what} in {seeds} histories");
    }
}
