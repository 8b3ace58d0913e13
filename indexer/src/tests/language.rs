//! Random queries over every construct.

use proptest::prelude::*;

use super::corpus::{ACTORS, MESSAGES, ROOMS, WORDS};

fn word() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(WORDS[..WORDS.len() - 1].to_vec()).prop_map(str::to_owned);
    let wild = prop::sample::select(vec![
        "kee*", "*eep*", "pl?n", "pla*s", "?eeper", "na*", "日*", "*本語", "東?都", "シ*", "при*",
        "*azie*", "docs.r*", "ver*", "👍*",
    ]);
    prop_oneof![5 => plain, 2 => wild.prop_map(str::to_owned)]
}

fn phrase() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(WORDS[..WORDS.len() - 1].to_vec()),
        1..4,
    )
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

fn property() -> impl Strategy<Value = String> {
    let persons: Vec<String> = ACTORS
        .iter()
        .flat_map(|actor| [actor.0, actor.1, actor.2])
        .map(quoted)
        .chain([
            "sip:u-1".to_owned(),
            "pérez".to_owned(),
            "an*".to_owned(),
            "u-*".to_owned(),
            "山田".to_owned(),
        ])
        .collect();
    let rooms: Vec<String> = ROOMS
        .iter()
        .map(|room| quoted(room))
        .chain([
            "r-*".to_owned(),
            "nowhere".to_owned(),
            "INCIDENT*".to_owned(),
        ])
        .collect();
    let messages: Vec<String> = MESSAGES
        .iter()
        .map(|message| (*message).to_owned())
        .chain(["m-*".to_owned(), "m-9".to_owned()])
        .collect();
    let colon = |name: &'static str, values: Vec<String>| {
        prop::sample::select(values).prop_map(move |value| format!("{name}:{value}"))
    };
    let words = |name: &'static str| term().prop_map(move |term| format!("{name}:{term}"));
    let list = |values: &[&str]| {
        values
            .iter()
            .map(|value| (*value).to_owned())
            .collect::<Vec<_>>()
    };
    prop_oneof![
        colon("from", persons.clone()),
        prop::sample::select(
            persons
                .into_iter()
                .filter(|value| !value.ends_with('*'))
                .collect::<Vec<_>>()
        )
        .prop_map(|value| format!("from={value}")),
        colon("room", rooms),
        colon("category", list(&["LEGAL", "engineering", "eng*"])),
        colon(
            "type",
            list(&[
                "chat.message.posted",
                "CHAT.MESSAGE.EDITED",
                "chat.message.*",
                "chat.reaction.added",
                "x"
            ])
        ),
        colon("kind", list(&["story", "plain"])),
        colon("actorkind", list(&["user", "bot"])),
        colon("target", list(&["u-2", "U-2", "u-1"])),
        colon("reaction", list(&["👍", "👎"])),
        colon("origin", list(&["main.1", "import", "im*"])),
        colon("message", messages.clone()),
        colon("reply_to", messages),
        (1..60_u64).prop_map(|n| format!("id:0197C0DE-0000-7000-8000-{n:012x}")),
        Just("id:0197c0de-0000-7000-8000-00000000000*".to_owned()),
        words("title"),
        words("body"),
        words("filename"),
        prop::sample::select(vec![
            "title=keep",
            "body=\"keep plan\"",
            "body=\",\"",
            "filename=日本語",
            "title=\"R&D\""
        ])
        .prop_map(str::to_owned),
        prop::sample::select(vec![
            "hasattachment:true",
            "hasattachment:false",
            "size>1KB",
            "size<=500",
            "size:100..2KB",
            "size:7"
        ])
        .prop_map(str::to_owned),
        prop::sample::select(vec![
            "date:2020",
            "date:2021-01-01",
            "date>2020-12-31",
            "date<2021",
            "date>=2020-12-31T23:59:59",
            "date:2020-12-31..2020-12-31",
            "date>2020-12-31T23:59:58.5",
            "received:2021-01-01",
            "received>2021-01-01T00:00:09.000020Z",
            "received<2020",
        ])
        .prop_map(str::to_owned),
    ]
}

/// A query's text.
pub(super) fn query() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![4 => term(), 2 => near(), 4 => property(), 1 => Just("*".to_owned())];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) OR ({b})")),
            inner.clone().prop_map(|a| format!("NOT ({a})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) -({b})")),
        ]
    })
}
