//! What parses to what, what does not and why, and that printing loses nothing.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::ast::{Comparison, Test, Text};
use crate::limits::NEAR_DISTANCE_MAX;
use crate::property::Property;

fn options() -> ParseOptions {
    ParseOptions {
        tz: TimeZone::UTC,
        now: "2026-11-20T12:00:00Z".parse().unwrap(),
    }
}

fn printed(text: &str) -> String {
    parse(text, &options())
        .unwrap_or_else(|e| panic!("{text}: {e}"))
        .to_string()
}

fn error(text: &str) -> String {
    parse(text, &options()).expect_err(text).to_string()
}

#[test]
fn golden_queries() {
    let golden = [
        ("budget", "budget"),
        ("  two   words ", "two AND words"),
        ("a AND b OR c d", "(a AND b) OR (c AND d)"),
        ("a OR b AND NOT c", "a OR (b AND NOT c)"),
        ("NOT a b", "NOT a AND b"),
        (
            "-a -\"b c\" -from:ana",
            "NOT a AND NOT \"b c\" AND NOT from:ana",
        ),
        ("NOT (a OR b)", "NOT (a OR b)"),
        ("NOT NOT a", "NOT NOT a"),
        ("((a))", "a"),
        ("(a b) c", "(a AND b) AND c"),
        ("and or not near", "and AND or AND not AND near"),
        ("a NEAR b", "a NEAR(8) b"),
        ("a NEAR(3) b c", "(a NEAR(3) b) AND c"),
        ("NOT a ONEAR(n=0) \"b c\"", "NOT (a ONEAR(0) \"b c\")"),
        ("(a OR b*) NEAR(2) c?d", "(a OR b*) NEAR(2) c?d"),
        ("“two words”", "\"two words\""),
        (
            "„two words“ \"say \"\"hi\"\" now\"",
            "\"two words\" AND \"say \"\"hi\"\" now\"",
        ),
        ("\"two wor\"*", "\"two wor\"*"),
        (
            "R&D C++ docs.rs don't :smile: a->b",
            "R&D AND C++ AND docs.rs AND don't AND :smile: AND a->b",
        ),
        ("word* *infix* wo?d", "word* AND *infix* AND wo?d"),
        ("*", "*"),
        ("-*", "NOT *"),
        (
            "FROM:Ana sender:\"Ana Pérez\" author:an*",
            "from:Ana AND from:\"Ana Pérez\" AND from:an*",
        ),
        (
            "custodian:u-7 participants=u-7",
            "participants:u-7 AND participants=u-7",
        ),
        (
            "room:\"a (b)\" room:\"say \"\"hi\"\"\"*",
            "room:\"a (b)\" AND room:\"say \"\"hi\"\"\"*",
        ),
        (
            "type:chat.message.* -kind:alert",
            "type:chat.message.* AND NOT kind:alert",
        ),
        (
            "subject:plan title:\"big plan\" filename:*.pdf",
            "title:plan AND title:\"big plan\" AND filename:*.pdf",
        ),
        ("title=\"the whole title\"", "title=\"the whole title\""),
        (
            "date:2026 date>=2026-01-01 date<2026-11-20T05:10Z",
            "date:2026 AND date>=2026-01-01 AND date<2026-11-20T05:10Z",
        ),
        (
            "sent:2026-01..2026-03 received>today",
            "date:2026-01..2026-03 AND received>2026-11-20",
        ),
        ("date:\"2026-01-01 10:00\"", "date:2026-01-01T10:00"),
        (
            "size>1.5MB size:10kb..2MiB size=0",
            "size>1.5MB AND size:10kb..2MiB AND size:0",
        ),
        (
            "hasattachment:YES hasattachment:0",
            "hasattachment:true AND hasattachment:false",
        ),
        (
            "reaction:👍 replyto:m-1 actorkind:bot",
            "reaction:\"👍\" AND reply_to:m-1 AND actorkind:bot",
        ),
        ("東京\u{3000}大阪", "東京 AND 大阪"),
        ("(a)(b)c\"d\"", "a AND b AND c AND \"d\""),
    ];
    for (text, expected) in golden {
        assert_eq!(printed(text), expected, "{text}");
        assert_eq!(printed(expected), expected, "printed again");
    }
}

