//! Text to syntax tree: recursive descent over tokens, bounded in length, depth and leaves.
//!
//! ```text
//! or      = and { "OR" and }
//! and     = not { [ "AND" ] not }
//! not     = { "NOT" | "-" } near
//! near    = primary [ ( "NEAR" | "ONEAR" ) [ "(" n ")" ] primary ]
//! primary = "(" or ")" | word | phrase | property
//! ```

mod lexer;
#[cfg(test)]
mod tests;
mod value;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::ast::{Expr, Span};
use crate::error::QueryError;
use crate::limits::{QUERY_BYTES_MAX, QUERY_DEPTH_MAX, QUERY_LEAVES_MAX};
use crate::plan;
use lexer::{Kind, Token};

pub use value::parse_size;

/// What a query is read against.
#[derive(Debug, Clone)]
pub struct ParseOptions {
    /// The zone of dates and times without an offset.
    pub tz: TimeZone,
    /// What `today` means.
    pub now: Timestamp,
}

/// A query as understood. Displays as a query that parses to the same tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The tree.
    pub expr: Expr,
    /// As written.
    pub text: String,
    /// Name of the zone in which its dates were read.
    pub time_zone: String,
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.expr.fmt(f)
    }
}

/// Reads a query.
///
/// # Errors
/// Whatever is not understood, with its place and a hint; nothing is guessed or dropped.
pub fn parse(text: &str, options: &ParseOptions) -> Result<Query, QueryError> {
    let parser_error = |problem: Problem| problem.at(text);
    if text.len() > QUERY_BYTES_MAX {
        let whole = Span { from: 0, to: 0 };
        let message = format!(
            "the query is {} bytes long, {QUERY_BYTES_MAX} are allowed",
            text.len()
        );
        return Err(parser_error(Problem::new(
            whole,
            message,
            "split it into several searches or holds",
        )));
    }
    let tokens = lexer::tokens(text, options).map_err(parser_error)?;
    if tokens.is_empty() {
        let hint = "write a word, or `*` for every event";
        return Err(parser_error(Problem::new(
            Span {
                from: 0,
                to: text.len(),
            },
            "the query is empty",
            hint,
        )));
    }
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        end: text.len(),
        depth: 0,
        leaves: 0,
    };
    let expr = parser.any().map_err(parser_error)?;
    if let Some(token) = parser.peek() {
        let problem = Problem::new(
            token.span,
            "this `)` closes nothing",
            "remove it, or open a parenthesis before",
        );
        return Err(parser_error(problem));
    }
    Ok(Query {
        expr,
        text: text.to_owned(),
        time_zone: zone_name(&options.tz),
    })
}

/// The name under which a zone is known: IANA's, or the offset.
#[must_use]
pub fn zone_name(zone: &TimeZone) -> String {
    match (zone.iana_name(), zone.to_fixed_offset()) {
        (Some(name), _) => name.to_owned(),
        (None, Ok(offset)) => offset.to_string(),
        (None, Err(_)) => "local".to_owned(),
    }
}

