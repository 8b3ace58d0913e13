//! The loop around one commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::backoff;
use crate::commit::slot::{Settled, settle_slot};
use crate::commit::{Outcome, Plan, Uncertain, check};
use crate::error::ArchiveError;
use crate::log::action::parse_entry;
use crate::log::paths;
use crate::log::reader::task;
use crate::log::state::State;
use crate::maintain;
use crate::origins::Written;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::table::{Attempt, Put};

const WAIT_FIRST: Duration = Duration::from_millis(2);
const WAIT_MOST: Duration = Duration::from_millis(250);

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
        let (attempt, sets) = match progress.pending.take() {
            Some(pending) => pending,
            None => match attempt(shared, &mut progress).await? {
                Attempted::Conflict(conflict) => return Ok(Outcome::Conflicted(conflict)),
                Attempted::Put(attempt, sets) => (attempt, sets),
            },
        };
        let left = shared.commit_time_max.saturating_sub(start.elapsed());
        match settle_slot(&shared.store, &shared.environment, &attempt, left).await? {
            Settled::Ours => {
                let state = committed(shared, &progress.state, attempt, &sets).await?;
                drop(turn);
                maintain::after_commit(shared, &state);
                return Ok(Outcome::Committed(Snapshot::new(shared, state)));
            }
            Settled::Theirs => {
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
            Settled::Unknown(reason) => {
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
                return Ok(Outcome::Unknown(Uncertain {
                    commit_id,
                    version,
                    reason,
                    progress: Box::new(progress),
                }));
            }
        }
    }
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
    let state = Arc::clone(&progress.state);
    if let Some(conflict) =
        check::conflict(shared, &progress.plan, progress.checked, &state).await?
    {
        return Ok(Attempted::Conflict(conflict));
    }
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
) -> Result<Arc<State>, ArchiveError> {
    let path = paths::entry(attempt.version);
    let entry = parse_entry(attempt.version, path.as_ref(), &attempt.bytes)?;
    let mut state = before.next(entry, shared.environment.now_ms())?;
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
