//! The syntax tree: what a query says, before it is decided what that means ([`crate::plan`]).

use crate::property::Property;
use crate::time::TimeSpan;

/// Bytes of the query that a node was read from; empty for nodes made by a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub from: usize,
    /// First byte after it.
    pub to: usize,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Every child. Without any: every event.
    And {
        /// The children.
        children: Vec<Expr>,
        /// Where it stands.
        span: Span,
    },
    /// Some child. Without any: no event.
    Or {
        /// The children.
        children: Vec<Expr>,
        /// Where it stands.
        span: Span,
    },
    /// Not the child.
    Not {
        /// The child.
        child: Box<Expr>,
        /// Where it stands.
        span: Span,
    },
    /// A free word or phrase: in the title, the body or an attachment's name.
    Text {
        /// The word or phrase.
        text: Text,
        /// Where it stands.
        span: Span,
    },
    /// Two operands near each other within one field: each [`Expr::Text`], or an [`Expr::Or`] of them.
    Near {
        /// Left of the operator.
        left: Box<Expr>,
        /// Right of it.
        right: Box<Expr>,
        /// Terms that may stand between, at most.
        distance: u32,
        /// ONEAR: the left one stands first.
        ordered: bool,
        /// Where it stands.
        span: Span,
    },
    /// A property and what is asked of it.
    Property {
        /// The property.
        property: Property,
        /// What is asked.
        test: Test,
        /// Where it stands.
        span: Span,
    },
}

/// A word or phrase as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// One word, with its wildcards and separators.
    Word(String),
    /// What stood between quotes; no character of it is a wildcard.
    Phrase {
        /// The text.
        text: String,
        /// A `*` followed the closing quote: its last term is a prefix.
        prefix: bool,
    },
}

/// What is asked of a property; [`Property::kind`] says which of these it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// `title:word`, `body:"two words"`, `filename:plan*`.
    Text(Text),
    /// `room:value`, `from:value`; with `prefix`, any ending.
    Value {
        /// The value, without quotes and trailing `*`.
        value: String,
        /// It ended in `*`.
        prefix: bool,
    },
    /// `property=value`: the whole field, ignoring case.
    Equals(String),
    /// `date:2026`, `date>2026-01-01`.
    Time {
        /// How.
        comparison: Comparison,
        /// With what.
        bound: TimeSpan,
    },
    /// `date:a..b`, both inclusive.
    TimeBetween {
        /// From its first microsecond.
        from: TimeSpan,
        /// To its last.
        to: TimeSpan,
    },
    /// `size>1MB`.
    Size {
        /// How.
        comparison: Comparison,
        /// With what.
        bound: Size,
    },
    /// `size:a..b`, both inclusive.
    SizeBetween {
        /// The least.
        from: Size,
        /// The most.
        to: Size,
    },
    /// `hasattachment:true`.
    Flag(bool),
}

/// How a time or size is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `:` and `=`; a time lies within the span written.
    Is,
    /// `<`; a time before the span's beginning.
    Less,
    /// `<=`; a time before the span's end.
    LessOrEqual,
    /// `>`; a time after the span's end.
    Greater,
    /// `>=`; a time from the span's beginning on.
    GreaterOrEqual,
}

/// A number of bytes as written (`100`, `1.5MB`, `64KiB`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// As written.
    pub text: String,
    /// Its bytes: KB, MB, GB, TB count in thousands, KiB, MiB, GiB, TiB in 1,024.
    pub bytes: i64,
}

/// What stands for `participants:x`: built by whoever knows the memberships, before evaluation.
pub trait ParticipantsExpansion {
    /// Events that `test` ([`Test::Value`] or [`Test::Equals`]) could take part in, without `participants` in it.
    fn expand(&self, test: &Test) -> Expr;
}

