//! A tree as a query: parsing what is printed gives the same tree.

use std::fmt;

use crate::ast::{Comparison, Expr, Size, Test, Text};
use crate::time::TimeSpan;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::And { children, .. } if children.is_empty() => f.write_str("*"),
            Expr::Or { children, .. } if children.is_empty() => f.write_str("NOT *"),
            Expr::And { children, .. } => joined(f, children, " AND "),
            Expr::Or { children, .. } => joined(f, children, " OR "),
            Expr::Not { child, .. } => write!(f, "NOT {}", Operand(child)),
            Expr::Text { text, .. } => write!(f, "{text}"),
            Expr::Near {
                left,
                right,
                distance,
                ordered,
                ..
            } => {
                let operator = if *ordered { "ONEAR" } else { "NEAR" };
                write!(
                    f,
                    "{} {operator}({distance}) {}",
                    Operand(left),
                    Operand(right)
                )
            }
            Expr::Property { property, test, .. } => write!(f, "{}{test}", property.name()),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, children: &[Expr], operator: &str) -> fmt::Result {
    if let [only] = children {
        return write!(f, "{}", Operand(only));
    }
    for (i, child) in children.iter().enumerate() {
        if i > 0 {
            f.write_str(operator)?;
        }
        write!(f, "{}", Operand(child))?;
    }
    Ok(())
}

/// A child in its parentheses, if it needs any: whatever joins several does, so that no reader must know which operator
/// binds tighter.
struct Operand<'a>(&'a Expr);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expr::And { children, .. } | Expr::Or { children, .. } if !children.is_empty() => {
                write!(f, "({})", self.0)
            }
            Expr::Near { .. } => write!(f, "({})", self.0),
            _ => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Text::Word(word) => f.write_str(word),
            Text::Phrase { text, prefix } => {
                write!(f, "{}{}", Quoted(text), if *prefix { "*" } else { "" })
            }
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Test::Text(text) => write!(f, ":{text}"),
            Test::Value { value, prefix } => {
                write!(f, ":{}{}", Value(value), if *prefix { "*" } else { "" })
            }
            Test::Equals(value) => write!(f, "={}", Value(value)),
            Test::Time { comparison, bound } => write!(f, "{comparison}{bound}"),
            Test::TimeBetween { from, to } => write!(f, ":{from}..{to}"),
            Test::Size { comparison, bound } => write!(f, "{comparison}{bound}"),
            Test::SizeBetween { from, to } => write!(f, ":{from}..{to}"),
            Test::Flag(flag) => write!(f, ":{flag}"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Is => ":",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Text between quotes; a quote within is doubled.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

/// A value, quoted unless it reads the same without.
struct Value<'a>(&'a str);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_alphanumeric() || "_-.@:+/#".contains(c);
        match !self.0.is_empty() && self.0.chars().all(plain) {
            true => f.write_str(self.0),
            false => write!(f, "{}", Quoted(self.0)),
        }
    }
}
