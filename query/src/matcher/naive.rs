//! A naive evaluator that shares nothing with the matcher but the syntax tree, and the property that both agree.

use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use super::tests::row;
use super::*;
use crate::analyzer::oracle::{Piece, naive_chars, naive_pieces};
use crate::ast::{Span, Test, Text};
use crate::property::Property;

/// What takes a position: a word, an emoji, or a character of a run (`first` of it or not; `parted` by blanks alone from
/// the run before).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Atom {
    Word(String),
    Of {
        character: char,
        first: bool,
        parted: bool,
    },
}

fn atoms(text: &str) -> Vec<Atom> {
    let mut atoms = Vec::new();
    let mut blanks_only = true;
    for piece in naive_pieces(text, false) {
        match piece {
            Piece::Word(text) | Piece::Emoji(text) => atoms.push(Atom::Word(text)),
            Piece::Run(run) => {
                let parted = blanks_only && matches!(atoms.last(), Some(Atom::Of { .. }));
                let each = run.iter().enumerate();
                atoms.extend(each.map(|(i, character)| Atom::Of {
                    character: *character,
                    first: i == 0,
                    parted: i == 0 && parted,
                }));
            }
            Piece::Separator(c) => {
                blanks_only &= c.is_whitespace();
                continue;
            }
        }
        blanks_only = true;
    }
    atoms
}

/// Whether `text` has the shape of `pattern`, by trying everything.
fn glob(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|n| glob(rest, &text[n..])),
        Some(('?', rest)) => !text.is_empty() && glob(rest, &text[1..]),
        Some((c, rest)) => text.first() == Some(c) && glob(rest, &text[1..]),
    }
}

/// First and last position of every occurrence. Separators in words are not looked at here.
fn naive_occurrences(text: &Text, in_text: &[Atom]) -> Vec<(usize, usize)> {
    if let Text::Word(word) = text
        && word.contains(['*', '?'])
    {
        let pattern: Vec<char> = word.to_lowercase().chars().collect();
        let shaped = |atom: &Atom| matches!(atom, Atom::Word(w) if glob(&pattern, &w.chars().collect::<Vec<_>>()));
        return in_text
            .iter()
            .enumerate()
            .filter(|(_, a)| shaped(a))
            .map(|(i, _)| (i, i))
            .collect();
    }
    let (wanted, prefix) = match text {
        Text::Word(word) => (atoms(word), false),
        Text::Phrase { text, prefix } => (atoms(text), *prefix),
    };
    let at = |start: usize| {
        wanted.iter().enumerate().all(|(i, wanted_atom)| {
            let last = i + 1 == wanted.len();
            match (wanted_atom, in_text.get(start + i)) {
                (Atom::Word(w), Some(Atom::Word(found))) => {
                    w == found || (prefix && last && found.starts_with(w.as_str()))
                }
                (
                    Atom::Of {
                        character,
                        first,
                        parted,
                    },
                    Some(Atom::Of {
                        character: found,
                        first: begins,
                        ..
                    }),
                ) => {
                    // The first character of a run may be found within one, unless something else than a run and blanks is
                    // before it in the pattern.
                    character == found && (first == begins || (*first && (i == 0 || *parted)))
                }
                _ => false,
            }
        })
    };
    (0..in_text.len())
        .filter(|start| at(*start))
        .map(|start| (start, start + wanted.len() - 1))
        .collect()
}

fn near_texts(expr: &Expr) -> Vec<&Text> {
    match expr {
        Expr::Text { text, .. } => vec![text],
        Expr::Or { children, .. } => children.iter().flat_map(near_texts).collect(),
        other => panic!("{other}"),
    }
}

/// Whether the word's spelling stands somewhere as a whole.
fn naive_spelling(word: &str, value: &str) -> bool {
    let wanted = naive_chars(word, false);
    let found = naive_chars(value, false);
    let word_like = |c: Option<&char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_');
    (0..found.len()).any(|at| {
        found[at..].starts_with(&wanted)
            && !(word_like(wanted.first()) && at > 0 && word_like(found.get(at - 1)))
            && !(word_like(wanted.last()) && word_like(found.get(at + wanted.len())))
    })
}

fn naive(expr: &Expr, row: &Row<'_>) -> bool {
    let values = |fields: &[TextField]| -> Vec<String> {
        fields
            .iter()
            .flat_map(|f| f.values(&row.event))
            .map(|v| v.text.to_owned())
            .collect()
    };
    let found = |text: &Text, fields: &[TextField]| {
        values(fields).iter().any(|value| {
            let spelled = match text {
                Text::Word(word) if word.contains(['&', '.', '+', '\'']) => {
                    naive_spelling(word, value)
                }
                _ => true,
            };
            spelled && !naive_occurrences(text, &atoms(value)).is_empty()
        })
    };
    match expr {
        Expr::And { children, .. } => children.iter().all(|c| naive(c, row)),
        Expr::Or { children, .. } => children.iter().any(|c| naive(c, row)),
        Expr::Not { child, .. } => !naive(child, row),
        Expr::Text { text, .. } => found(text, &TextField::FREE),
        Expr::Near {
            left,
            right,
            distance,
            ordered,
            ..
        } => values(&TextField::FREE).iter().any(|value| {
            let atoms = atoms(value);
            let all = |side: &Expr| {
                near_texts(side)
                    .into_iter()
                    .flat_map(|t| naive_occurrences(t, &atoms))
                    .collect::<Vec<_>>()
            };
            let (left, right) = (all(left), all(right));
            let close = |a: &(usize, usize), b: &(usize, usize)| {
                b.0 > a.1 && b.0 - a.1 - 1 <= *distance as usize
            };
            left.iter().any(|l| {
                right
                    .iter()
                    .any(|r| close(l, r) || (!ordered && close(r, l)))
            })
        }),
        Expr::Property {
            property: Property::Title,
            test: Test::Text(text),
            ..
        } => found(text, &[TextField::Title]),
        Expr::Property {
            property: Property::Filename,
            test: Test::Text(text),
            ..
        } => found(text, &[TextField::AttachmentName]),
        Expr::Property {
            property: Property::Body,
            test: Test::Equals(value),
            ..
        } => values(&[TextField::Body])
            .iter()
            .any(|v| alike(v) == alike(value)),
        other => panic!("the naive evaluator does not know {other}"),
    }
}