#[test]
fn spans_name_the_place() {
    let query = parse("alpha NOT (b OR from:\"x y\")", &options()).unwrap();
    let mut seen = Vec::new();
    query
        .expr
        .walk(&mut |e| seen.push(&query.text[e.span().from..e.span().to]));
    assert_eq!(
        seen,
        [
            "alpha NOT (b OR from:\"x y\"",
            "alpha",
            "NOT (b OR from:\"x y\"",
            "b OR from:\"x y\"",
            "b",
            "from:\"x y\""
        ]
    );
}

#[test]
fn golden_errors() {
    let golden = [
        (
            "budget form:ana",
            "unknown property `form` (column 8)\n  budget form:ana\n         ^^^^\nhint: did you mean `from`? if the text itself is meant, quote it: \"form:…\"",
        ),
        (
            "東京 AND (a",
            "this parenthesis is not closed (column 8)\n  東京 AND (a\n           ^\nhint: add `)`",
        ),
        (
            "a OR",
            "something must follow here (column 3)\n  a OR\n    ^^\nhint: add a word, or remove what waits for one",
        ),
        (
            "from>ana",
            "`from` has no order (column 5)\n  from>ana\n      ^\nhint: write from:value or from=value; date, received and size can be compared",
        ),
    ];
    for (text, expected) in golden {
        assert_eq!(error(text), expected);
    }
}

#[test]
fn every_mistake_has_a_place_and_a_hint() {
    let mistakes = [
        ("", 1, "empty"),
        ("   ", 1, "empty"),
        ("a )", 3, "closes nothing"),
        ("()", 2, "before this `)`"),
        ("AND a", 1, "nothing before"),
        ("a OR OR b", 6, "nothing before"),
        ("NOT", 1, "must follow"),
        ("a NEAR", 3, "must follow"),
        ("a NEAR(x) b", 7, "number from 0"),
        ("a NEAR(1001) b", 7, "number from 0"),
        ("a NEAR(3", 7, "number from 0"),
        ("a NEAR b NEAR c", 10, "two operands"),
        ("(a b) NEAR c", 2, "cannot be near"),
        ("from:x NEAR c", 1, "cannot be near"),
        ("a NEAR -c", 8, "NOT cannot"),
        ("\"open", 1, "not closed"),
        ("!!!", 1, "nothing to search for"),
        ("\"...\"", 1, "nothing to search for"),
        ("from: ana", 5, "no value"),
        ("date > 2026", 6, "nothing to search for"),
        ("http://x", 1, "unknown property `http`"),
        ("10:30", 1, "unknown property `10`"),
        ("a=b", 1, "unknown property `a`"),
        ("from：ana", 5, "full-width"),
        ("room<>x", 5, "no operator"),
        ("room:a*b", 6, "other wildcard"),
        ("room:*", 6, "other wildcard"),
        ("room=a*", 6, "no wildcard"),
        ("room:f(x)", 7, "blank must follow"),
        ("room:\"a\"b", 9, "blank must follow"),
        ("room:\"\"", 6, "no value"),
        ("date:yesterdy", 6, "no date"),
        ("date:2026-02-30", 6, "no day"),
        ("date:2026..2025", 6, "ends before"),
        ("date:2026..", 6, "no date"),
        ("size:2MB..1MB", 6, "ends before"),
        ("size:1.5", 6, "no size"),
        ("size:many", 6, "no size"),
        ("size:9999999999999999TB", 6, "no size"),
        ("hasattachment:maybe", 15, "true or false"),
        ("title>a", 6, "no order"),
        ("title:***", 7, "nothing to search for"),
        ("?a", 1, "begins with a wildcard"),
        ("*ab*", 1, "begins with a wildcard"),
        ("abc?東", 1, "no single term"),
        ("a.*.b", 1, "no single term"),
        ("東*都", 1, "without blanks"),
        ("東??都", 1, "without blanks"),
    ];
    for (text, column, message) in mistakes {
        let error = parse(text, &options()).expect_err(text);
        assert!(error.message.contains(message), "{text}: {error}");
        assert_eq!(error.column(), column, "{error}");
        assert!(error.hint.as_ref().is_some_and(|h| !h.is_empty()), "{text}");
    }
}

