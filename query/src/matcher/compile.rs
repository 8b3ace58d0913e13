//! A plan with its term tests numbered and its children ordered: what is cheap is asked first.

use super::occurrence::Compiled;
use super::reading::TermIndex;
use crate::plan::{KeywordField, KeywordTest, Operand, Plan, TextField, TimeColumn};

/// A compiled plan.
#[derive(Debug, Clone)]
pub(super) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Text {
        fields: Vec<TextField>,
        word: Word,
    },
    Near(Near),
    Keyword {
        fields: Vec<KeywordField>,
        test: KeywordTest,
    },
    Whole {
        fields: Vec<TextField>,
        value: String,
    },
    Time {
        column: TimeColumn,
        from_us: Option<i64>,
        to_us: Option<i64>,
    },
    Size {
        from_bytes: Option<i64>,
        to_bytes: Option<i64>,
    },
    HasAttachment(bool),
}

/// An operand.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) folded: Compiled,
    pub(super) exact: Option<Compiled>,
}

/// NEAR.
#[derive(Debug, Clone)]
pub(super) struct Near {
    pub(super) fields: Vec<TextField>,
    pub(super) left: Vec<Word>,
    pub(super) right: Vec<Word>,
    pub(super) distance: u32,
    pub(super) ordered: bool,
}

pub(super) fn compile(plan: &Plan, folded: &mut TermIndex, exact: &mut TermIndex) -> Node {
    let mut each = |children: &[Plan]| {
        let mut nodes: Vec<Node> = children
            .iter()
            .map(|child| compile(child, folded, exact))
            .collect();
        nodes.sort_by_key(cost);
        nodes
    };
    match plan {
        Plan::All(children) => Node::All(each(children)),
        Plan::Any(children) => Node::Any(each(children)),
        Plan::Not(child) => Node::Not(Box::new(compile(child, folded, exact))),
        Plan::Text { fields, operand } => Node::Text {
            fields: fields.clone(),
            word: word(operand, folded, exact),
        },
        Plan::Near(near) => {
            let mut words = |operands: &[Operand]| {
                operands
                    .iter()
                    .map(|operand| word(operand, folded, exact))
                    .collect()
            };
            Node::Near(Near {
                fields: near.fields.clone(),
                left: words(&near.left),
                right: words(&near.right),
                distance: near.distance,
                ordered: near.ordered,
            })
        }
        Plan::Keyword { fields, test } => Node::Keyword {
            fields: fields.clone(),
            test: test.clone(),
        },
        Plan::Whole {
            fields,
            value,
            within: _,
        } => Node::Whole {
            fields: fields.clone(),
            value: value.clone(),
        },
        Plan::Time {
            column,
            from_us,
            to_us,
        } => Node::Time {
            column: *column,
            from_us: *from_us,
            to_us: *to_us,
        },
        Plan::Size {
            from_bytes,
            to_bytes,
        } => Node::Size {
            from_bytes: *from_bytes,
            to_bytes: *to_bytes,
        },
        Plan::HasAttachment(wanted) => Node::HasAttachment(*wanted),
    }
}

fn word(operand: &Operand, folded: &mut TermIndex, exact: &mut TermIndex) -> Word {
    Word {
        folded: Compiled::new(&operand.pattern, folded),
        exact: operand
            .exact
            .as_ref()
            .map(|pattern| Compiled::new(pattern, exact)),
    }
}

/// Relative: numbers, then ids, then what must parse `extra`, then text.
fn cost(node: &Node) -> u32 {
    match node {
        Node::Time { .. } | Node::Size { .. } | Node::HasAttachment(_) => 0,
        Node::Keyword { fields, .. } => {
            let parses =
                |f: &KeywordField| matches!(f, KeywordField::TargetId | KeywordField::Reaction);
            if fields.iter().any(parses) { 2 } else { 1 }
        }
        Node::Whole { .. } => 3,
        Node::Text { .. } => 4,
        Node::Near(_) => 5,
        Node::Not(child) => cost(child),
        Node::All(children) | Node::Any(children) => children.iter().map(cost).max().unwrap_or(0),
    }
}