/// An error before the query's text joins it.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Problem {
    pub(crate) fn new(span: Span, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Problem {
            span,
            message: message.into(),
            hint: hint.into(),
        }
    }

    fn at(self, query: &str) -> QueryError {
        QueryError {
            message: self.message,
            hint: Some(self.hint),
            query: query.to_owned(),
            span: self.span,
        }
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    /// Length of the query in bytes.
    end: usize,
    depth: usize,
    leaves: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&'t Token> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn deeper(&mut self, span: Span) -> Result<(), Problem> {
        self.depth += 1;
        if self.depth > QUERY_DEPTH_MAX {
            let message =
                format!("parentheses and NOT are nested more than {QUERY_DEPTH_MAX} deep");
            return Err(Problem::new(
                span,
                message,
                "nest less: `a OR b OR c` needs no parentheses",
            ));
        }
        Ok(())
    }

    /// `or` of the grammar.
    fn any(&mut self) -> Result<Expr, Problem> {
        let mut children = vec![self.all()?];
        while self.peek().is_some_and(|t| matches!(t.kind, Kind::Or)) {
            self.at += 1;
            children.push(self.all()?);
        }
        Ok(joined(children, |children, span| Expr::Or {
            children,
            span,
        }))
    }

    /// `and` of the grammar.
    fn all(&mut self) -> Result<Expr, Problem> {
        let mut children = vec![self.negated()?];
        while let Some(token) = self.peek() {
            match token.kind {
                Kind::Or | Kind::Close => break,
                Kind::And => self.at += 1,
                _ => {}
            }
            children.push(self.negated()?);
        }
        Ok(joined(children, |children, span| Expr::And {
            children,
            span,
        }))
    }

    /// `not` of the grammar.
    fn negated(&mut self) -> Result<Expr, Problem> {
        let Some(token) = self.peek().filter(|t| matches!(t.kind, Kind::Not)) else {
            return self.near();
        };
        self.at += 1;
        self.deeper(token.span)?;
        let child = Box::new(self.negated()?);
        self.depth -= 1;
        let span = Span {
            from: token.span.from,
            to: child.span().to,
        };
        Ok(Expr::Not { child, span })
    }

    fn near(&mut self) -> Result<Expr, Problem> {
        let left = self.primary()?;
        let Some(Token {
            kind: Kind::Near { distance, ordered },
            span,
        }) = self.peek()
        else {
            return Ok(left);
        };
        self.at += 1;
        let right = self.primary()?;
        for operand in [&left, &right] {
            if !positional(operand) {
                let hint = "NEAR stands between words, phrases, wildcards, or alternatives of them in parentheses";
                return Err(Problem::new(
                    operand.span(),
                    "this cannot be near something",
                    hint,
                ));
            }
        }
        if let Some(Token {
            kind: Kind::Near { .. },
            span,
        }) = self.peek()
        {
            let hint = "write a NEAR b AND b NEAR c";
            return Err(Problem::new(
                *span,
                "NEAR joins two operands, not three",
                hint,
            ));
        }
        let span = Span {
            from: left.span().from.min(span.from),
            to: right.span().to,
        };
        Ok(Expr::Near {
            left: Box::new(left),
            right: Box::new(right),
            distance: *distance,
            ordered: *ordered,
            span,
        })
    }

    fn primary(&mut self) -> Result<Expr, Problem> {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        let Some(token) = self.next() else {
            let span = before.map_or(
                Span {
                    from: self.end,
                    to: self.end,
                },
                |t| t.span,
            );
            return Err(Problem::new(
                span,
                "something must follow here",
                "add a word, or remove what waits for one",
            ));
        };
        match &token.kind {
            Kind::Leaf(expr) => {
                self.leaves += 1;
                if self.leaves > QUERY_LEAVES_MAX {
                    let message =
                        format!("the query has more than {QUERY_LEAVES_MAX} words and properties");
                    return Err(Problem::new(
                        token.span,
                        message,
                        "split it into several searches or holds",
                    ));
                }
                if let Expr::Text { text, .. } = expr {
                    plan::check(text)
                        .map_err(|e| Problem::new(token.span, e.to_string(), e.hint()))?;
                }
                Ok(expr.clone())
            }
            Kind::Open => {
                self.deeper(token.span)?;
                let inner = self.any()?;
                self.depth -= 1;
                match self.next() {
                    Some(Token {
                        kind: Kind::Close, ..
                    }) => Ok(inner),
                    _ => Err(Problem::new(
                        token.span,
                        "this parenthesis is not closed",
                        "add `)`",
                    )),
                }
            }
            Kind::Not => {
                let hint = "put what NOT excludes into an AND: a NEAR b AND NOT c";
                Err(Problem::new(
                    token.span,
                    "NOT cannot be near something",
                    hint,
                ))
            }
            Kind::Close => Err(Problem::new(
                token.span,
                "something must stand before this `)`",
                "add a word, or remove it",
            )),
            Kind::And | Kind::Or | Kind::Near { .. } => {
                let hint = "add a word before it, or quote it if the word itself is meant";
                Err(Problem::new(
                    token.span,
                    "this operator has nothing before it",
                    hint,
                ))
            }
        }
    }
}

fn positional(expr: &Expr) -> bool {
    match expr {
        Expr::Text { .. } => true,
        Expr::Or { children, .. } => children.iter().all(positional),
        _ => false,
    }
}

fn joined(mut children: Vec<Expr>, join: impl FnOnce(Vec<Expr>, Span) -> Expr) -> Expr {
    let span = Span {
        from: children.first().map_or(0, |c| c.span().from),
        to: children.last().map_or(0, |c| c.span().to),
    };
    match (children.len(), children.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            children.extend(last);
            join(children, span)
        }
    }
}
