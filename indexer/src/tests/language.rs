//! Random words and properties: the leaves of queries.

use proptest::prelude::*;

use super::corpus::{ACTORS, MESSAGES, ROOMS, WORDS};

fn word() -> impl Strategy<Value = String> {
    let wild = prop::sample::select(vec![
        "kee*", "*eep*", "pl?n", "pla*s", "?eeper", "na*", "日*", "*本語", "東?都", "シ*", "при*",
        "*azie*", "docs.r*", "ver*", "👍*",
    ]);
    prop_oneof![5 => plain_word().prop_map(str::to_owned), 2 => wild.prop_map(str::to_owned)]
}

/// A word that holds a term.
fn plain_word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(WORDS[..WORDS.len() - 1].to_vec())
}

fn phrase() -> impl Strategy<Value = String> {
    prop::collection::vec(plain_word(), 1..4)
        .prop_flat_map(|words| (Just(words.join(" ")), prop::bool::weighted(0.2)))
        .prop_map(|(text, prefix)| format!("\"{text}\"{}", if prefix { "*" } else { "" }))
}

fn term() -> impl Strategy<Value = String> {
    prop_oneof![3 => word(), 1 => phrase()]
}

fn near_operand() -> impl Strategy<Value = String> {
    prop_oneof![4 => term(), 1 => (term(), term()).prop_map(|(a, b)| format!("({a} OR {b})"))]
}

fn near() -> impl Strategy<Value = String> {
    let operator = prop::sample::select(vec!["NEAR", "ONEAR"]);
    let distance = prop::option::of(0..6_u32);
    (near_operand(), operator, distance, near_operand()).prop_map(
        |(left, operator, distance, right)| {
            let distance = distance.map(|n| format!("({n})")).unwrap_or_default();
            format!("{left} {operator}{distance} {right}")
        },
    )
}

fn quoted(value: &str) -> String {
    format!("\"{value}\"")
}

fn list(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// `name:value`, or `name=value` where the value is a whole one.
fn valued(
    names: &'static [&'static str],
    values: Vec<String>,
) -> impl Strategy<Value = (String, String)> {
    let value = (prop::sample::select(values), any::<bool>()).prop_map(|(value, equals)| {
        let operator = if equals && !value.ends_with('*') {
            '='
        } else {
            ':'
        };
        format!("{operator}{value}")
    });
    (
        prop::sample::select(names.to_vec()).prop_map(str::to_owned),
        value,
    )
}

fn joined((name, test): (String, String)) -> String {
    name + &test
}

/// Whom queries ask for.
pub(super) fn persons() -> Vec<String> {
    let known = ACTORS.iter().flat_map(|actor| [actor.0, actor.1, actor.2]);
    known
        .filter(|text| !text.is_empty())
        .map(quoted)
        .chain(list(&[
            "sip:u-1", "pérez", "perez", "an*", "u-*", "ana", "山田", "nobody",
        ]))
        .collect()
}

/// The operator and value of a `participants`, and one of its names.
pub(super) fn participants() -> impl Strategy<Value = (String, String)> {
    valued(&["participants", "participant", "custodian"], persons())
}

/// Properties that are ids or names of something.
fn whole() -> impl Strategy<Value = String> {
    let with = |values: &[&str], more: &[&str]| {
        let values = values.iter().map(|value| quoted(value));
        values.chain(list(more)).collect::<Vec<_>>()
    };
    let types = [
        "chat.message.posted",
        "CHAT.MESSAGE.EDITED",
        "chat.message.*",
        "chat.reaction.added",
        "chat.room.*",
        "chat.room.Joined",
        "x",
    ];
    let messages = with(&MESSAGES, &["m-*", "m-9"]);
    let rooms = with(&ROOMS, &["r-*", "nowhere", "INCIDENT*"]);
    let ids = (1..60_u64)
        .prop_flat_map(|n| valued(&["id"], vec![format!("0197C0DE-0000-7000-8000-{n:012x}")]));
    prop_oneof![
        3 => valued(&["from", "sender", "author"], persons()),
        2 => valued(&["room"], rooms),
        1 => valued(&["category"], list(&["LEGAL", "engineering", "eng*"])),
        2 => valued(&["type"], list(&types)),
        2 => valued(&["kind"], list(&["story", "plain", "ALERT", "st*", "bot"])),
        2 => valued(&["actorkind"], list(&["user", "bot", "SYSTEM", "us*", "plain"])),
        1 => valued(&["target"], list(&["u-2", "U-3", "u-1", "u-*"])),
        1 => valued(&["reaction"], list(&["👍", "👎", "👍*"])),
        1 => valued(&["origin"], list(&["main.1", "import", "im*"])),
        1 => valued(&["message"], messages.clone()),
        1 => valued(&["reply_to", "replyto"], messages),
        1 => ids,
        1 => valued(&["id"], list(&["0197c0de-0000-7000-8000-00000000000*"])),
    ]
    .prop_map(joined)
}

/// Properties that are text.
fn text() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(vec!["title", "subject", "body", "body", "filename"]);
    let value = prop_oneof![
        3 => prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned),
        1 => Just("keep plan".to_owned()),
    ];
    prop_oneof![
        3 => (name(), term()).prop_map(|(name, term)| format!("{name}:{term}")),
        2 => (name(), value).prop_map(|(name, value)| format!("{name}={}", quoted(&value))),
    ]
}

/// Properties that are counted.
fn counted() -> impl Strategy<Value = String> {
    prop_oneof![
        valued(&["hasattachment"], list(&["true", "false"])),
        valued(&["size"], list(&["7", "0", "1KB", "100..2KB"])),
        prop::sample::select(vec![">1KB", "<=500", "<500", ">=1000"])
            .prop_map(|test| ("size".to_owned(), test.to_owned())),
    ]
    .prop_map(joined)
}

/// Any leaf but a date and a `participants`.
pub(super) fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => term(), 4 => near(), 5 => whole(), 2 => text(), 1 => counted(), 2 => Just("*".to_owned()),
    ]
}
