//! What is to be committed, and the actions that make it on a given state.

use std::sync::Arc;

use object_store::ObjectStoreExt;
use roaring::RoaringTreemap;
use uuid::Uuid;

use crate::LEDGER_APP_ID;
use crate::clock::new_ulid;
use crate::commit::{Advance, AdvanceOnly, Append, CommitKind, Counts, Disposal, Replace};
use crate::error::ArchiveError;
use crate::log::state::State;
use crate::origins::{self, Written};
use crate::segment::NewSegment;
use crate::shared::Shared;
use crate::table::{Actions, CommitInfo};

/// A commit to be made.
#[derive(Debug)]
pub(crate) enum Plan {
    Append(Append),
    Replace(Replace),
    Dispose(Disposal),
    Advance(AdvanceOnly),
    Lease(LeaseChange),
}

/// A lease taken, renewed or given back.
#[derive(Debug, Clone)]
pub(crate) struct LeaseChange {
    pub(crate) commit_id: Uuid,
    pub(crate) name: String,
    pub(crate) holder: String,
    /// Zero or less: given back.
    pub(crate) until_ms: i64,
    pub(crate) now_ms: i64,
}

impl Plan {
    pub(crate) fn commit_id(&self) -> Uuid {
        match self {
            Self::Append(plan) => plan.commit_id,
            Self::Replace(plan) => plan.commit_id,
            Self::Dispose(plan) => plan.commit_id,
            Self::Advance(plan) => plan.commit_id,
            Self::Lease(plan) => plan.commit_id,
        }
    }

    pub(crate) fn kind(&self) -> CommitKind {
        match self {
            Self::Append(plan) => plan.kind,
            Self::Replace(plan) => plan.kind,
            Self::Dispose(plan) => plan.kind,
            Self::Advance(plan) => plan.kind,
            Self::Lease(_) => CommitKind::Lease,
        }
    }

    pub(crate) fn positions(&self) -> &[Advance] {
        match self {
            Self::Append(plan) => &plan.positions,
            Self::Advance(plan) => &plan.positions,
            Self::Replace(_) | Self::Dispose(_) | Self::Lease(_) => &[],
        }
    }

    pub(crate) fn adds(&self) -> &[NewSegment] {
        match self {
            Self::Append(plan) => &plan.segments,
            Self::Replace(plan) => &plan.segments,
            Self::Dispose(plan) => &plan.segments,
            Self::Advance(_) | Self::Lease(_) => &[],
        }
    }

    fn counts(&self) -> Counts {
        match self {
            Self::Append(plan) => plan.counts,
            Self::Replace(plan) => plan.counts,
            Self::Advance(plan) => plan.counts,
            Self::Dispose(_) | Self::Lease(_) => Counts::default(),
        }
    }

    fn merkle_root(&self) -> Option<[u8; 32]> {
        match self {
            Self::Append(plan) => Some(plan.merkle_root),
            Self::Replace(plan) => Some(plan.merkle_root),
            Self::Dispose(plan) => Some(plan.merkle_root),
            Self::Advance(_) | Self::Lease(_) => None,
        }
    }

    /// The actions that commit this plan after `state`, and the origins' sets in them. The sets' objects are put.
    pub(crate) async fn actions(
        &self,
        shared: &Shared,
        state: &State,
    ) -> Result<(Actions, Vec<Written>), ArchiveError> {
        let mut domains = Vec::new();
        let mut removes = Vec::new();
        let mut sets = Vec::new();
        let mut undone = Vec::new();
        let mut txns: Vec<(String, i64)> = self
            .positions()
            .iter()
            .map(|advance| (advance.app_id.clone(), advance.to))
            .collect();
        match self {
            Self::Append(plan) => {
                for (origin, new) in &plan.archived {
                    let written = merge(shared, state, origin, new).await?;
                    domains.push((written.domain.clone(), written.configuration.clone()));
                    sets.push(written);
                }
            }
            Self::Replace(plan) => removes = live(&plan.inputs, state),
            Self::Dispose(plan) => {
                removes = live(&plan.inputs, state);
                for change in &plan.kept {
                    match crate::kept::domain(change)? {
                        (domain, Some(text)) => domains.push((domain, text)),
                        (domain, None) => undone.push(domain),
                    }
                }
                txns.extend(plan.fence.map(|to| (LEDGER_APP_ID.to_owned(), to)));
            }
            Self::Advance(_) => {}
            Self::Lease(change) => domains.push(crate::lease::domain(change, state)?),
        }
        let info = CommitInfo {
            commit_id: self.commit_id(),
            kind: self.kind(),
            counts: self.counts(),
            merkle_root: self.merkle_root(),
            previous_commit_sha256: previous(shared, state).await?,
        };
        Ok((
            Actions {
                info,
                adds: self.adds().to_vec(),
                removes,
                txns,
                domains,
                undone,
            },
            sets,
        ))
    }
}

fn live(paths: &[String], state: &State) -> Vec<Arc<crate::segment::Segment>> {
    let live = paths.iter().filter_map(|path| state.live.get(path));
    live.map(Arc::clone).collect()
}

/// The origin's set with the new sequences; its object is put when it needs one.
async fn merge(
    shared: &Shared,
    state: &State,
    origin: &str,
    new: &RoaringTreemap,
) -> Result<Written, ArchiveError> {
    let merged = match state.origins.get(origin) {
        Some(entry) => &*entry.set(origin, &shared.store).await? | new,
        None => new.clone(),
    };
    let id = new_ulid(state.naming_ms(shared.environment.now_ms()));
    let written = origins::write(origin, merged, id)?;
    if let Some((path, bytes)) = &written.object {
        shared
            .store
            .put(path, bytes.clone().into())
            .await
            .map_err(|source| ArchiveError::Store {
                operation: "write",
                path: path.to_string(),
                source,
            })?;
    }
    Ok(written)
}

/// SHA-256 of the entry before: links the commits into a chain. A state read from a checkpoint has not seen it yet.
async fn previous(shared: &Shared, state: &State) -> Result<Option<[u8; 32]>, ArchiveError> {
    match state.sha256 {
        Some(sha256) => Ok(Some(sha256)),
        None => Ok(shared
            .reader
            .entry(state.version)
            .await?
            .map(|entry| entry.sha256)),
    }
}
