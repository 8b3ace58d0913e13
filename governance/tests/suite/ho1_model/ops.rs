//! What processes of the model are asked to do.

use std::time::Duration;

use holdfast_archive::gc::{self, GcOptions};
use holdfast_governance::disposition::{plan_file, run};
use holdfast_governance::ledger::{Context, State};
use holdfast_governance::{erasure, hold, policy, purge, restore};
use holdfast_indexer::maintenance::policy::Policy;
use holdfast_indexer::maintenance::{CompactOptions, compact};
use holdfast_schemas::ledger::disposition::Authority;
use holdfast_schemas::ledger::erasure::{ErasureRequest, ErasureSubject};
use holdfast_schemas::ledger::hold::{Custodian, HoldPlace, HoldRelease, HoldScope, RoomRef};
use holdfast_schemas::ledger::person::{Identity, IdentityKind};
use holdfast_schemas::ledger::policy::{PolicyAction, PolicyRemove, PolicyScope, PolicySet};

use crate::model::check::{self, Of};
use crate::model::events::{self, Made};
use crate::model::world::Process;

/// What a process is asked to do.
#[derive(Debug, Clone)]
pub(super) enum Op {
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

/// Does it, and says what went wrong.
pub(super) async fn carry_out(process: &Process, op: &Op) -> Result<(), String> {
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
