//! Every act that the ledger knows, with its parameters.

use serde_json::Value;

use super::{RecordError, actor, anchor, approval, config, disposition, erasure, hold, matter};
use super::{origin, person, plan, policy, purge, reading, shape};

/// Declares the acts: variant, parameters, name in the ledger. Names never change their meaning.
macro_rules! acts {
    ($($(#[$doc:meta])* $variant:ident($params:ty) = $name:literal,)+) => {
        /// One act. A new one needs a line here, its parameters' type, and its place in the fold.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Act {
            $($(#[$doc])* $variant($params),)+
            /// An act of a newer version: kept, folds to nothing, reported.
            Unknown {
                /// Its name.
                action: String,
                /// Its parameters.
                params: Value,
            },
        }

        impl Act {
            /// Names of all acts of this version.
            pub const ACTIONS: &'static [&'static str] = &[$($name),+];

            /// Its name in the ledger.
            #[must_use]
            pub fn action(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $name,)+
                    Self::Unknown { action, .. } => action,
                }
            }

            /// Its parameters as JSON.
            ///
            /// # Errors
            /// Never for what Rust can hold.
            pub fn params(&self) -> Result<Value, RecordError> {
                match self {
                    $(Self::$variant(params) => serde_json::to_value(params).map_err(|e| shape($name, &e)),)+
                    Self::Unknown { params, .. } => Ok(params.clone()),
                }
            }

            /// The act of a name and parameters.
            ///
            /// # Errors
            /// A known act whose parameters cannot be read: passing over a hold would be worse than stopping.
            pub fn from_parts(action: &str, params: Value) -> Result<Self, RecordError> {
                match action {
                    $($name => serde_json::from_value(params).map(Self::$variant).map_err(|e| shape($name, &e)),)+
                    _ => Ok(Self::Unknown { action: action.to_owned(), params }),
                }
            }
        }
    };
}

acts! {
    /// A setting of the archive.
    ConfigSet(config::ConfigSet) = "config.set",
    /// An actor with a key and roles.
    ActorAdd(actor::ActorAdd) = "actor.add",
    /// An actor may do nothing from now on.
    ActorDisable(actor::ActorDisable) = "actor.disable",
    /// Something waits for a second pair of eyes.
    ApprovalRequest(approval::ApprovalRequest) = "approval.request",
    /// The second pair of eyes agreed.
    ApprovalGive(approval::ApprovalGive) = "approval.give",
    /// A matter begins.
    MatterOpen(matter::MatterOpen) = "matter.open",
    /// A matter ends.
    MatterClose(matter::MatterClose) = "matter.close",
    /// A person with identities.
    PersonAdd(person::PersonAdd) = "person.add",
    /// One more identity of a person.
    PersonLink(person::PersonLink) = "person.link",
    /// An origin that should be speaking.
    OriginExpect(origin::OriginExpect) = "origin.expect",
    /// An origin that will not speak again.
    OriginRetire(origin::OriginRetire) = "origin.retire",
    /// Events were searched or looked at.
    Search(reading::Search) = "search",
    /// Events were written out.
    Export(reading::Export) = "export",
    /// Something was verified.
    Verification(reading::Verification) = "verification",
    /// The head was put out of reach.
    Anchor(anchor::AnchorPut) = "anchor",
    /// An entry's words were removed.
    ParamsRemoved(reading::ParamsRemoved) = "params.removed",
    /// A hold begins.
    HoldPlace(hold::HoldPlace) = "hold.place",
    /// What a hold covers, as found at a disposition.
    HoldExpand(hold::HoldExpand) = "hold.expand",
    /// A hold ends, after its grace.
    HoldRelease(hold::HoldRelease) = "hold.release",
    /// A retention policy, or its next version.
    PolicySet(policy::PolicySet) = "policy.set",
    /// A retention policy ends.
    PolicyRemove(policy::PolicyRemove) = "policy.remove",
    /// A retention policy can only get longer from now on.
    PolicyLock(policy::PolicyLock) = "policy.lock",
    /// When retention runs by itself.
    ScheduleSet(policy::ScheduleSet) = "schedule.set",
    /// Retention no longer runs by itself.
    ScheduleRemove(policy::ScheduleRemove) = "schedule.remove",
    /// A scheduled run was started, or found nothing to do.
    ScheduleRan(policy::ScheduleRan) = "schedule.ran",
    /// A scheduled run failed.
    ScheduleFailed(policy::ScheduleFailed) = "schedule.failed",
    /// A plan of what goes.
    PlanSaved(plan::PlanSaved) = "plan.saved",
    /// Disposition, step 1: it is going to happen.
    DispositionIntent(disposition::DispositionIntent) = "disposition.intent",
    /// Disposition, step 3: it happened.
    DispositionOutcome(disposition::DispositionOutcome) = "disposition.outcome",
    /// Disposition that will not happen.
    DispositionAbandoned(disposition::Abandoned) = "disposition.abandoned",
    /// Purge, step 1.
    PurgeIntent(purge::PurgeIntent) = "purge.intent",
    /// Purge, step 3: the files are gone.
    PurgeOutcome(purge::PurgeOutcome) = "purge.outcome",
    /// Purge that will not happen.
    PurgeAbandoned(disposition::Abandoned) = "purge.abandoned",
    /// Restore out of the grace window, step 1.
    RestoreIntent(purge::RestoreIntent) = "restore.intent",
    /// Restore, step 3.
    RestoreOutcome(purge::RestoreOutcome) = "restore.outcome",
    /// Restore that will not happen.
    RestoreAbandoned(disposition::Abandoned) = "restore.abandoned",
    /// Somebody asks for erasure.
    ErasureRequest(erasure::ErasureRequest) = "erasure.request",
    /// Where an erasure request stands.
    ErasureJudged(erasure::ErasureJudged) = "erasure.judged",
    /// An erasure request is withdrawn or refused.
    ErasureClose(erasure::ErasureClose) = "erasure.close",
    /// Erasure, step 1.
    ErasureIntent(erasure::ErasureIntent) = "erasure.intent",
    /// Erasure, step 3.
    ErasureOutcome(erasure::ErasureOutcome) = "erasure.outcome",
    /// Erasure that will not happen now.
    ErasureAbandoned(disposition::Abandoned) = "erasure.abandoned",
}

impl Act {
    /// Acts whose parameters the fold does not need: opening a ledger does not read them.
    #[must_use]
    pub fn folds_without_params(action: &str) -> bool {
        matches!(action, "search" | "export")
    }

    /// The version of the table that it speaks of, if it speaks of one.
    #[must_use]
    pub fn table_version(&self) -> Option<u64> {
        self.params().ok()?.get("table_version")?.as_u64()
    }
}