#[test]
fn length_depth_and_leaves_are_bounded() {
    let nested = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&nested(QUERY_DEPTH_MAX), &options()).is_ok());
    assert!(error(&nested(QUERY_DEPTH_MAX + 1)).contains("nested"));
    assert!(error(&"NOT ".repeat(1_000)).contains("nested"));
    assert!(error(&"-".repeat(60_000)).contains("nested"));
    assert!(error(&"a ".repeat(QUERY_LEAVES_MAX + 1)).contains("more than"));
    assert!(error(&"a".repeat(QUERY_BYTES_MAX + 1)).contains("bytes long"));
    assert!(parse(&"a".repeat(QUERY_BYTES_MAX), &options()).is_ok());
}

#[test]
fn the_caret_stays_below_what_is_meant() {
    let long = format!(
        "{} foo:bar {}",
        "lorem ".repeat(50).trim_end(),
        "ipsum ".repeat(50).trim_end()
    );
    let caret = parse(&long, &options()).unwrap_err().caret();
    let lines: Vec<&str> = caret.lines().collect();
    let column = lines[1].find('^').unwrap();
    let shown: String = lines[0].chars().skip(column).take(3).collect();
    assert_eq!(shown, "foo", "{caret}");
    assert!(lines[0].chars().count() <= 102, "{caret}");
    let tab = parse("a\n\tfoo:x", &options()).unwrap_err().caret();
    assert_eq!(tab, "  a  foo:x\n     ^^^");
}

fn text_leaf() -> impl Strategy<Value = Expr> {
    let word = proptest::sample::select(vec![
        "a", "Budget", "R&D", "docs.rs", "wor*", "*infix*", "w?d", "東京", "東?都", "👍", ":x:",
        "a-b",
    ]);
    let phrase = proptest::sample::select(vec![
        "two words",
        "say \"hi\"",
        "AND",
        "a",
        "(x) *",
        "東京 tower",
    ]);
    let text = prop_oneof![
        word.prop_map(|w| Text::Word(w.to_owned())),
        (phrase, any::<bool>()).prop_map(|(p, prefix)| Text::Phrase {
            text: p.to_owned(),
            prefix
        }),
    ];
    text.prop_map(|text| Expr::Text {
        text,
        span: Span::default(),
    })
}