/// A whole value without case, and however its characters are composed.
fn alike(value: &str) -> String {
    value.nfkc().collect::<String>().to_lowercase()
}

const WORDS: [&str; 16] = [
    "a",
    "b",
    "ab",
    "abc",
    "Ta",
    "é",
    "東",
    "京",
    "東京",
    "京東",
    "東京東",
    "a東",
    "東a",
    "👍",
    "👍🏽",
    "x_1",
];

fn values() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => proptest::sample::select(WORDS.to_vec()),
        4 => Just(" "),
        1 => proptest::sample::select(vec![".", "&", "'", "’", "+", "、", "+ +", "a.b", "a&b", "it's", "e\u{301}"]),
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// Bodies that are such a word, decomposed, are rare among those that are generated.
#[test]
fn a_whole_value_is_equal_however_it_is_composed() {
    let query = Expr::Property {
        property: Property::Body,
        test: Test::Equals("é".to_owned()),
        span: Span::default(),
    };
    for (body, found) in [("e\u{301}", true), ("É", true), ("e", false), ("éé", false)] {
        let row = row(None, Some(body), &[]);
        let mut matcher = Matcher::new(&query, MatchOptions::default()).unwrap();
        assert_eq!(matcher.matches(&row), found, "{body}");
        assert_eq!(naive(&query, &row), found, "{body}");
    }
}

fn texts(spelled: bool) -> BoxedStrategy<Text> {
    let words = proptest::sample::select(WORDS.to_vec()).prop_map(|w| Text::Word(w.to_owned()));
    let wild = proptest::sample::select(vec![
        "a*", "ab*", "a?", "?bc*a", "*abc*", "t*", "a*c", "x?1",
    ]);
    let wild = wild
        .prop_filter("short infix", |w| *w != "?bc*a")
        .prop_map(|w| Text::Word(w.to_owned()));
    let phrases = (
        proptest::collection::vec(proptest::sample::select(WORDS.to_vec()), 1..4),
        proptest::sample::select(vec![" ", " ", "\u{3000}", "、"]),
        any::<bool>(),
    )
        .prop_map(|(words, between, prefix)| Text::Phrase {
            text: words.join(between),
            prefix,
        });
    let literal = proptest::sample::select(vec![
        "a.b", "a&b", "it's", "a+", ".a", "東.京", "a.東", "b+a", "a'",
    ]);
    let literal = literal.prop_map(|w| Text::Word(w.to_owned()));
    if spelled {
        prop_oneof![4 => words, 2 => wild, 2 => phrases, 3 => literal].boxed()
    } else {
        prop_oneof![4 => words, 2 => wild, 3 => phrases].boxed()
    }
}

fn leaf(text: Text) -> Expr {
    Expr::Text {
        text,
        span: Span::default(),
    }
}

fn queries() -> impl Strategy<Value = Expr> {
    let operand = proptest::collection::vec(texts(false).prop_map(leaf), 1..3).prop_map(Expr::or);
    let near = (operand.clone(), operand, 0..4_u32, any::<bool>()).prop_map(
        |(left, right, distance, ordered)| Expr::Near {
            left: Box::new(left),
            right: Box::new(right),
            distance,
            ordered,
            span: Span::default(),
        },
    );
    let property = |property, test| Expr::Property {
        property,
        test,
        span: Span::default(),
    };
    let leaves = prop_oneof![
        5 => texts(true).prop_map(leaf),
        3 => near,
        1 => texts(true).prop_map(move |t| property(Property::Title, Test::Text(t))),
        1 => texts(true).prop_map(move |t| property(Property::Filename, Test::Text(t))),
        1 => proptest::sample::select(WORDS.to_vec()).prop_map(move |w| property(Property::Body, Test::Equals(w.to_owned()))),
    ];
    leaves.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::and),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::or),
            inner.prop_map(Expr::not),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]

    #[test]
    fn se1_the_matcher_like_the_naive_evaluator(
        query in queries(),
        title in proptest::option::of(values()),
        body in proptest::option::of(values()),
        names in proptest::collection::vec(values(), 0..3),
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let row = row(title.as_deref(), body.as_deref(), &names);
        let mut matcher = Matcher::new(&query, MatchOptions::default()).unwrap();
        let matched = matcher.matches(&row);
        prop_assert_eq!(matched, naive(&query, &row), "{}", query);
        prop_assert_eq!(matcher.matches(&row), matched, "judged again with the same scratch");
        let narrowed = Matcher::new(&query, MatchOptions { exact_diacritics: true }).unwrap().matches(&row);
        prop_assert!(matched || !narrowed || query.to_string().contains("NOT"), "exact diacritics only narrow");
        for h in matcher.highlights(&row) {
            let text = h.field.value(&row.event, h.index).unwrap();
            prop_assert!(h.from < h.to && text.get(h.from..h.to).is_some());
        }
    }
}
