//! The basis that the ledger's state and a snapshot give.

use holdfast_archive::{Archive, Segment, Snapshot};
use holdfast_schemas::ledger::hold::{HoldExpand, HoldScope};
use jiff::Timestamp;

use super::{Basis, PlanError};
use crate::config::{self, Key};
use crate::disposition::kept::Out;
use crate::hold::{Hold, Memberships};
use crate::ledger::{REMOVED, State};
use crate::policy::{POLICIES_MAX, Rule, RuleError};

/// A basis, and what the holds' custodians turned out to have seen.
#[derive(Debug)]
pub struct Current {
    /// What is judged by.
    pub basis: Basis,
    /// Expansions that the ledger does not know yet.
    pub grown: Vec<HoldExpand>,
}

/// The policies and holds in force at `now_us`, custodians expanded anew.
///
/// # Errors
/// A policy or hold cannot be judged by; the archive cannot be read.
pub async fn current(
    archive: &Archive,
    snapshot: &Snapshot,
    state: &State,
    now_us: i64,
) -> Result<Current, PlanError> {
    let rules = rules(state)?;
    let (holds, grown) = holds(archive, snapshot, state, now_us).await?;
    let grace_us = i64::try_from(config::span_s(state, Key::IngestGrace))
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000);
    Ok(Current {
        basis: Basis::new(rules, holds, now_us, grace_us),
        grown,
    })
}

/// The policies in force.
///
/// # Errors
/// One of them cannot be judged by, or there are too many.
pub fn rules(state: &State) -> Result<Vec<Rule>, RuleError> {
    let in_force = state
        .policies
        .values()
        .filter(|policy| policy.removed.is_none());
    let rules: Vec<Rule> = in_force
        .map(|policy| {
            let rule = Rule::new(&policy.policy, policy.set.seq, instant(policy.set.time_us))?;
            // What it comes to may change with its lock: a plan made before is made with another version.
            let locked = policy.locked.as_ref().map(|mark| mark.seq);
            Ok::<_, RuleError>(Rule {
                version: rule.version.max(locked.unwrap_or(0)),
                locked: locked.is_some(),
                ..rule
            })
        })
        .collect::<Result<_, _>>()?;
    if rules.len() > POLICIES_MAX {
        return Err(RuleError::TooMany { count: rules.len() });
    }
    Ok(rules)
}

/// The holds in force, custodians expanded anew; and the expansions that are new.
///
/// # Errors
/// As [`current`].
pub async fn holds(
    archive: &Archive,
    snapshot: &Snapshot,
    state: &State,
    now_us: i64,
) -> Result<(Vec<Hold>, Vec<HoldExpand>), PlanError> {
    let in_force: Vec<_> = state
        .holds
        .iter()
        .filter(|(_, hold)| hold.holds_at(now_us))
        .collect();
    let mut found = Vec::with_capacity(in_force.len());
    let mut grown = Vec::new();
    let mut memberships: Option<(Memberships, Vec<Segment>)> = None;
    for (name, hold) in in_force {
        let mut expansions = hold.expansions.clone();
        if !hold.place.scope.custodians.is_empty() {
            let (read, segments) = match memberships.take() {
                Some(read) => read,
                None => {
                    let segments = readable(archive, snapshot).await?;
                    (Memberships::read(archive, &segments).await?, segments)
                }
            };
            let scope = expansions
                .last()
                .map_or(&hold.place.scope, |last| &last.scope);
            let scope = with_persons(scope, state);
            let expand = read
                .expand(archive, &segments, name, &scope, snapshot.version())
                .await?;
            let news = |expand: &HoldExpand| {
                expansions
                    .iter()
                    .all(|known| (&known.scope, &known.seen) != (&expand.scope, &expand.seen))
            };
            if let Some(expand) = expand.filter(news) {
                grown.push(expand.clone());
                expansions.push(expand);
            }
            memberships = Some((read, segments));
        }
        found.push(Hold::new(
            name,
            &hold.place.scope,
            &expansions,
            instant(hold.placed.time_us),
        )?);
    }
    Ok((found, grown))
}

/// A scope whose custodians are known by everything that was linked to their persons since, too.
fn with_persons(scope: &HoldScope, state: &State) -> HoldScope {
    let mut scope = scope.clone();
    for custodian in &mut scope.custodians {
        let person = custodian.person.as_ref();
        let Some(person) = person.and_then(|person| state.persons.get(person)) else {
            continue;
        };
        for identity in &person.identities {
            if identity.value != REMOVED && !custodian.identities.contains(identity) {
                custodian.identities.push(identity.clone());
            }
        }
    }
    scope
}

/// What the custodians of a scope could see in a snapshot; nothing without custodians.
///
/// # Errors
/// As [`current`].
pub async fn expanded(
    archive: &Archive,
    snapshot: &Snapshot,
    hold: &str,
    scope: &HoldScope,
) -> Result<Option<HoldExpand>, PlanError> {
    if scope.custodians.is_empty() {
        return Ok(None);
    }
    let segments = readable(archive, snapshot).await?;
    let read = Memberships::read(archive, &segments).await?;
    read.expand(archive, &segments, hold, scope, snapshot.version())
        .await
}

/// A hold of each custodian of a scope alone, by the name they were given by: to count whose events it covers.
///
/// # Errors
/// As [`current`].
pub async fn by_custodian(
    archive: &Archive,
    snapshot: &Snapshot,
    scope: &HoldScope,
    placed_at: Timestamp,
) -> Result<Vec<Hold>, PlanError> {
    if scope.custodians.is_empty() {
        return Ok(Vec::new());
    }
    let segments = readable(archive, snapshot).await?;
    let read = Memberships::read(archive, &segments).await?;
    let mut found = Vec::with_capacity(scope.custodians.len());
    for custodian in &scope.custodians {
        let scope = HoldScope {
            custodians: vec![custodian.clone()],
            rooms: Vec::new(),
            categories: Vec::new(),
            ..scope.clone()
        };
        let version = snapshot.version();
        let expand = read
            .expand(archive, &segments, &custodian.given, &scope, version)
            .await?;
        let expansions: Vec<HoldExpand> = expand.into_iter().collect();
        found.push(Hold::new(&custodian.given, &scope, &expansions, placed_at)?);
    }
    Ok(found)
}

/// Every segment whose rows are in the table, or could be put back.
pub(crate) async fn readable(
    archive: &Archive,
    snapshot: &Snapshot,
) -> Result<Vec<Segment>, PlanError> {
    let mut segments: Vec<Segment> = snapshot
        .segments()
        .await?
        .iter()
        .map(|segment| Segment::clone(segment))
        .collect();
    let kept = Out::all(archive, snapshot)
        .await
        .map_err(|error| PlanError::Task(error.to_string()))?;
    segments.extend(kept.iter().flat_map(|(_, out)| {
        out.segments
            .iter()
            .map(crate::disposition::kept::KeptSegment::segment)
    }));
    Ok(segments)
}

fn instant(time_us: i64) -> Timestamp {
    Timestamp::from_microsecond(time_us).unwrap_or(Timestamp::UNIX_EPOCH)
}
