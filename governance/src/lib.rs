//! Governance of an archive: the ledger, and what is judged by it.
//!
//! Every act is an entry of the [`ledger`] before its effect or result is visible; the [`ledger::State`] is a fold over
//! the entries; decisions are pure functions of that state.

pub mod actor;
pub mod anchor;
pub mod approval;
pub mod clock;
pub mod config;
pub mod disposition;
pub mod erasure;
pub mod explain;
pub mod family;
pub mod hold;
pub mod ledger;
pub mod matter;
pub mod names;
pub mod origin;
pub mod period;
pub mod person;
pub mod plan;
pub mod policy;
pub mod purge;
pub mod restore;
pub mod schedule;
pub mod scope;
