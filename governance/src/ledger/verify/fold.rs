//! The chain folded to a state, each entry judged against those before it.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_schemas::ledger::{Act, Entry, Params};

use super::{Report, Tampering};
use crate::actor::{keys, roles};
use crate::approval;
use crate::ledger::state::State;

/// The chain with its words, ready to be folded.
pub(super) struct Folding<'a> {
    pub(super) chain: &'a BTreeMap<u64, Entry>,
    decoded: &'a BTreeMap<u64, Params>,
    /// What stands in for words that were removed, by entry.
    pub(super) removed: BTreeMap<u64, Option<&'a serde_json::Value>>,
}

impl<'a> Folding<'a> {
    pub(super) fn new(chain: &'a BTreeMap<u64, Entry>, decoded: &'a BTreeMap<u64, Params>) -> Self {
        let removals = decoded.values().filter_map(|params| match &params.act {
            Act::ParamsRemoved(removed) => Some((removed.seq, removed.stand_in.as_ref())),
            _ => None,
        });
        Self {
            chain,
            decoded,
            removed: removals.collect(),
        }
    }

    fn act(&self, seq: u64, entry: &Entry) -> Option<Act> {
        match self.removed.get(&seq) {
            Some(Some(stand_in)) => Act::from_parts(&entry.action, (*stand_in).clone()).ok(),
            Some(None) => None,
            None => self.decoded.get(&seq).map(|params| params.act.clone()),
        }
    }

    fn apply(&self, state: &mut State, seq: u64, entry: &Entry, act: Option<Act>) {
        // As opening does: searches and exports fold without their words.
        let act = act.filter(|_| !Act::folds_without_params(&entry.action));
        let command = self
            .decoded
            .get(&seq)
            .filter(|_| act.is_some() && !self.removed.contains_key(&seq))
            .and_then(|params| params.command.as_deref());
        state.apply(entry, act.as_ref(), command);
    }

    /// Folds all of it, each entry judged against those before it; answers the state when nothing was missing.
    pub(super) fn all(&self, report: &mut Report) -> Option<State> {
        let mut whole = report.findings.is_empty();
        let unread = report
            .findings
            .iter()
            .filter(|f| matches!(f.tampering, Tampering::ParamsEdited | Tampering::Unreadable));
        let named: BTreeSet<u64> = unread.map(|f| f.seq).collect();
        let mut state = State::default();
        for (seq, entry) in self.chain {
            let act = self.act(*seq, entry);
            let removed = self.removed.contains_key(seq);
            if signature(&state, entry, report) {
                allowed(&state, entry, act.as_ref(), removed, report);
            }
            if act.is_none() && !removed {
                whole = false;
                if !named.contains(seq) {
                    let text = "its parameters are missing, and no entry removes them";
                    report.find(*seq, Tampering::ParamsMissing, text);
                }
            }
            self.apply(&mut state, *seq, entry, act);
        }
        report.unknown = state.unknown.clone();
        report.head = state.head;
        whole.then_some(state)
    }

    /// Goes on from a state to the end of the chain.
    pub(super) fn rest(&self, mut state: State) -> State {
        for (seq, entry) in self.chain.range(state.head.seq.saturating_add(1)..) {
            self.apply(&mut state, *seq, entry, self.act(*seq, entry));
        }
        state
    }
}

/// From the first actor on, every entry is signed by one. Answers whether that says who wrote it.
fn signature(before: &State, entry: &Entry, report: &mut Report) -> bool {
    let key = before.actors.get(&entry.actor).map(|actor| &actor.key);
    let valid = match (key, &entry.signature) {
        (Some(key), Some(signature)) => keys::verifies(key, &entry.signed_bytes(), signature),
        _ => false,
    };
    if valid {
        report.signed += 1;
    } else if before.has_actors() {
        let text = match (key, &entry.signature) {
            (None, _) => format!("`{}` was no actor then", entry.actor),
            (Some(_), None) => format!("the signature of `{}` is missing", entry.actor),
            (Some(_), Some(_)) => format!("the signature is not that of `{}`", entry.actor),
        };
        report.find(entry.seq, Tampering::Signature, text);
    }
    valid
}

/// Whoever signed an entry must have been allowed to: a key that still works may belong to somebody who was disabled, and
/// a store can be written past Holdfast.
fn allowed(before: &State, entry: &Entry, act: Option<&Act>, removed: bool, report: &mut Report) {
    let Some(act) = act else {
        return;
    };
    let mut judged = roles::may(before, &entry.actor, act);
    // What was approved word for word cannot be compared once the words are gone.
    if !removed {
        judged = judged.and_then(|()| approval::check(before, act));
    }
    if let Err(refusal) = judged {
        report.find(entry.seq, Tampering::NotAllowed, refusal.to_string());
    }
}
