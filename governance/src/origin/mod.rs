//! Origins that should be speaking, and those that will not again.

use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::origin::{OriginExpect, OriginRetire};

use crate::ledger::{Judged, Refusal, State};

/// Judges `origin expect`.
///
/// # Errors
/// The name cannot be one.
pub fn judge_expect(state: &State, expect: &OriginExpect) -> Result<Judged, Refusal> {
    crate::names::check("an origin", &expect.origin)?;
    match state.origins.get(&expect.origin) {
        Some(known) if known.retired.is_none() => match &known.expected {
            Some(mark) => Ok(Judged::Done(mark.seq)),
            None => Ok(Judged::Write(Act::OriginExpect(expect.clone()))),
        },
        Some(_) | None => Ok(Judged::Write(Act::OriginExpect(expect.clone()))),
    }
}

/// Judges `origin retire`; one that was never expected, but spoke, may be retired as well.
///
/// # Errors
/// The name cannot be one.
pub fn judge_retire(state: &State, retire: &OriginRetire) -> Result<Judged, Refusal> {
    crate::names::check("an origin", &retire.origin)?;
    match state
        .origins
        .get(&retire.origin)
        .and_then(|o| o.retired.as_ref())
    {
        Some(mark) => Ok(Judged::Done(mark.seq)),
        None => Ok(Judged::Write(Act::OriginRetire(retire.clone()))),
    }
}

/// Origins that are retired, in order.
pub fn retired(state: &State) -> impl Iterator<Item = &str> {
    let retired = state
        .origins
        .iter()
        .filter(|(_, origin)| origin.retired.is_some());
    retired.map(|(name, _)| name.as_str())
}

/// Origins that are expected and not retired, in order.
pub fn expected(state: &State) -> impl Iterator<Item = &str> {
    state
        .origins
        .iter()
        .filter(|(_, origin)| origin.expected.is_some() && origin.retired.is_none())
        .map(|(name, _)| name.as_str())
}
