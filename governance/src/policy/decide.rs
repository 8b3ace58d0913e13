//! The decision on one family, with its reasons (RE-1): a pure function of the family, the policies, the holds, and now.

use serde::{Deserialize, Serialize};

use super::{Cutoffs, Mask, NEVER, Rule};
use crate::period::expires_us;

/// One event of a family, as far as the decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its id.
    pub event_id: String,
    /// When it was ingested, UTC microseconds.
    pub ingest_time_us: i64,
    /// The policies that cover it.
    pub applies: Mask,
    /// Names of the holds that cover it.
    pub holds: Vec<String>,
}

/// What is known of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// When its newest content happened, UTC microseconds: its life counts from here.
    pub life_from_us: i64,
    /// Its events, at least one.
    pub parts: Vec<Part>,
    /// It tells of other events that stay: of a room's members, of who somebody was.
    pub explains_what_stays: bool,
}

/// What a decision comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Verdict {
    /// A hold covers a part of it.
    Held {
        /// Which holds, sorted.
        holds: Vec<String>,
    },
    /// A policy retains it.
    Retained {
        /// Which.
        policy: String,
        /// From when on it no longer does, UTC microseconds; without end when absent.
        until_us: Option<i64>,
    },
    /// A policy will delete it, later.
    Waiting {
        /// Which.
        policy: String,
        /// From when on, UTC microseconds; never when absent.
        until_us: Option<i64>,
    },
    /// No policy deletes it.
    Unlimited,
    /// It was ingested too short a time ago.
    Grace {
        /// From when on that is no obstacle, UTC microseconds.
        until_us: i64,
    },
    /// It explains events that stay.
    Explains,
    /// It goes.
    Goes {
        /// The policy that deletes it.
        policy: String,
        /// That policy's version.
        version: u64,
    },
}

/// One step of the reasoning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The policy or hold it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// What was found.
    pub says: String,
}

/// The decision and how it came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What it comes to.
    pub verdict: Verdict,
    /// Why, in the order of the reasoning.
    pub trace: Vec<Step>,
}

/// Decides on a family at the moment of `cutoffs`. `ingested_before_us`: what was ingested later stays; `grace_us`: how
/// long that is.
///
/// Every part is judged by the policies that cover it, all on the family's own clock; the family goes when every part may.
#[must_use]
pub fn decide(
    facts: &Facts,
    rules: &[Rule],
    cutoffs: &Cutoffs,
    ingested_before_us: i64,
    grace_us: i64,
) -> Decision {
    let mut trace = Vec::new();
    let mut holds: Vec<String> = facts
        .parts
        .iter()
        .flat_map(|part| part.holds.clone())
        .collect();
    holds.sort_unstable();
    holds.dedup();
    for hold in &holds {
        let covered = facts.parts.iter().filter(|part| part.holds.contains(hold));
        step(
            &mut trace,
            Some(hold.as_str()),
            format!(
                "hold covers {} of {} events of the family: nothing of it goes",
                covered.count(),
                facts.parts.len()
            ),
        );
    }
    let by_policies = policies(facts, rules, cutoffs, &mut trace);
    let newest = facts
        .parts
        .iter()
        .map(|part| part.ingest_time_us)
        .max()
        .unwrap_or(i64::MAX);
    let verdict = if !holds.is_empty() {
        Verdict::Held { holds }
    } else if !matches!(by_policies, Verdict::Goes { .. }) {
        by_policies
    } else if newest >= ingested_before_us {
        step(
            &mut trace,
            None,
            "part of it was ingested within the ingest grace".to_owned(),
        );
        Verdict::Grace {
            until_us: newest.saturating_add(grace_us).saturating_add(1),
        }
    } else if facts.explains_what_stays {
        step(
            &mut trace,
            None,
            "it explains events that stay, and lives as long as they do".to_owned(),
        );
        Verdict::Explains
    } else {
        by_policies
    };
    Decision { verdict, trace }
}

/// What the policies say: of the parts, the one that keeps the family longest decides.
fn policies(facts: &Facts, rules: &[Rule], cutoffs: &Cutoffs, trace: &mut Vec<Step>) -> Verdict {
    let mut masks: Vec<Mask> = facts
        .parts
        .iter()
        .map(|part| cutoffs.effective(part.applies))
        .collect();
    masks.sort_unstable();
    masks.dedup();
    let until = |rule: &Rule| expires_us(rule.period, facts.life_from_us, &rule.zone);
    let mut seen: Mask = 0;
    for mask in &masks {
        for (place, rule) in rules
            .iter()
            .enumerate()
            .filter(|(place, _)| mask & !seen & (1 << place) != 0)
        {
            let ended = facts.life_from_us < cutoffs.each(place);
            let effect = match (rule.retains(), rule.deletes(), ended) {
                (true, _, false) => "retains it: its period is not over",
                (true, true, true) => "retained it, and deletes it now that its period is over",
                (true, false, true) => "retained it; its period is over",
                (false, _, false) => "deletes it, not yet",
                (false, _, true) => "deletes it: its period is over",
            };
            step(
                trace,
                Some(&rule.name),
                format!("{} ({:?} scope): {effect}", rule.period, rule.weight).to_lowercase(),
            );
        }
        seen |= mask;
    }
    let strictest = masks
        .iter()
        .min_by_key(|mask| cutoffs.of(**mask))
        .copied()
        .unwrap_or(0);
    let Some(deleting) = cutoffs
        .deleting(strictest)
        .and_then(|place| rules.get(place))
    else {
        let retaining = masks.iter().filter_map(|mask| cutoffs.retaining(*mask));
        let retaining = retaining.filter(|place| facts.life_from_us >= cutoffs.each(*place));
        step(
            trace,
            None,
            "no policy that covers it deletes it".to_owned(),
        );
        return match retaining
            .min_by_key(|place| cutoffs.each(*place))
            .and_then(|place| rules.get(place))
        {
            Some(rule) => Verdict::Retained {
                policy: rule.name.clone(),
                until_us: until(rule),
            },
            None => Verdict::Unlimited,
        };
    };
    if facts.life_from_us < cutoffs.of(strictest) && cutoffs.of(strictest) != NEVER {
        step(
            trace,
            Some(&deleting.name),
            "of the deletions that count, the shortest".to_owned(),
        );
        return Verdict::Goes {
            policy: deleting.name.clone(),
            version: deleting.version,
        };
    }
    let retaining = cutoffs
        .retaining(strictest)
        .filter(|place| facts.life_from_us >= cutoffs.each(*place));
    match retaining.and_then(|place| rules.get(place)) {
        Some(rule) => {
            step(
                trace,
                Some(&rule.name),
                "of the retentions, the longest; retention wins over deletion".to_owned(),
            );
            Verdict::Retained {
                policy: rule.name.clone(),
                until_us: until(rule),
            }
        }
        None => Verdict::Waiting {
            policy: deleting.name.clone(),
            until_us: until(deleting),
        },
    }
}

fn step(trace: &mut Vec<Step>, of: Option<&str>, says: String) {
    trace.push(Step {
        of: of.map(str::to_owned),
        says,
    });
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
