//! RE-1 on the published examples and on any policies.

use holdfast_schemas::ledger::hold::RoomRef;
use holdfast_schemas::ledger::policy::{PolicyAction, PolicyScope, PolicySet};
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::policy::Weight;

const DAY_US: i64 = 86_400_000_000;

fn rule(name: &str, period: &str, action: PolicyAction, weight: Weight) -> Rule {
    let rooms = (weight == Weight::Scoped).then(|| RoomRef {
        id: "r-1".to_owned(),
        name: None,
    });
    let set = PolicySet {
        name: name.to_owned(),
        scope: PolicyScope {
            rooms: rooms.into_iter().collect(),
            ..PolicyScope::default()
        },
        period: period.to_owned(),
        time_zone: None,
        action,
        explicit: weight == Weight::Explicit,
        reason: None,
    };
    Rule::new(&set, 7, Timestamp::UNIX_EPOCH).unwrap()
}

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_microsecond()
}

fn posted(life_from_us: i64, applies: Mask) -> Facts {
    let part = Part {
        event_id: "e".to_owned(),
        ingest_time_us: life_from_us,
        applies,
        holds: vec![],
    };
    Facts {
        life_from_us,
        parts: vec![part],
        explains_what_stays: false,
    }
}

/// The verdict at a moment, all rules applying.
fn verdict(rules: &[Rule], life_from: &str, now: &str) -> Verdict {
    let all = (1 << rules.len()) - 1;
    let cutoffs = Cutoffs::new(rules, at(now));
    decide(&posted(at(life_from), all), rules, &cutoffs, i64::MAX, 0).verdict
}

use PolicyAction::{Delete, Retain, RetainThenDelete};

#[test]
fn re1_first_published_example_is_kept_and_deleted_at_seven_years() {
    let rules = [
        rule("organisation", "5y", Delete, Weight::Archive),
        rule("scoped", "3y", RetainThenDelete, Weight::Archive),
        rule("label", "7y", Retain, Weight::Explicit),
    ];
    let posted = "2020-01-10T12:00:00Z";
    for kept in [
        "2021-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "2027-01-10T23:59:59Z",
    ] {
        let until_us = Some(at("2027-01-11T00:00:00Z"));
        assert_eq!(
            verdict(&rules, posted, kept),
            Verdict::Retained {
                policy: "label".to_owned(),
                until_us
            },
            "{kept}"
        );
    }
    assert_eq!(
        verdict(&rules, posted, "2027-01-11T00:00:00Z"),
        Verdict::Goes {
            policy: "scoped".to_owned(),
            version: 7
        }
    );
}

#[test]
fn re1_second_published_example_is_kept_five_years_and_then_deleted() {
    let rules = [
        rule("organisation", "10y", Delete, Weight::Archive),
        rule("scoped", "5y", RetainThenDelete, Weight::Scoped),
        rule("label", "3y", RetainThenDelete, Weight::Explicit),
    ];
    let posted = "2020-01-10T12:00:00Z";
    for kept in [
        "2022-01-01T00:00:00Z",
        "2023-06-01T00:00:00Z",
        "2025-01-10T23:59:59Z",
    ] {
        let until_us = Some(at("2025-01-11T00:00:00Z"));
        assert_eq!(
            verdict(&rules, posted, kept),
            Verdict::Retained {
                policy: "scoped".to_owned(),
                until_us
            },
            "{kept}"
        );
    }
    // The label's scope is the explicit one: its deletion counts.
    assert_eq!(
        verdict(&rules, posted, "2025-01-11T00:00:00Z"),
        Verdict::Goes {
            policy: "label".to_owned(),
            version: 7
        }
    );
}

#[test]
fn re1_explicit_deletions_win_over_shorter_implicit_ones() {
    let rules = [
        rule("all", "1y", Delete, Weight::Archive),
        rule("room", "4y", Delete, Weight::Scoped),
    ];
    let waiting = verdict(&rules, "2020-01-10T12:00:00Z", "2022-01-01T00:00:00Z");
    assert_eq!(
        waiting,
        Verdict::Waiting {
            policy: "room".to_owned(),
            until_us: Some(at("2024-01-11T00:00:00Z"))
        }
    );
}

#[test]
fn re1_the_default_policy_covers_what_no_other_does() {
    let rules = [
        rule("default", "7y", RetainThenDelete, Weight::Archive),
        rule("alerts", "1y", RetainThenDelete, Weight::Scoped),
    ];
    let cutoffs = Cutoffs::new(&rules, at("2026-01-01T00:00:00Z"));
    let of = |applies| {
        decide(
            &posted(at("2024-01-01T00:00:00Z"), applies),
            &rules,
            &cutoffs,
            i64::MAX,
            0,
        )
        .verdict
    };
    assert!(matches!(of(0b11), Verdict::Goes { policy, .. } if policy == "alerts"));
    assert!(matches!(of(0b01), Verdict::Retained { policy, .. } if policy == "default"));
    assert_eq!(of(0), Verdict::Unlimited);
}

fn any_rule(number: usize) -> impl Strategy<Value = Rule> {
    let action = prop_oneof![Just(Retain), Just(RetainThenDelete), Just(Delete)];
    let weight = prop_oneof![
        Just(Weight::Archive),
        Just(Weight::Scoped),
        Just(Weight::Explicit)
    ];
    (0u32..60, action, weight).prop_map(move |(days, action, weight)| {
        let name = if number == 0 {
            "default".to_owned()
        } else {
            format!("p{number}")
        };
        rule(&name, &format!("{days}d"), action, weight)
    })
}

fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
    (0usize..6).prop_flat_map(|count| (0..count).map(any_rule).collect::<Vec<_>>())
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let part = (0i64..90, 0u64..64, proptest::option::weighted(0.1, 0u8..3));
    (
        0i64..90,
        proptest::collection::vec(part, 1..5),
        proptest::bool::weighted(0.2),
    )
        .prop_map(|(life, parts, explains)| Facts {
            life_from_us: life * DAY_US + 5,
            parts: parts
                .into_iter()
                .map(|(ingest, applies, hold)| Part {
                    event_id: "e".to_owned(),
                    ingest_time_us: ingest * DAY_US,
                    applies,
                    holds: hold.map(|hold| format!("h{hold}")).into_iter().collect(),
                })
                .collect(),
            explains_what_stays: explains,
        })
}

fn goes(facts: &Facts, rules: &[Rule], now_us: i64) -> bool {
    let cutoffs = Cutoffs::new(rules, now_us);
    matches!(
        decide(facts, rules, &cutoffs, now_us - 3 * DAY_US, 3 * DAY_US).verdict,
        Verdict::Goes { .. }
    )
}

/// The principles one by one, on one part, as they are written.
fn part_may_go(life_from_us: i64, applies: Mask, rules: &[Rule], now_us: i64) -> bool {
    let mut covering: Vec<&Rule> = rules
        .iter()
        .enumerate()
        .filter(|(n, _)| applies >> n & 1 == 1)
        .map(|(_, rule)| rule)
        .collect();
    if covering.iter().any(|rule| rule.name != "default") {
        covering.retain(|rule| rule.name != "default");
    }
    let over = |rule: &Rule| {
        expires_us(rule.period, life_from_us, &rule.zone).is_some_and(|from| from <= now_us)
    };
    if covering.iter().any(|rule| rule.retains() && !over(rule)) {
        return false;
    }
    let heaviest = covering
        .iter()
        .filter(|rule| rule.deletes())
        .map(|rule| rule.weight)
        .max();
    covering
        .iter()
        .any(|rule| rule.deletes() && Some(rule.weight) == heaviest && over(rule))
}

proptest! {
    #[test]
    fn re1_a_family_goes_only_when_every_rule_that_applies_says_so(facts in any_facts(), rules in any_rules(), now in 0i64..120) {
        let now_us = now * DAY_US;
        let applies = |part: &Part| part.applies & ((1 << rules.len()) - 1);
        let facts = Facts { parts: facts.parts.iter().map(|part| Part { applies: applies(part), ..part.clone() }).collect(), ..facts };
        let expected = facts.parts.iter().all(|part| {
            part.holds.is_empty() && part.ingest_time_us < now_us - 3 * DAY_US && part_may_go(facts.life_from_us, part.applies, &rules, now_us)
        });
        prop_assert_eq!(goes(&facts, &rules, now_us), expected && !facts.explains_what_stays);
    }

    #[test]
    fn ho1_adding_a_hold_never_shortens_a_life(facts in any_facts(), rules in any_rules(), now in 0i64..120, part in 0usize..5) {
        let mut held = facts.clone();
        let part = part % held.parts.len();
        held.parts[part].holds.push("new".to_owned());
        prop_assert!(!goes(&held, &rules, now * DAY_US));
    }

    #[test]
    fn re1_a_retention_more_or_a_younger_part_never_shortens_a_life(
        facts in any_facts(), rules in any_rules(), now in 0i64..120, days in 0u32..100, younger in 0i64..50,
    ) {
        let now_us = now * DAY_US;
        let mut more = rules.clone();
        more.push(rule("more", &format!("{days}d"), Retain, Weight::Archive));
        let mut with = facts.clone();
        for part in &mut with.parts {
            part.applies |= 1 << rules.len();
        }
        // The default policy steps back when another one applies.
        let masked = |part: &Part| part.applies & !1;
        if facts.parts.iter().all(|part| masked(part) == part.applies) && goes(&with, &more, now_us) {
            let before = Facts { parts: with.parts.iter().map(|p| Part { applies: p.applies & ((1 << rules.len()) - 1), ..p.clone() }).collect(), ..with };
            prop_assert!(goes(&before, &rules, now_us));
        }
        let touched = Facts { life_from_us: facts.life_from_us + younger * DAY_US, ..facts.clone() };
        prop_assert!(!goes(&touched, &rules, now_us) || goes(&facts, &rules, now_us));
    }

    #[test]
    fn re1_what_is_said_to_end_ends_then(facts in any_facts(), rules in any_rules(), now in 0i64..120) {
        let now_us = now * DAY_US;
        let single = Facts { parts: facts.parts[..1].to_vec(), explains_what_stays: false, ..facts };
        let cutoffs = Cutoffs::new(&rules, now_us);
        let masked = Facts { parts: vec![Part { applies: single.parts[0].applies & ((1 << rules.len()) - 1), ..single.parts[0].clone() }], ..single };
        if let Verdict::Waiting { until_us: Some(until_us), .. } = decide(&masked, &rules, &cutoffs, i64::MAX, 0).verdict {
            let at = |us| decide(&masked, &rules, &Cutoffs::new(&rules, us), i64::MAX, 0).verdict;
            prop_assert!(matches!(at(until_us), Verdict::Goes { .. }), "at {}", until_us);
            prop_assert!(!matches!(at(until_us - 1), Verdict::Goes { .. }), "before {}", until_us);
        }
    }
}
