//! The loop around one commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::backoff;
use crate::commit::slot::{Settled, is_emptied, settle_slot};
use crate::commit::{Outcome, Plan, Uncertain, check};
use crate::error::ArchiveError;
use crate::log::action::parse_entry;
use crate::log::paths;
use crate::log::reader::task;
use crate::log::state::State;
use crate::maintain;
use crate::origins::{self, Written};
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::table::{Attempt, Put};

const WAIT_FIRST: Duration = Duration::from_millis(2);
const WAIT_MOST: Duration = Duration::from_millis(250);
/// A put on a state seen within this time cannot have met a slot that log cleaning emptied: entries stay for a day.
const TRUST_MS: i64 = 60_000;

/// A commit on its way: what is needed to go on with it.
#[derive(Debug)]
pub(crate) struct Progress {
    plan: Plan,
    /// Version up to which a rewrite's decisions are known to hold.
    checked: u64,
    /// The state that `pending` was built on.
    state: Arc<State>,
    /// An attempt whose put is not certain.
    pending: Option<(Attempt, Vec<Written>)>,
}

/// Commits a plan that was made on `base`.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    base: &Snapshot,
    plan: Plan,
) -> Result<Outcome, ArchiveError> {
    check::validate(&plan)?;
    let latest = shared.latest();
    let state = if latest.version >= base.version() {
        latest
    } else {
        Arc::clone(&base.state)
    };
    let progress = Progress {
        plan,
        checked: base.version(),
        state,
        pending: None,
    };
    Box::pin(go_on(shared, progress)).await
}

/// Goes on with a commit whose outcome is unknown.
pub(crate) async fn resume(
    shared: &Arc<Shared>,
    uncertain: Uncertain,
) -> Result<Outcome, ArchiveError> {
    Box::pin(go_on(shared, *uncertain.progress)).await
}

async fn go_on(shared: &Arc<Shared>, mut progress: Progress) -> Result<Outcome, ArchiveError> {
    // One at a time per process: its own commits would only collide with each other.
    let turn = shared.committing.lock().await;
    let start = Instant::now();
    let mut tries = 0;
    loop {
        let resumed = progress.pending.is_some();
        let (attempt, sets) = match progress.pending.take() {
            Some(pending) => pending,
            None => match attempt(shared, &mut progress).await? {
                Attempted::Conflict(conflict) => return Ok(Outcome::Conflicted(conflict)),
                Attempted::Put(attempt, sets) => (attempt, sets),
            },
        };
        let left = shared.commit_time_max.saturating_sub(start.elapsed());
        match settle(shared, &progress.state, &attempt, resumed, left).await? {
            Taken::Ours { seen_ms } => {
                let state = committed(shared, &progress.state, attempt, &sets, seen_ms).await?;
                drop(turn);
                maintain::after_commit(shared, &state);
                return Ok(Outcome::Committed(Snapshot::new(shared, state)));
            }
            Taken::Theirs => {
                tries += 1;
                if start.elapsed() >= shared.commit_time_max {
                    return Err(ArchiveError::Busy {
                        attempts: tries,
                        seconds: shared.commit_time_max.as_secs(),
                    });
                }
                let random = shared.environment.random();
                tokio::time::sleep(backoff(tries, WAIT_FIRST, WAIT_MOST, random)).await;
                progress.state = shared.refresh().await?;
            }
            Taken::Emptied => {
                tracing::warn!(
                    version = attempt.version,
                    "the log went on without this process; it is read anew"
                );
                // The checks on the new state decide: a position that moved meanwhile is a conflict.
                progress.state = match shared.reopen().await {
                    Ok(state) => state,
                    // An earlier put of the same bytes may have committed it.
                    Err(error) => return Ok(unknown(progress, attempt, sets, error.to_string())),
                };
            }
            Taken::Unknown(reason) => return Ok(unknown(progress, attempt, sets, reason)),
        }
    }
}

/// What became of a put, in a log that may have gone on and been cleaned while this process slept.
enum Taken {
    /// `seen_ms`: when the log was known to end there.
    Ours {
        seen_ms: i64,
    },
    Theirs,
    /// The slot lies below what is kept of the log: nobody reads what is in it, and a put into it commits nothing.
    Emptied,
    Unknown(String),
}

