//! Running a plan: a subset of it goes, in one commit that requires the ledger as it was (HO-1).
//!
//! Every attempt takes a snapshot, then the ledger's state: a hold that was fenced before the snapshot is in the state, and
//! one that is fenced after it makes the commit fail. Then what the hold caught drops out, and the rest is tried anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_archive::{
    Archive, Conflict, Disposal, KeptChange, LEDGER_APP_ID, LedgerIs, Snapshot,
};
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::disposition::{Authority, DispositionOutcome};
use roaring::RoaringTreemap;
use ulid::Ulid;
use uuid::Uuid;

use super::build::build;
use super::certificate::{Certificate, NOT_COVERED, RuleRows};
use super::kept::Out;
use super::outcome::{outcome, settled};
use super::plan_file::{self, PlanFile};
use super::purpose::{Purpose, find_plan};
use super::{DispositionError, recheck, recover};
use crate::actor::By;
use crate::hold::Hold;
use crate::ledger::intent::commit_id;
use crate::ledger::{Appended, Context, Ledger, State};
use crate::plan::{Basis, Current, Plan, Tally};

/// Attempts that newer events, holds or rewrites may cost before a run gives up.
const ATTEMPTS_MAX: u32 = 64;

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport {
    /// The run's id.
    pub run: String,
    /// What the ledger says of it; nothing when nothing was left to remove.
    pub outcome: Option<DispositionOutcome>,
    /// The numbers of what went, and why the rest of the plan stayed.
    pub tally: Tally,
    /// Attempts that were made.
    pub attempts: u32,
}

/// Runs a saved plan.
///
/// # Errors
/// The plan is not there, is not approved, or ran already; the archive or the ledger cannot be read or written; our
/// clock and the store's disagree.
pub async fn run(
    ledger: &Ledger,
    by: &By,
    plan: &str,
    authority: Authority,
) -> Result<RunReport, DispositionError> {
    recover::all(ledger, by).await?;
    let archive = ledger.archive();
    let state = ledger.refresh().await?;
    let saved = find_plan(&state, plan)?;
    let file = PlanFile::of(archive, &saved).await?;
    let purpose = Purpose::Plan {
        plan: plan.to_owned(),
        authority,
        policies: saved.policies.clone(),
    };
    start(ledger, by, purpose, Some(file)).await
}

/// Intent, then as many attempts as it takes. `planned`: what may go at most, for a plan.
pub(crate) async fn start(
    ledger: &Ledger,
    by: &By,
    purpose: Purpose,
    planned: Option<PlanFile>,
) -> Result<RunReport, DispositionError> {
    // There must be a position to require: without any, a first fence could slip past.
    let base = ledger.fence(ledger.state().head.seq.max(1)).await?;
    let run = Ulid::from_parts(
        u64::try_from(ledger.now_us() / 1000).unwrap_or(0),
        rand::random(),
    )
    .to_string();
    let fence = base.position(LEDGER_APP_ID).await?;
    let fence = fence.and_then(|fence| u64::try_from(fence).ok());
    let judged = |state: &State| purpose.judge(state, &run, base.version(), fence);
    let appended = ledger
        .append_or_request(by, Context::default(), judged)
        .await?;
    let now_us = ledger.guard_clock(&appended).await?;
    let run = Run {
        ledger,
        by,
        approver: purpose.approver(&appended.state),
        run: run.clone(),
        purpose: &purpose,
        appended,
        now_us,
        planned,
    };
    run.attempts().await
}

/// A run on its way.
struct Run<'a> {
    ledger: &'a Ledger,
    by: &'a By,
    run: String,
    purpose: &'a Purpose,
    appended: Appended,
    approver: Option<String>,
    now_us: i64,
    planned: Option<PlanFile>,
}

/// What an attempt is to carry out.
struct Decided {
    plan: Plan,
    /// Row ids of the plan's rows.
    rows: RoaringTreemap,
    policies: BTreeMap<String, u64>,
    /// Whether a hold that was judged by has custodians.
    custodians: bool,
}

