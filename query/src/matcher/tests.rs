//! The matcher against goldens.

use std::borrow::Cow;

use holdfast_schemas::{Actor, Attachment, Event, Intake, Message, Room, Row};
use jiff::tz::TimeZone;

use super::*;
use crate::parse::{ParseOptions, parse};

fn expr(text: &str) -> Expr {
    let options = ParseOptions {
        tz: TimeZone::UTC,
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    parse(text, &options)
        .unwrap_or_else(|e| panic!("{text}: {e}"))
        .expr
}

fn some(text: &str) -> Option<Cow<'_, str>> {
    Some(Cow::Borrowed(text))
}

pub(super) fn row<'a>(title: Option<&'a str>, body: Option<&'a str>, names: &[&'a str]) -> Row<'a> {
    let message = Message {
        title: title.map(Cow::Borrowed),
        body: body.map(Cow::Borrowed),
        ..Message::default()
    };
    let attachments = names
        .iter()
        .map(|name| Attachment {
            name: some(name),
            ..Attachment::default()
        })
        .collect();
    Row {
        event: Event {
            message,
            attachments,
            ..Event::default()
        },
        intake: Intake::default(),
    }
}

fn body_matches(query: &str, body: &str) -> bool {
    matches(query, &row(None, Some(body), &[]))
}

fn matches(query: &str, row: &Row<'_>) -> bool {
    Matcher::new(&expr(query), MatchOptions::default())
        .unwrap()
        .matches(row)
}

#[test]
fn golden_words() {
    let golden = [
        ("keep", "We should KEEP this", true),
        ("kee", "We should keep this", false),
        ("kee*", "We should keep this", true),
        ("*houl*", "We should keep this", true),
        ("sho?ld", "We should keep this", true),
        ("\"keep this\"", "keep, this", true),
        ("\"this keep\"", "keep this", false),
        ("\"should keep th\"*", "We should keep this", true),
        ("strasse", "Straße", true),
        ("uber", "U\u{308}BER", true),
        ("über", "uber", true),
        ("R&D", "our r&d team", true),
        ("R&D", "r d", false),
        ("R&D", "r & d", false),
        ("R&D", "xr&d", false),
        ("\"R&D\"", "r d", true),
        ("C++", "we write c++.", true),
        ("C++", "c and abc++", false),
        (".net", "use .NET now", true),
        (".net", "use net now", false),
        ("don't", "I don't know", true),
        ("don't", "I don’t know", false),
        ("don't OR don’t", "I don’t know", true),
        ("docs.r*", "see docs.rs!", true),
        ("docs.r*", "see docs rs", false),
        ("*.pdf", "plan.PDF", true),
        ("*.pdf", "plan pdf", false),
        ("d?cs.rs", "docs.rs", true),
        ("(東京)", "明日は東京へ行く", true),
        ("京", "東京", true),
        ("京", "京都", true),
        ("東京都", "東京と京都", false),
        ("東?都", "東京都", true),
        ("東?都", "東 京都", false),
        ("東京?", "東京", false),
        ("サーバー", "新しいｻｰﾊﾞｰです", true),
        ("Tシャツ", "青いTシャツ", true),
        ("\"東京 tower\"", "東京タワー tower", false),
        ("\"東京 tower\"", "大東京 Tower", true),
        ("\"今日 は\"", "さて今日は晴れ", true),
        ("\"今日 は\"", "今日は", true),
        ("\"今日 は\"", "今日 は", true),
        ("\"今日 は\"", "今日。は", true),
        ("\"今日 は\"", "今日もは", false),
        ("\"今日 は\"", "今日 日は", false),
        ("\"は 今日\"", "今日は", false),
        ("\"今日、は\"", "今日は", false),
        ("\"สวัสดี ครับ\"", "สวัสดีครับ", true),
        ("👍", "ok👍🏽", true),
        ("👍🏽", "ok👍", false),
        ("👍🏽", "ok👍🏽", true),
        ("👨\u{200d}👩", "👨👩", false),
        ("👨\u{200d}👩", "👨\u{200d}👩\u{200d}👧", true),
        ("❤", "I ❤\u{fe0f} it", true),
        ("℃", "25°C", true),
        ("25°C", "now 25℃!", true),
        ("⑴", "see ⑴", true),
        ("a NEAR(1) b", "a x b", true),
        ("a NEAR(1) b", "b x a", true),
        ("a NEAR(1) b", "a x y b", false),
        ("a ONEAR(1) b", "b x a", false),
        ("a NEAR(0) a", "a a", true),
        ("a NEAR a", "a", false),
        ("\"a b\" NEAR(0) \"b c\"", "a b c", false),
        ("\"a b\" NEAR(0) \"b c\"", "a b b c", true),
        ("東京 NEAR(0) 大阪", "東京大阪", true),
        ("東京 NEAR(0) 京都", "東京都", false),
        ("東京 NEAR(1) 大阪", "東京の大阪", true),
        ("(x OR a) NEAR(0) b*", "a bcd", true),
        ("R&D ONEAR(0) budget", "r d budget", false),
        ("R&D ONEAR(0) budget", "r d and r&d budget", true),
        ("NOT R&D", "r d", true),
        ("*", "", true),
    ];
    for (query, body, expected) in golden {
        assert_eq!(body_matches(query, body), expected, "{query} on {body:?}");
    }
}

