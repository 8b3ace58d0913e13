//! Text to tokens. Words, phrases and properties are leaves already.

use super::{ParseOptions, Problem, value};
use crate::ast::{Expr, Span, Text};
use crate::limits::{NEAR_DISTANCE_DEFAULT, NEAR_DISTANCE_MAX};
use crate::property::Property;

/// One token and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Open,
    Close,
    And,
    Or,
    /// `NOT`, and `-` before a token.
    Not,
    Near {
        distance: u32,
        ordered: bool,
    },
    Leaf(Expr),
}

/// Word processors turn quotes around.
fn opens_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„' | '‟')
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')') || opens_quote(c)
}

/// The tokens of a query.
pub(super) fn tokens(text: &str, options: &ParseOptions) -> Result<Vec<Token>, Problem> {
    let mut lexer = Lexer {
        text,
        at: 0,
        options,
    };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.token()? {
        tokens.push(token);
    }
    Ok(tokens)
}

pub(super) struct Lexer<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    pub(super) options: &'t ParseOptions,
}

impl<'t> Lexer<'t> {
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn first(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn since(&self, from: usize) -> Span {
        Span { from, to: self.at }
    }

    fn token(&mut self) -> Result<Option<Token>, Problem> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        let from = self.at;
        let Some(c) = self.first() else {
            return Ok(None);
        };
        let single = |kind| (kind, c.len_utf8());
        let simple = match c {
            '(' => Some(single(Kind::Open)),
            ')' => Some(single(Kind::Close)),
            '-' if self.rest()[1..].starts_with(|c: char| !c.is_whitespace() && c != ')') => {
                Some(single(Kind::Not))
            }
            _ => None,
        };
        let kind = if let Some((kind, length)) = simple {
            self.at += length;
            kind
        } else if opens_quote(c) {
            let text = self.quoted()?;
            let prefix = self.star();
            let text = Text::Phrase { text, prefix };
            Kind::Leaf(Expr::Text {
                text,
                span: self.since(from),
            })
        } else {
            self.word(from)?
        };
        Ok(Some(Token {
            kind,
            span: self.since(from),
        }))
    }

    /// Takes a `*`, if one comes next.
    pub(super) fn star(&mut self) -> bool {
        let star = self.rest().starts_with('*');
        self.at += usize::from(star);
        star
    }

    /// What stands between quotes; a doubled quote is one.
    pub(super) fn quoted(&mut self) -> Result<String, Problem> {
        let from = self.at;
        let open = self.first().unwrap_or('"');
        let closes = |c: char| {
            if open == '"' {
                c == '"'
            } else {
                opens_quote(c)
            }
        };
        self.at += open.len_utf8();
        let mut text = String::new();
        while let Some(c) = self.first() {
            self.at += c.len_utf8();
            if !closes(c) {
                text.push(c);
            } else if c == '"' && self.rest().starts_with('"') {
                self.at += 1;
                text.push(c);
            } else {
                return Ok(text);
            }
        }
        Err(Problem::new(
            Span {
                from,
                to: from + open.len_utf8(),
            },
            "this quote is not closed",
            "add `\"`",
        ))
    }

    /// A keyword, a property or a word.
    fn word(&mut self, from: usize) -> Result<Kind, Problem> {
        let rest = self.rest();
        let word = &rest[..rest.find(ends_word).unwrap_or(rest.len())];
        let kind = match word {
            "AND" => Some(Kind::And),
            "OR" => Some(Kind::Or),
            "NOT" => Some(Kind::Not),
            "NEAR" | "ONEAR" => {
                self.at += word.len();
                let distance = self.distance()?;
                return Ok(Kind::Near {
                    distance,
                    ordered: word == "ONEAR",
                });
            }
            "*" => Some(Kind::Leaf(Expr::And {
                children: Vec::new(),
                span: Span {
                    from,
                    to: from + word.len(),
                },
            })),
            _ => None,
        };
        if let Some(kind) = kind {
            self.at += word.len();
            return Ok(kind);
        }
        if let Some((name, operator)) = property_like(word) {
            return value::property(self, from, name, operator).map(Kind::Leaf);
        }
        self.at += word.len();
        let text = Text::Word(word.to_owned());
        Ok(Kind::Leaf(Expr::Text {
            text,
            span: self.since(from),
        }))
    }

    /// `(n)` behind NEAR, or nothing. KQL also writes `(n=4)`.
    fn distance(&mut self) -> Result<u32, Problem> {
        let from = self.at;
        let Some(inner) = self.rest().strip_prefix('(') else {
            return Ok(NEAR_DISTANCE_DEFAULT);
        };
        let number = inner.split(')').next().unwrap_or_default();
        self.at += (number.len() + 2).min(self.rest().len());
        let digits = number.trim();
        let digits = digits
            .strip_prefix("n=")
            .or(digits.strip_prefix("N="))
            .unwrap_or(digits);
        let value = digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse::<u32>().ok())
            .flatten();
        let closed = inner.contains(')');
        value.filter(|n| closed && *n <= NEAR_DISTANCE_MAX).ok_or_else(|| {
            let message = format!("NEAR takes a number from 0 to {NEAR_DISTANCE_MAX}");
            let hint = "NEAR(8) allows eight terms between; before a group write NEAR (a OR b), with a blank";
            Problem::new(self.since(from), message, hint)
        })
    }
}

/// The name and operator, if the word has the form of a property: a name, then `:` or a comparison.
fn property_like(word: &str) -> Option<(&str, &str)> {
    let at = word.find([':', '=', '<', '>', '：'])?;
    let (name, rest) = word.split_at(at);
    let letters = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let named = name.chars().all(letters)
        && name.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && name.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let operator = [">=", "<=", "<>", ":", "=", ">", "<", "："]
        .into_iter()
        .find(|o| rest.starts_with(o))?;
    // A full-width colon ends no name in Japanese prose: only behind the name of a property it is a slip.
    (named && (operator != "：" || Property::named(name).is_some())).then_some((name, operator))
}