/// What one attempt comes to.
enum Attempt {
    Done(DispositionOutcome, Tally),
    Nothing(Tally),
    Again(Conflict),
}

impl Run<'_> {
    async fn attempts(&self) -> Result<RunReport, DispositionError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.attempt().await? {
                Attempt::Done(outcome, tally) => {
                    let act = self.outcome_act(&outcome, &tally);
                    recover::ended(self.ledger, self.by, &self.run, act).await?;
                    return Ok(self.report(Some(outcome), tally, attempts));
                }
                Attempt::Nothing(tally) => {
                    let reason = "nothing of the plan is left to remove";
                    recover::abandon(self.ledger, self.by, &self.run, reason).await?;
                    return Ok(self.report(None, tally, attempts));
                }
                Attempt::Again(conflict) if attempts >= ATTEMPTS_MAX => {
                    let reason = format!("given up after {attempts} attempts: {conflict}");
                    recover::abandon(self.ledger, self.by, &self.run, &reason).await?;
                    return Err(DispositionError::Refused(conflict));
                }
                Attempt::Again(conflict) => {
                    tracing::info!(run = self.run, %conflict, "planning anew");
                }
            }
        }
    }

    fn report(
        &self,
        outcome: Option<DispositionOutcome>,
        tally: Tally,
        attempts: u32,
    ) -> RunReport {
        RunReport {
            run: self.run.clone(),
            outcome,
            tally,
            attempts,
        }
    }

    /// The numbers that are kept for ever: of an erasure nothing that says where or when.
    fn certified(&self, tally: &Tally) -> Tally {
        match self.purpose {
            Purpose::Plan { .. } => tally.clone(),
            Purpose::Erasure { .. } => Tally {
                goes: Vec::new(),
                ..tally.clone()
            },
        }
    }

    /// Which policy removes which rows; of an erasure nothing.
    async fn rules(
        &self,
        archive: &Archive,
        plan: &Plan,
        versions: &BTreeMap<String, u64>,
        rows: &RoaringTreemap,
    ) -> Result<Vec<RuleRows>, DispositionError> {
        if let Purpose::Erasure { .. } = self.purpose {
            return Ok(Vec::new());
        }
        let by = plan_file::row_ids_by_policy(archive, &plan.segments, rows).await?;
        let rules = by.into_iter().map(|(policy, rows)| RuleRows {
            version: versions.get(&policy).copied().unwrap_or_default(),
            policy,
            rows,
        });
        Ok(rules.collect())
    }

    /// What the ledger is told.
    fn outcome_act(&self, outcome: &DispositionOutcome, tally: &Tally) -> Act {
        match self.purpose {
            Purpose::Plan { .. } => Act::DispositionOutcome(outcome.clone()),
            Purpose::Erasure { request } => {
                crate::erasure::outcome_act(request, outcome, tally.stayed())
            }
        }
    }

    /// What is in force now. What custodians turned out to have seen is written down.
    async fn current(
        &self,
        snapshot: &Snapshot,
        state: &State,
    ) -> Result<Current, DispositionError> {
        let archive = self.ledger.archive();
        let current = crate::plan::current(archive, snapshot, state, self.now_us).await?;
        for expand in &current.grown {
            self.ledger
                .append_act(self.by, None, Act::HoldExpand(expand.clone()))
                .await?;
        }
        Ok(current)
    }

    /// What is judged by: a plan's rows and the policies, or the policies that retain and the request.
    async fn basis(
        &self,
        snapshot: &Snapshot,
        state: &State,
        current: Current,
    ) -> Result<Basis, DispositionError> {
        match self.purpose {
            Purpose::Plan { .. } => Ok(Basis {
                only: self.planned.as_ref().map(|file| file.rows.clone()),
                ..current.basis
            }),
            Purpose::Erasure { request } => {
                let known = state.erasures.get(request).map(|known| &known.request);
                let known = known.ok_or_else(|| DispositionError::Superseded {
                    what: request.clone(),
                })?;
                let archive = self.ledger.archive();
                Ok(crate::erasure::basis(archive, snapshot, state, self.now_us, known).await?)
            }
        }
    }

    async fn attempt(&self) -> Result<Attempt, DispositionError> {
        let archive = self.ledger.archive();
        let snapshot = archive.snapshot().await?;
        let state = self.ledger.refresh().await?;
        // Somebody who took this process for dead ended its intent. Their fence stops the commit of this attempt, not
        // that of the next one.
        if state
            .intents
            .get(&self.run)
            .is_none_or(|intent| intent.end.is_some())
        {
            return Err(DispositionError::Superseded {
                what: self.run.clone(),
            });
        }
        let current = self.current(&snapshot, &state).await?;
        let custodians = current.basis.holds.iter().any(Hold::has_custodians);
        if let Some(file) = &self.planned
            && let Some(plan) =
                recheck::unaltered(archive, &snapshot, &state, &current, file).await?
            && !plan.segments.is_empty()
        {
            let decided = Decided {
                rows: file.rows.clone(),
                policies: plan_file::versions(&current.basis),
                plan,
                custodians,
            };
            return self.commit(archive, &snapshot, decided).await;
        }
        let basis = Arc::new(self.basis(&snapshot, &state, current).await?);
        let plan = crate::plan::make(archive, &snapshot, &basis).await?;
        if plan.segments.is_empty() {
            return Ok(Attempt::Nothing(plan.tally));
        }
        let decided = Decided {
            rows: plan_file::row_ids(archive, &plan.segments).await?,
            policies: plan_file::versions(&basis),
            plan,
            custodians,
        };
        self.commit(archive, &snapshot, decided).await
    }

    /// Certificate, files, commit.
    async fn commit(
        &self,
        archive: &Archive,
        snapshot: &Snapshot,
        decided: Decided,
    ) -> Result<Attempt, DispositionError> {
        let Decided {
            plan,
            rows,
            policies,
            custodians,
        } = decided;
        let fence = snapshot.position(LEDGER_APP_ID).await?;
        // Files name a commit in their footer; the certificate names the files: the commit's own id comes last.
        let files_id = Uuid::new_v4();
        let built = build(archive, snapshot, &plan, files_id).await?;
        let rules = self.rules(archive, &plan, &policies, &rows).await?;
        let certificate = Certificate {
            run: self.run.clone(),
            of: self.purpose.of().to_owned(),
            now_us: self.now_us,
            table_version: snapshot.version(),
            ledger_fence: fence,
            policies,
            approver: self.approver.clone(),
            segments: built.lines,
            tally: self.certified(&plan.tally),
            rules,
            rows: rows.clone(),
            not_covered: NOT_COVERED.iter().map(|text| (*text).to_owned()).collect(),
        };
        let (path, sha256) = certificate.put(archive).await?;
        let out = Out {
            run: self.run.clone(),
            segments: plan
                .segments
                .iter()
                .map(|one| (&*one.segment).into())
                .collect(),
            rows,
        };
        let kept = out.put(archive).await?;
        let disposal = Disposal {
            commit_id: commit_id(&self.appended.hash, &sha256),
            kind: self.purpose.kind(),
            inputs: plan
                .segments
                .iter()
                .map(|one| one.segment.path.clone())
                .collect(),
            segments: built.segments,
            ledger: LedgerIs::Exactly(fence),
            fence: None,
            kept: vec![KeptChange {
                name: self.run.clone(),
                from: None,
                to: Some(kept),
            }],
            recheck: Some(recheck::recheck(archive, &plan, custodians)),
            merkle_root: built.root,
        };
        let committed = match settled(
            archive,
            archive.dispose(snapshot, disposal).await?,
            &self.run,
        )
        .await?
        {
            Ok(snapshot) => snapshot,
            Err(conflict) => return Ok(Attempt::Again(conflict)),
        };
        let outcome = outcome(
            &certificate,
            path,
            sha256,
            committed.version(),
            self.ledger.now_us(),
        );
        Ok(Attempt::Done(outcome, plan.tally))
    }
}
