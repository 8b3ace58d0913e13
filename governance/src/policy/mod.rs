//! Retention policies: what they say of a family, and which of them wins.

mod decide;
mod lock;
mod precedence;
mod rule;

pub use decide::{Decision, Facts, Part, Step, Verdict, decide};
pub use lock::{LockError, may_replace};
pub use precedence::{Cutoffs, NEVER};
pub use rule::{DEFAULT, POLICIES_MAX, Mask, Rule, RuleError, Scope, Weight};