fn property_leaf() -> impl Strategy<Value = Expr> {
    let values = vec![
        "ana",
        "r-42",
        "a b",
        "x\"y",
        "a*",
        "?",
        "x..y",
        "=z",
        "-q",
        "sip:ana@example.com",
        "会議",
        "AND",
        "(",
        "a (b)",
    ];
    let whole: Vec<Property> = Property::all()
        .filter(|p| {
            use crate::property::PropertyKind::{Person, Whole};
            matches!(p.kind(), Person | Whole)
        })
        .collect();
    let value = (
        proptest::sample::select(whole),
        proptest::sample::select(values),
        0..3,
    )
        .prop_map(|(property, value, how)| {
            let value = value.to_owned();
            let test = match how {
                0 => Test::Equals(value),
                how => Test::Value {
                    value,
                    prefix: how == 2,
                },
            };
            Expr::Property {
                property,
                test,
                span: Span::default(),
            }
        });
    let texts = proptest::sample::select(vec![Property::Title, Property::Body, Property::Filename]);
    let text = (texts, text_leaf()).prop_map(|(property, leaf)| match leaf {
        Expr::Text { text, span } => Expr::Property {
            property,
            test: Test::Text(text),
            span,
        },
        other => other,
    });
    let comparisons = vec![
        Comparison::Is,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ];
    let time = (
        proptest::sample::select(comparisons.clone()),
        -10_000_000_000_000_000..10_000_000_000_000_000_i64,
    )
        .prop_map(|(comparison, us)| Test::Time {
            comparison,
            bound: crate::time::TimeSpan::instant(us),
        });
    let between = (0..1_000_000_000_i64, 0..1_000_000_000_i64).prop_map(|(a, length)| {
        let instant = crate::time::TimeSpan::instant;
        Test::TimeBetween {
            from: instant(a),
            to: instant(a + length),
        }
    });
    let times = (
        prop_oneof![Just(Property::Date), Just(Property::Received)],
        prop_oneof![time, between],
    );
    let size = (
        proptest::sample::select(comparisons),
        proptest::sample::select(vec!["0", "10KB", "1.5mib"]),
    )
        .prop_map(|(comparison, text)| Test::Size {
            comparison,
            bound: parse_size(text).unwrap(),
        });
    let leaf = |(property, test)| Expr::Property {
        property,
        test,
        span: Span::default(),
    };
    prop_oneof![
        4 => value,
        2 => text,
        2 => times.prop_map(leaf),
        1 => size.prop_map(move |test| leaf((Property::Size, test))),
        1 => any::<bool>().prop_map(move |flag| leaf((Property::HasAttachment, Test::Flag(flag)))),
    ]
}

/// Any tree that a query can say.
pub(crate) fn trees() -> impl Strategy<Value = Expr> {
    let operand = prop_oneof![
        text_leaf(),
        proptest::collection::vec(text_leaf(), 2..4).prop_map(Expr::or),
    ];
    let near = (
        operand.clone(),
        operand,
        0..=NEAR_DISTANCE_MAX,
        any::<bool>(),
    )
        .prop_map(|(left, right, distance, ordered)| Expr::Near {
            left: Box::new(left),
            right: Box::new(right),
            distance,
            ordered,
            span: Span::default(),
        });
    let leaf = prop_oneof![4 => text_leaf(), 3 => property_leaf(), 2 => near, 1 => Just(Expr::and(Vec::new()))];
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::and),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::or),
            inner.prop_map(Expr::not),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_printed_parses_to_the_same_tree(tree in trees()) {
        let text = tree.to_string();
        let again = parse(&text, &options()).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(again.expr.without_spans(), tree, "{}", text);
    }

    #[test]
    fn any_text_parses_stably_or_says_where_it_does_not(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            "a", "budget", "東京", "👍🏽", "AND", "OR", "NOT", "NEAR", "ONEAR(2)", "NEAR(", "(", ")", "-", "\"", "“", "*", "?", ":", "=",
            ">=", "..", "from:", "room:x", "date:2026", "size>1", "title:", "hasattachment:", " ", " ", " ", "&", "é", "\u{301}", "\n", "custodian:",
        ]), 0..14)
    ) {
        let text = pieces.concat();
        match parse(&text, &options()) {
            Ok(query) => {
                let printed = query.to_string();
                let again = parse(&printed, &options()).map_err(|e| TestCaseError::fail(format!("{text:?}: {e}")))?;
                prop_assert_eq!(again.expr.without_spans(), query.expr.without_spans());
                prop_assert_eq!(again.to_string(), printed);
            }
            Err(error) => {
                prop_assert!(text.get(error.span.from..error.span.to).is_some(), "{:?}", error);
                prop_assert!(error.to_string().contains("\nhint: "));
            }
        }
    }
}
