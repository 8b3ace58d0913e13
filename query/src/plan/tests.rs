//! What constructs mean: the lowered form, golden.

use jiff::tz::TimeZone;

use super::*;
use crate::ast::{Expr, ParticipantsExpansion, Test};
use crate::parse::{ParseOptions, parse};
use crate::property::Property;

fn expr(text: &str) -> Expr {
    let options = ParseOptions {
        tz: TimeZone::UTC,
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    parse(text, &options)
        .unwrap_or_else(|e| panic!("{text}: {e}"))
        .expr
}

fn plan(text: &str) -> Plan {
    lower(&expr(text), false).unwrap()
}

/// `offset:test` of each slot, then the width, then `!` if a spelling must be checked.
fn shown(pattern: &Pattern) -> String {
    let test = |test: &TermTest| match test {
        TermTest::Exact(text) => text.clone(),
        TermTest::Prefix(text) => format!("{text}..."),
        TermTest::Pattern(pattern) => format!("/{}/", pattern.regex()),
    };
    let slots: Vec<String> = pattern
        .slots
        .iter()
        .map(|s| format!("{}:{}", s.offset, test(&s.test)))
        .collect();
    format!(
        "{} w{}{}",
        slots.join(" "),
        pattern.width,
        if pattern.literal.is_some() { "!" } else { "" }
    )
}

#[test]
fn golden_patterns() {
    let golden = [
        ("Budget", "0:budget w1"),
        ("Über", "0:uber w1"),
        ("\"Two, words\"", "0:two 1:words w2"),
        ("wor*", "0:wor... w1"),
        ("wo?d", "0:/wo.d/ w1"),
        ("*nfi*", "0:/.*nfi.*/ w1"),
        ("w*d*", "0:/w.*d.*/ w1"),
        ("\"two wor\"*", "0:two 1:wor... w2"),
        ("東", "0:東... w1"),
        ("東京", "0:東京 w2"),
        ("東京都", "0:東京 1:京都 w3"),
        ("東京*", "0:東京 w2"),
        ("*東*", "0:東... w1"),
        ("東?都", "0:/東./ 1:/.都/ w3"),
        ("東京?", "0:東京 1:/京./ w3"),
        ("東京tower", "0:東京 1:京 2:tower w3"),
        ("Tシャツ", "0:t 1:シャ 2:ャツ w4"),
        ("abc東*", "0:abc 1:東... w2"),
        ("\"東京 大\"", "0:東京 1:京... 2:大... w3"),
        ("\"東京、大\"", "0:東京 1:京 2:大... w3"),
        (
            "\"今日 は\u{3000}晴れ tower\"",
            "0:今日 1:日... 2:は... 3:晴れ 4:れ 5:tower w6",
        ),
        ("\"大 tower\"", "0:大 1:tower w2"),
        ("👍🏽", "0:👍 1:🏽 w2"),
        ("👨\u{200d}👩", "0:👨 1:👩 w2!"),
        ("❤\u{fe0f}", "0:❤ w1"),
        ("🇯🇵🇩🇪", "0:🇯🇵 1:🇩🇪 w2"),
        ("R&D", "0:r 1:d w2!"),
        ("C++", "0:c w1!"),
        ("docs.r*", "0:docs 1:r... w2!"),
        ("*.pdf", "0:pdf w1!"),
        ("plan.*", "0:plan w1!"),
        ("foo-b?r", "0:foo 1:/b.r/ w2!"),
        ("東京!", "0:東京 w2!"),
        ("½", "0:1 1:2 w2!"),
        ("ก็", "0:ก็ w2"),
    ];
    for (text, expected) in golden {
        let Plan::Text { fields, operand } = plan(text) else {
            panic!("{text}")
        };
        assert_eq!(fields, TextField::FREE);
        assert_eq!(shown(&operand.pattern), expected, "{text}");
        assert_eq!(operand.decided_by_terms(), !expected.ends_with('!'));
    }
}

#[test]
fn a_person_is_ids_as_a_whole_or_terms_of_the_name() {
    let Plan::Any(alternatives) = plan("from:\"Ana P\"*") else {
        panic!()
    };
    let ids = vec![
        KeywordField::ActorId,
        KeywordField::ActorUri,
        KeywordField::ActorEmail,
    ];
    assert_eq!(
        alternatives[0],
        Plan::Keyword {
            fields: ids.clone(),
            test: KeywordTest::Prefix("ana p".to_owned())
        }
    );
    let Plan::Text { fields, operand } = &alternatives[1] else {
        panic!()
    };
    assert_eq!(
        (fields.as_slice(), shown(&operand.pattern).as_str()),
        (&[TextField::ActorName][..], "0:ana 1:p... w2")
    );
    assert_eq!(
        plan("from:+++"),
        Plan::Keyword {
            fields: ids,
            test: KeywordTest::Equals("+++".to_owned())
        }
    );
}

#[test]
fn every_property_lowers_to_what_its_table_says() {
    let keyword = |fields: &[KeywordField], value: &str| Plan::Keyword {
        fields: fields.to_vec(),
        test: KeywordTest::Equals(value.to_owned()),
    };
    use KeywordField as K;
    for (text, fields) in [
        ("room:X", &[K::RoomId, K::RoomName][..]),
        ("room=X", &[K::RoomId, K::RoomName]),
        ("category:X", &[K::Category]),
        ("type:X", &[K::EventType]),
        ("kind:X", &[K::MessageKind]),
        ("reaction:X", &[K::Reaction]),
        ("actorkind:X", &[K::ActorKind]),
        ("target:X", &[K::TargetId]),
        ("message:X", &[K::MessageId]),
        ("reply_to:X", &[K::ReplyTo]),
        ("id:X", &[K::EventId]),
        ("origin:X", &[K::Origin]),
    ] {
        assert_eq!(plan(text), keyword(fields, "x"), "{text}");
    }
    let day = 86_400_000_000;
    let time = |column, from_us, to_us| Plan::Time {
        column,
        from_us,
        to_us,
    };
    assert_eq!(
        plan("date:1970-01-02"),
        time(TimeColumn::Event, Some(day), Some(2 * day))
    );
    assert_eq!(
        plan("date>1970-01-02"),
        time(TimeColumn::Event, Some(2 * day), None)
    );
    assert_eq!(
        plan("date>=1970-01-02"),
        time(TimeColumn::Event, Some(day), None)
    );
    assert_eq!(
        plan("received<1970-01-02"),
        time(TimeColumn::Ingest, None, Some(day))
    );
    assert_eq!(
        plan("received<=1970-01-02"),
        time(TimeColumn::Ingest, None, Some(2 * day))
    );
    assert_eq!(
        plan("date:1970-01-02..1970-01-03"),
        time(TimeColumn::Event, Some(day), Some(3 * day))
    );
    let size = |from_bytes, to_bytes| Plan::Size {
        from_bytes,
        to_bytes,
    };
    assert_eq!(plan("size:1KB"), size(Some(1_000), Some(1_000)));
    assert_eq!(plan("size>1KiB"), size(Some(1_025), None));
    assert_eq!(plan("size<=1.5KB"), size(None, Some(1_500)));
    assert_eq!(plan("size:1..2"), size(Some(1), Some(2)));
    assert_eq!(plan("hasattachment=no"), Plan::HasAttachment(false));
    assert_eq!(
        plan("title=\"Das Große\""),
        Plan::Whole {
            fields: vec![TextField::Title],
            value: "das grosse".to_owned(),
            within: Some(match plan("\"das grosse\"") {
                Plan::Text { operand, .. } => operand.pattern,
                _ => unreachable!(),
            }),
        }
    );
    assert_eq!(
        plan("body=\"!\""),
        Plan::Whole {
            fields: vec![TextField::Body],
            value: "!".to_owned(),
            within: None
        }
    );
}

#[test]
fn exact_diacritics_ask_for_both_spellings() {
    let Plan::Text { operand, .. } = lower(&expr("Über"), true).unwrap() else {
        panic!()
    };
    assert_eq!(shown(&operand.pattern), "0:uber w1");
    assert_eq!(
        operand.exact.as_ref().map(shown).as_deref(),
        Some("0:über w1")
    );
    assert!(!operand.decided_by_terms());
}

struct Rooms;

impl ParticipantsExpansion for Rooms {
    fn expand(&self, test: &Test) -> Expr {
        let Test::Value { value, .. } = test else {
            return Expr::or(Vec::new());
        };
        let stay = Expr::between_us(Property::Date, Some(0), Some(1));
        Expr::or(vec![
            Expr::equals(Property::From, value.clone()),
            Expr::and(vec![Expr::equals(Property::Room, "r-1"), stay]),
        ])
    }
}

#[test]
fn participants_are_expanded_or_an_error() {
    let query = expr("secret NOT custodian:u-7");
    let error = lower(&query, false).unwrap_err();
    assert_eq!(error, LowerError::Unexpanded("participants:u-7".to_owned()));
    assert_eq!(query.participants().len(), 1);
    let expanded = query.expand_participants(&Rooms);
    assert_eq!(
        expanded.to_string(),
        "secret AND NOT (from=u-7 OR (room=r-1 AND date:1970-01-01T00:00:00.000000Z..1970-01-01T00:00:00.000001Z))"
    );
    assert_eq!(
        expr(&expanded.to_string()).without_spans(),
        expanded.without_spans()
    );
    assert!(lower(&expanded, false).is_ok());
}

#[test]
fn wildcards_match_whole_terms() {
    let Plan::Text { operand, .. } = plan("a*b?d*") else {
        panic!()
    };
    let TermTest::Pattern(pattern) = &operand.pattern.slots[0].test else {
        panic!()
    };
    for (term, expected) in [
        ("abcd", true),
        ("axxbxdyy", true),
        ("abbxd", true),
        ("abd", false),
        ("xabcd", false),
        ("a", false),
        ("aébéd", true),
    ] {
        assert_eq!(pattern.matches(term), expected, "{term}");
    }
    assert_eq!(
        (pattern.prefix(), pattern.regex().as_str()),
        ("a", "a.*b.d.*")
    );
}