async fn settle(
    shared: &Arc<Shared>,
    state: &State,
    attempt: &Attempt,
    resumed: bool,
    left: Duration,
) -> Result<Taken, ArchiveError> {
    // Put again it would only be garbage.
    if resumed {
        match is_emptied(&shared.reader, state, attempt.version).await {
            Ok(false) => {}
            Ok(true) => return Ok(Taken::Emptied),
            Err(error) => return Ok(Taken::Unknown(error.to_string())),
        }
    }
    let local = shared.local.as_deref();
    match settle_slot(&shared.store, local, &shared.environment, attempt, left).await? {
        Settled::Ours => {}
        Settled::Theirs => return Ok(Taken::Theirs),
        Settled::Unknown(reason) => return Ok(Taken::Unknown(reason)),
    }
    // Taken before the look: the process may sleep after it.
    let seen_ms = shared.environment.now_ms();
    if seen_ms.saturating_sub(state.seen_ms) <= TRUST_MS {
        return Ok(Taken::Ours { seen_ms });
    }
    match is_emptied(&shared.reader, state, attempt.version).await {
        Ok(false) => Ok(Taken::Ours { seen_ms }),
        Ok(true) => Ok(Taken::Emptied),
        // The entry may well be in the log: not an error, which would mean that it is not.
        Err(error) => Ok(Taken::Unknown(error.to_string())),
    }
}

fn unknown(
    mut progress: Progress,
    attempt: Attempt,
    sets: Vec<Written>,
    reason: String,
) -> Outcome {
    let commit_id = progress.plan.commit_id();
    let version = attempt.version;
    progress.pending = Some((
        Attempt {
            put: Put::Failed {
                problem: reason.clone(),
                permanent: false,
            },
            ..attempt
        },
        sets,
    ));
    Outcome::Unknown(Uncertain {
        commit_id,
        version,
        reason,
        progress: Box::new(progress),
    })
}

enum Attempted {
    Conflict(crate::commit::Conflict),
    Put(Attempt, Vec<Written>),
}

/// Checks the plan on the state, builds the entry and puts it.
async fn attempt(shared: &Arc<Shared>, progress: &mut Progress) -> Result<Attempted, ArchiveError> {
    // A process that slept may find its slot empty because the log's entries of back then were removed.
    if shared.reader.is_stale(&progress.state) {
        progress.state = shared.refresh().await?;
    }
    let (plan, checked) = (&progress.plan, progress.checked);
    let conflict = match check::conflict(shared, plan, checked, &progress.state).await {
        // Garbage collection took the set: a newer version names another one.
        Err(error) if origins::is_gone(&error) => {
            let known = progress.state.version;
            progress.state = shared.refresh().await?;
            if progress.state.version == known {
                return Err(error);
            }
            check::conflict(shared, plan, checked, &progress.state).await?
        }
        checked => checked?,
    };
    if let Some(conflict) = conflict {
        return Ok(Attempted::Conflict(conflict));
    }
    let state = Arc::clone(&progress.state);
    progress.checked = progress.checked.max(state.version);
    let (actions, sets) = progress.plan.actions(shared, &state).await?;
    let kernel = shared.kernel.clone();
    let built = tokio::task::spawn_blocking(move || kernel.attempt(&state, &actions)).await;
    let attempt = built.map_err(|e| task("build a commit", &e))??;
    Ok(Attempted::Put(attempt, sets))
}

/// The state after our own entry, which needs no reading.
async fn committed(
    shared: &Arc<Shared>,
    before: &Arc<State>,
    attempt: Attempt,
    sets: &[Written],
    seen_ms: i64,
) -> Result<Arc<State>, ArchiveError> {
    let path = paths::entry(attempt.version);
    let entry = parse_entry(attempt.version, path.as_ref(), &attempt.bytes)?;
    let mut state = before.next(entry, seen_ms)?;
    for written in sets {
        let origin = written.domain.strip_prefix(crate::origins::DOMAIN_PREFIX);
        if let Some(entry) = origin.and_then(|origin| state.origins.get(origin)) {
            entry.remember(written);
        }
    }
    if let Some(snapshot) = attempt.snapshot {
        state.kernel = Arc::new(std::sync::OnceLock::from(snapshot));
    }
    Ok(shared.publish(&Arc::new(state)))
}
