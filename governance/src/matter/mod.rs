//! Matters: what searches, holds and exports are made for.

use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::matter::{MatterClose, MatterOpen};

use crate::ledger::{Judged, Refusal, State};

/// Whether a matter is there and open.
///
/// # Errors
/// It is not.
pub fn is_open(state: &State, name: &str) -> Result<(), Refusal> {
    match state.matters.get(name) {
        None => Err(Refusal::because(
            format!("there is no matter `{}`", name.escape_debug()),
            "open it with `holdfast matter open NAME`; `holdfast matter list` shows them",
        )),
        Some(matter) if matter.closed.is_some() => Err(Refusal::because(
            format!("matter `{name}` is closed"),
            "open another one: what was done for a closed matter is complete",
        )),
        Some(_) => Ok(()),
    }
}

/// Judges `matter open`.
///
/// # Errors
/// There was one of this name.
pub fn judge_open(state: &State, open: &MatterOpen) -> Result<Judged, Refusal> {
    crate::names::check("a matter", &open.name)?;
    match state.matters.get(&open.name) {
        None => Ok(Judged::Write(Act::MatterOpen(open.clone()))),
        Some(known) if known.closed.is_none() && known.title == open.title => {
            Ok(Judged::Done(known.opened.seq))
        }
        Some(_) => Err(Refusal::because(
            format!("there was a matter `{}` already", open.name),
            "choose another name: names are never used again",
        )),
    }
}

/// Judges `matter close`.
///
/// # Errors
/// There is none of this name, or holds of it still hold.
pub fn judge_close(state: &State, close: &MatterClose, now_us: i64) -> Result<Judged, Refusal> {
    let Some(matter) = state.matters.get(&close.name) else {
        is_open(state, &close.name)?;
        return Ok(Judged::Done(0));
    };
    if let Some(mark) = &matter.closed {
        return Ok(Judged::Done(mark.seq));
    }
    let holds: Vec<&str> = state
        .holds
        .iter()
        .filter(|(_, hold)| hold.place.matter == close.name && hold.holds_at(now_us))
        .map(|(name, _)| name.as_str())
        .collect();
    if holds.is_empty() {
        return Ok(Judged::Write(Act::MatterClose(close.clone())));
    }
    Err(Refusal::because(
        format!(
            "matter `{}` cannot be closed: {} of it still {}: {}",
            close.name,
            if holds.len() == 1 { "a hold" } else { "holds" },
            if holds.len() == 1 { "holds" } else { "hold" },
            holds.join(", ")
        ),
        "release them first (`holdfast hold release NAME`); a released hold holds until its grace is over",
    ))
}
