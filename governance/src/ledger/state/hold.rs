//! Holds.

use holdfast_schemas::ledger::hold::{HoldExpand, HoldPlace, HoldRelease};
use holdfast_schemas::ledger::{Act, Digest};
use serde::{Deserialize, Serialize};

use super::{Mark, State};

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldState {
    /// When and by whom placed.
    pub placed: Mark,
    /// As placed.
    pub place: HoldPlace,
    /// Everything its expansions ever found, oldest first: coverage may grow, never shrink.
    pub expansions: Vec<HoldExpand>,
    /// SHA-256 of its first receipt: what was acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Digest>,
    /// When and by whom released.
    pub released: Option<(Mark, HoldRelease)>,
}

impl HoldState {
    /// Whether it holds at this moment (UTC microseconds): until released, and through the grace after that.
    #[must_use]
    pub fn holds_at(&self, now_us: i64) -> bool {
        self.released
            .as_ref()
            .is_none_or(|(_, release)| now_us < release.holds_until_us)
    }
}

pub(super) fn apply(state: &mut State, mark: Mark, act: &Act) {
    match act {
        Act::HoldPlace(place) => {
            let hold = HoldState {
                placed: mark,
                place: place.clone(),
                expansions: Vec::new(),
                receipt: None,
                released: None,
            };
            state.holds.entry(place.name.clone()).or_insert(hold);
        }
        Act::HoldExpand(expand) => {
            if let Some(hold) = state.holds.get_mut(&expand.name)
                && hold.expansions.last() != Some(expand)
            {
                hold.expansions.push(expand.clone());
            }
        }
        Act::HoldRelease(release) => {
            if let Some(hold) = state.holds.get_mut(&release.name) {
                hold.released.get_or_insert((mark, release.clone()));
            }
        }
        Act::Verification(done) if done.what == "hold" => {
            let hold = done.subject.as_ref();
            if let Some(hold) = hold.and_then(|name| state.holds.get_mut(name)) {
                hold.receipt = hold.receipt.or(done.sha256);
            }
        }
        _ => {}
    }
}