impl Expr {
    /// Where it stands in the query.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Expr::And { span, .. }
            | Expr::Or { span, .. }
            | Expr::Not { span, .. }
            | Expr::Text { span, .. }
            | Expr::Near { span, .. }
            | Expr::Property { span, .. } => *span,
        }
    }

    /// All of `children`; one child is itself.
    #[must_use]
    pub fn and(children: Vec<Expr>) -> Expr {
        one_or(children, |children| Expr::And {
            children,
            span: Span::default(),
        })
    }

    /// Some of `children`; one child is itself.
    #[must_use]
    pub fn or(children: Vec<Expr>) -> Expr {
        one_or(children, |children| Expr::Or {
            children,
            span: Span::default(),
        })
    }

    /// Not `child`.
    #[must_use]
    #[allow(clippy::should_implement_trait)]
    pub fn not(child: Expr) -> Expr {
        Expr::Not {
            child: Box::new(child),
            span: Span::default(),
        }
    }

    /// `property=value`.
    #[must_use]
    pub fn equals(property: Property, value: impl Into<String>) -> Expr {
        Expr::Property {
            property,
            test: Test::Equals(value.into()),
            span: Span::default(),
        }
    }

    /// A time property between two instants in UTC microseconds, both inclusive; `None` for an open side. Without
    /// either: every event.
    #[must_use]
    pub fn between_us(property: Property, from_us: Option<i64>, to_us: Option<i64>) -> Expr {
        let instant = TimeSpan::instant;
        let test = match (from_us, to_us) {
            (None, None) => {
                return Expr::And {
                    children: Vec::new(),
                    span: Span::default(),
                };
            }
            (Some(from), Some(to)) => Test::TimeBetween {
                from: instant(from),
                to: instant(to),
            },
            (Some(from), None) => Test::Time {
                comparison: Comparison::GreaterOrEqual,
                bound: instant(from),
            },
            (None, Some(to)) => Test::Time {
                comparison: Comparison::LessOrEqual,
                bound: instant(to),
            },
        };
        Expr::Property {
            property,
            test,
            span: Span::default(),
        }
    }

    /// What is asked of `participants` anywhere in the tree, in order: what an expansion must know.
    #[must_use]
    pub fn participants(&self) -> Vec<&Test> {
        let mut found = Vec::new();
        self.walk(&mut |expr| {
            if let Expr::Property {
                property: Property::Participants,
                test,
                ..
            } = expr
            {
                found.push(test);
            }
        });
        found
    }

    /// The tree with every `participants` node replaced by its expansion.
    #[must_use]
    pub fn expand_participants(&self, expansion: &dyn ParticipantsExpansion) -> Expr {
        let expand = |children: &[Expr]| {
            children
                .iter()
                .map(|c| c.expand_participants(expansion))
                .collect()
        };
        match self {
            Expr::Property {
                property: Property::Participants,
                test,
                ..
            } => expansion.expand(test),
            Expr::And { children, span } => Expr::And {
                children: expand(children),
                span: *span,
            },
            Expr::Or { children, span } => Expr::Or {
                children: expand(children),
                span: *span,
            },
            Expr::Not { child, span } => Expr::Not {
                child: Box::new(child.expand_participants(expansion)),
                span: *span,
            },
            Expr::Text { .. } | Expr::Near { .. } | Expr::Property { .. } => self.clone(),
        }
    }

    /// The tree with empty spans: two queries mean the same when these are equal.
    #[must_use]
    pub fn without_spans(&self) -> Expr {
        let mut copy = self.clone();
        copy.clear_spans();
        copy
    }

    fn clear_spans(&mut self) {
        match self {
            Expr::And { children, span } | Expr::Or { children, span } => {
                children.iter_mut().for_each(Expr::clear_spans);
                *span = Span::default();
            }
            Expr::Not { child, span } => {
                child.clear_spans();
                *span = Span::default();
            }
            Expr::Near {
                left, right, span, ..
            } => {
                left.clear_spans();
                right.clear_spans();
                *span = Span::default();
            }
            Expr::Text { span, .. } | Expr::Property { span, .. } => *span = Span::default(),
        }
    }

    /// Calls `visit` for every node, parents first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        visit(self);
        match self {
            Expr::And { children, .. } | Expr::Or { children, .. } => {
                children.iter().for_each(|c| c.walk(visit));
            }
            Expr::Not { child, .. } => child.walk(visit),
            Expr::Near { left, right, .. } => {
                left.walk(visit);
                right.walk(visit);
            }
            Expr::Text { .. } | Expr::Property { .. } => {}
        }
    }
}

fn one_or(mut children: Vec<Expr>, join: impl FnOnce(Vec<Expr>) -> Expr) -> Expr {
    match (children.len(), children.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            children.extend(last);
            join(children)
        }
    }
}
