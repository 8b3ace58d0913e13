//! Where the words of a query stand.

use holdfast_schemas::Row;

use super::compile::{Near, Node, Word};
use super::eval::{has_exact, near_in, read};
use super::occurrence::{Occurrence, followed, preceded, reach_max};
use super::{Highlight, Scratch};
use crate::analyzer::fold_keyword;
use crate::plan::TextField;

pub(super) fn collect(
    node: &Node,
    row: &Row<'_>,
    scratch: &mut Scratch,
    found: &mut Vec<Highlight>,
) {
    match node {
        Node::All(children) | Node::Any(children) => {
            children
                .iter()
                .for_each(|child| collect(child, row, scratch, found));
        }
        Node::Text { fields, word } => {
            for field in fields {
                of_word(word, *field, row, scratch, found);
            }
        }
        Node::Near(near) => {
            for field in &near.fields {
                of_near(near, *field, row, scratch, found);
            }
        }
        Node::Whole { fields, value } => {
            for field in fields {
                for text in field
                    .values(&row.event)
                    .filter(|v| fold_keyword(v.text) == *value)
                {
                    found.push(Highlight {
                        field: *field,
                        index: text.index,
                        from: 0,
                        to: text.text.len(),
                    });
                }
            }
        }
        Node::Not(_)
        | Node::Keyword { .. }
        | Node::Time { .. }
        | Node::Size { .. }
        | Node::HasAttachment(_) => {}
    }
}

fn highlight(field: TextField, index: usize, occurrence: Occurrence) -> Highlight {
    Highlight {
        field,
        index,
        from: occurrence.from,
        to: occurrence.to,
    }
}

fn of_word(
    word: &Word,
    field: TextField,
    row: &Row<'_>,
    scratch: &mut Scratch,
    found: &mut Vec<Highlight>,
) {
    read(word.exact.is_some(), field, &row.event, scratch);
    for (index, hits) in scratch.folded.values(field) {
        let text = field.value(&row.event, index).unwrap_or_default();
        let exact = match &word.exact {
            Some(pattern) => pattern
                .each(scratch.exact.hits(field, index), text)
                .collect(),
            None => Vec::new(),
        };
        for occurrence in word.folded.each(hits, text) {
            if word.exact.is_none()
                || exact
                    .iter()
                    .any(|e| e.from == occurrence.from && e.to == occurrence.to)
            {
                found.push(highlight(field, index, occurrence));
            }
        }
    }
}

fn of_near(
    node: &Near,
    field: TextField,
    row: &Row<'_>,
    scratch: &mut Scratch,
    found: &mut Vec<Highlight>,
) {
    let with_exact = has_exact(node);
    read(with_exact, field, &row.event, scratch);
    let Scratch {
        folded,
        exact,
        left,
        right,
    } = scratch;
    for (index, hits) in folded.values(field) {
        let text = field.value(&row.event, index).unwrap_or_default();
        let near = match with_exact {
            true => near_in(
                node,
                exact.hits(field, index),
                text,
                |word| word.exact.as_ref(),
                left,
                right,
            ),
            false => near_in(node, hits, text, |word| Some(&word.folded), left, right),
        };
        if !near {
            continue;
        }
        let (distance, either) = (node.distance, !node.ordered);
        let (of_left_max, of_right_max) = (reach_max(left), reach_max(right));
        let of_left = |o: &Occurrence| {
            followed(*o, right, distance) || (either && preceded(*o, right, of_right_max, distance))
        };
        let of_right = |o: &Occurrence| {
            preceded(*o, left, of_left_max, distance) || (either && followed(*o, left, distance))
        };
        found.extend(
            left.iter()
                .filter(|o| of_left(o))
                .map(|o| highlight(field, index, *o)),
        );
        found.extend(
            right
                .iter()
                .filter(|o| of_right(o))
                .map(|o| highlight(field, index, *o)),
        );
    }
}

/// Sorted, with overlapping ones joined.
pub(super) fn merged(mut found: Vec<Highlight>) -> Vec<Highlight> {
    found.sort_unstable();
    let mut merged: Vec<Highlight> = Vec::with_capacity(found.len());
    for next in found {
        match merged.last_mut() {
            Some(last)
                if (last.field, last.index) == (next.field, next.index) && next.from < last.to =>
            {
                last.to = last.to.max(next.to);
            }
            _ => merged.push(next),
        }
    }
    merged
}
