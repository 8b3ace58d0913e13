//! Retention policies: what they say of a family, and which of them wins.

mod change;
mod decide;
mod lock;
mod precedence;
mod rule;

pub use change::{judge_lock, judge_remove, judge_set};
pub use decide::{Decision, Facts, Part, Step, Verdict, decide};
pub use lock::{LockError, may_replace};
pub use precedence::{Cutoffs, NEVER};
pub(crate) use rule::folded;
pub use rule::{DEFAULT, Mask, POLICIES_MAX, Rule, RuleError, Scope, Weight, rule_covers};
