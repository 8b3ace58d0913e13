//! Judging one row.

use holdfast_schemas::{Event, Row};

use super::Scratch;
use super::compile::{Near, Node, Word};
use super::occurrence::{Compiled, Occurrence, near};
use super::reading::{Hit, Reading};
use crate::analyzer::fold_keyword;
use crate::plan::{KeywordField, KeywordTest, TextField, TimeColumn};

pub(super) fn eval(node: &Node, row: &Row<'_>, scratch: &mut Scratch) -> bool {
    match node {
        Node::All(children) => children.iter().all(|child| eval(child, row, scratch)),
        Node::Any(children) => children.iter().any(|child| eval(child, row, scratch)),
        Node::Not(child) => !eval(child, row, scratch),
        Node::Text { fields, word } => fields
            .iter()
            .any(|field| occurs(word, *field, &row.event, scratch)),
        Node::Near(near) => near
            .fields
            .iter()
            .any(|field| is_near(near, *field, &row.event, scratch)),
        Node::Keyword { fields, test } => {
            fields.iter().any(|field| keyword(*field, test, &row.event))
        }
        Node::Whole { fields, value } => {
            fields.iter().any(|field| whole(*field, value, &row.event))
        }
        Node::Time {
            column,
            from_us,
            to_us,
        } => {
            let time_us = match column {
                TimeColumn::Event => row.event.time_us,
                TimeColumn::Ingest => row.intake.ingest_time_us,
            };
            from_us.is_none_or(|from| from <= time_us) && to_us.is_none_or(|to| time_us < to)
        }
        Node::Size {
            from_bytes,
            to_bytes,
        } => row
            .event
            .attachments
            .iter()
            .filter_map(|a| a.size)
            .any(|size| {
                from_bytes.is_none_or(|from| from <= size) && to_bytes.is_none_or(|to| size <= to)
            }),
        Node::HasAttachment(wanted) => row.event.attachments.is_empty() != *wanted,
    }
}

fn occurs(word: &Word, field: TextField, event: &Event<'_>, scratch: &mut Scratch) -> bool {
    read(word.exact.is_some(), field, event, scratch);
    let Scratch { folded, exact, .. } = scratch;
    folded.values(field).any(|(index, hits)| {
        let text = field.value(event, index).unwrap_or_default();
        word.folded.occurs(hits, text)
            && word
                .exact
                .as_ref()
                .is_none_or(|pattern| pattern.occurs(exact.hits(field, index), text))
    })
}

pub(super) fn read(with_exact: bool, field: TextField, event: &Event<'_>, scratch: &mut Scratch) {
    scratch.folded.read(field, event);
    if with_exact {
        scratch.exact.read(field, event);
    }
}

fn is_near(node: &Near, field: TextField, event: &Event<'_>, scratch: &mut Scratch) -> bool {
    read(has_exact(node), field, event, scratch);
    let Scratch {
        folded,
        exact,
        left,
        right,
    } = scratch;
    folded.values(field).any(|(index, hits)| {
        let text = field.value(event, index).unwrap_or_default();
        near_in(node, hits, text, |word| Some(&word.folded), left, right)
            && (!has_exact(node) || near_exactly(node, exact, field, index, text, left, right))
    })
}

pub(super) fn has_exact(node: &Near) -> bool {
    node.left
        .iter()
        .chain(&node.right)
        .any(|word| word.exact.is_some())
}

fn near_exactly(
    node: &Near,
    exact: &Reading,
    field: TextField,
    index: usize,
    text: &str,
    left: &mut Vec<Occurrence>,
    right: &mut Vec<Occurrence>,
) -> bool {
    near_in(
        node,
        exact.hits(field, index),
        text,
        |word| word.exact.as_ref(),
        left,
        right,
    )
}

/// Whether the operands are near each other in one value; leaves their occurrences, ascending.
pub(super) fn near_in(
    node: &Near,
    hits: &[Hit],
    text: &str,
    pattern: impl Fn(&Word) -> Option<&Compiled>,
    left: &mut Vec<Occurrence>,
    right: &mut Vec<Occurrence>,
) -> bool {
    for (words, occurrences) in [(&node.left, &mut *left), (&node.right, &mut *right)] {
        occurrences.clear();
        for pattern in words.iter().filter_map(&pattern) {
            occurrences.extend(pattern.each(hits, text));
        }
        occurrences.sort_unstable();
    }
    near(left, right, node.distance, node.ordered)
}

fn keyword(field: KeywordField, test: &KeywordTest, event: &Event<'_>) -> bool {
    let Some(value) = field.value(event) else {
        return false;
    };
    match test {
        // ASCII folds to ASCII: nothing to fold, nothing to allocate.
        KeywordTest::Equals(wanted) if value.is_ascii() => value.eq_ignore_ascii_case(wanted),
        KeywordTest::Equals(wanted) => fold_keyword(&value) == *wanted,
        KeywordTest::Prefix(wanted) if value.is_ascii() => value
            .get(..wanted.len())
            .is_some_and(|beginning| beginning.eq_ignore_ascii_case(wanted)),
        KeywordTest::Prefix(wanted) => fold_keyword(&value).starts_with(wanted.as_str()),
    }
}

fn whole(field: TextField, wanted: &str, event: &Event<'_>) -> bool {
    field
        .values(event)
        .any(|value| fold_keyword(value.text) == wanted)
}
