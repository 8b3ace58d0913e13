//! Leases in the table: one holder at a time, fenced by a number that only grows.

use std::time::Duration;

use crate::archive::Archive;
use crate::error::ArchiveError;

/// A lease that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its name, `compactor` for one.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// Until when, milliseconds since 1970.
    pub until_ms: i64,
    /// Grows with every change of hands.
    pub fencing: u64,
}

/// Answer to asking for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is ours.
    Ours(Lease),
    /// Somebody else has it.
    Theirs(Lease),
}

/// Takes or renews a lease.
///
/// # Errors
/// The store's errors, or an outcome that could not be learnt.
#[allow(clippy::unused_async)]
pub async fn take(
    _archive: &Archive,
    _name: &str,
    _holder: &str,
    _duration: Duration,
    _now_ms: i64,
) -> Result<Taken, ArchiveError> {
    todo!()
}

/// Gives a lease back, if it still is ours.
///
/// # Errors
/// The store's errors.
#[allow(clippy::unused_async)]
pub async fn release(_archive: &Archive, _lease: &Lease) -> Result<(), ArchiveError> {
    todo!()
}