#[test]
fn phrases_and_near_stay_within_one_value() {
    let two = row(Some("alpha"), Some("beta"), &["gamma", "delta.pdf"]);
    for (query, expected) in [
        ("alpha beta gamma delta", true),
        ("\"alpha beta\"", false),
        ("alpha NEAR beta", false),
        ("gamma NEAR delta", false),
        ("delta NEAR(0) pdf", true),
        ("title:beta", false),
        ("body:beta", true),
        ("filename:delta.pdf", true),
        ("filename=DELTA.PDF", true),
        ("filename=delta", false),
        ("body=beta title=ALPHA", true),
    ] {
        assert_eq!(matches(query, &two), expected, "{query}");
    }
}

fn full() -> Row<'static> {
    let event = Event {
        id: "0197c0de".into(),
        event_type: "chat.reaction.added".into(),
        time_us: 86_400_000_000,
        source: "/x".into(),
        origin: "main.1".into(),
        sequence: 1,
        room: Room {
            id: some("r-42"),
            name: some("Großer Raum"),
            category: some("Engineering"),
        },
        actor: Actor {
            id: some("U-7"),
            uri: some("sip:ana@example.com"),
            name: some("Ana Pérez"),
            email: some("ana@example.com"),
            internal: Some(true),
            kind: some("bot"),
        },
        room_seq: Some(1),
        message: Message {
            id: some("m-1"),
            kind: some("plain"),
            reply_to: some("m-0"),
            ..Message::default()
        },
        attachments: vec![
            Attachment {
                size: Some(10),
                ..Attachment::default()
            },
            Attachment {
                size: Some(5_000),
                name: some("a.pdf"),
                ..Attachment::default()
            },
        ],
        extra: some(r#"{"data":{"by":{"id":"u-9"},"value":"👍"}}"#),
        ..Event::default()
    };
    Row {
        event,
        intake: Intake {
            ingest_time_us: 172_800_000_000,
            ..Intake::default()
        },
    }
}

#[test]
fn golden_properties() {
    let golden = [
        (
            "from:u-7 from:ANA@example.com from:sip:ana@example.com",
            true,
        ),
        ("from:ana", true),
        ("from:perez", true),
        ("from:\"pérez ana\"", false),
        ("from:ana@*", true),
        ("from:u-", false),
        ("from=\"ana pérez\"", true),
        ("from=ana", false),
        ("room:R-42 room:\"grosser raum\" room:gro*", true),
        ("room:grosser", false),
        ("category:engineering type:chat.reaction.* kind:Plain", true),
        ("type:chat.reaction", false),
        ("date:1970-01-02 received:1970-01-03", true),
        ("date>1970-01-02", false),
        (
            "date>=1970-01-02 date<=1970-01-02 date<1970-01-03 date>1970-01-01",
            true,
        ),
        ("date:1970-01-01..1970-01-02", true),
        ("reaction:👍 target:U-9 actorkind:BOT", true),
        ("reaction:👎", false),
        ("hasattachment:true", true),
        ("hasattachment:false", false),
        ("size>4KB size:10 size:1..10 size<11", true),
        ("size:11..4999", false),
        ("message:M-1 reply_to:m-0 id:0197* origin:main.1", true),
        ("-room:r-43", true),
    ];
    for (query, expected) in golden {
        assert_eq!(matches(query, &full()), expected, "{query}");
    }
    let bare = row(None, None, &[]);
    for query in [
        "room:x*",
        "size>=0",
        "hasattachment:true",
        "reaction:x",
        "target:x",
        "title=x",
        "from:a*",
    ] {
        assert!(
            !matches(query, &bare),
            "{query}: what is missing never matches"
        );
    }
}

#[test]
fn exact_diacritics_narrow_word_by_word() {
    let exact = MatchOptions {
        exact_diacritics: true,
    };
    let judge = |query: &str, body: &str| {
        Matcher::new(&expr(query), exact)
            .unwrap()
            .matches(&row(None, Some(body), &[]))
    };
    assert!(judge("über", "ÜBER u\u{308}ber"));
    assert!(!judge("über", "uber"));
    assert!(!judge("uber", "über"));
    assert!(judge("NOT über", "uber"));
    assert!(judge("über ONEAR(0) b", "uber über b"));
    assert!(!judge("über ONEAR(0) b", "uber b über"));
    assert!(judge("caf?", "café"));
    assert!(!judge("R&Dé", "r&de"));
}

fn marked(query: &str, body: &str) -> String {
    let mut matcher = Matcher::new(&expr(query), MatchOptions::default()).unwrap();
    let found = matcher.highlights(&row(None, Some(body), &[]));
    let mut out = body.to_owned();
    for h in found.iter().rev() {
        out.insert(h.to, ']');
        out.insert(h.from, '[');
    }
    out
}

#[test]
fn highlights_stand_where_the_words_stand() {
    let golden = [
        ("keep", "Keep and keep", "[Keep] and [keep]"),
        (
            "\"should keep\" NOT this",
            "We should keep this",
            "We [should keep] this",
        ),
        ("über", "U\u{308}ber über", "[U\u{308}ber] [über]"),
        ("東京", "大東京都", "大[東京]都"),
        ("京", "東京都と京", "東[京]都と[京]"),
        ("\"今日 は\"", "今日はと今日 はい", "[今日は]と[今日 は]い"),
        ("東京都 京都", "東京都", "[東京都]"),
        ("wor*", "a word", "a [word]"),
        ("C++", "c c++", "c [c]++"),
        ("a NEAR(0) b", "a x a b y b", "a x [a] [b] y b"),
        ("a ONEAR(0) b", "b a b a", "b [a] [b] a"),
        ("body=\"x y\"", "X Y", "[X Y]"),
        ("body:x title:y", "x y", "[x] y"),
    ];
    for (query, body, expected) in golden {
        assert_eq!(marked(query, body), expected, "{query}");
    }
    let mut matcher = Matcher::new(&expr("plan"), MatchOptions::default()).unwrap();
    let found = matcher.highlights(&row(Some("the plan"), None, &["x", "plan.pdf"]));
    let places: Vec<_> = found
        .iter()
        .map(|h| (h.field, h.index, h.from, h.to))
        .collect();
    assert_eq!(
        places,
        [
            (TextField::Title, 0, 4, 8),
            (TextField::AttachmentName, 1, 0, 4)
        ]
    );
}

#[test]
fn a_query_of_many_words_hashes_them() {
    let query: Vec<String> = (0..200).map(|i| format!("w{i}")).collect();
    let mut matcher = Matcher::new(&expr(&query.join(" OR ")), MatchOptions::default()).unwrap();
    assert!(matcher.matches(&row(None, Some("x w199 y"), &[])));
    assert!(!matcher.matches(&row(None, Some("x w200 y"), &[])));
}
