//! A query that is not understood: where, why, and what to write instead.

use std::fmt;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::ast::Span;

/// Widest piece of a query shown above the caret, in terminal columns.
const SHOWN_COLUMNS_MAX: usize = 96;

/// A query that is not understood. Displays as a message, the query with a caret below it, and a `hint:` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// The query.
    pub query: String,
    /// The part of it that is meant.
    pub span: Span,
}

impl std::error::Error for QueryError {}

impl QueryError {
    /// Where it begins: characters from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.query
            .get(..self.span.from)
            .unwrap_or_default()
            .chars()
            .count()
            + 1
    }

    /// The query and, below it, a caret under each column of the part that is meant; two spaces before both. Long
    /// queries are cut around that part.
    #[must_use]
    pub fn caret(&self) -> String {
        let clean = |text: &str| {
            text.chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect::<String>()
        };
        let before = clean(self.query.get(..self.span.from).unwrap_or_default());
        let meant = clean(
            self.query
                .get(self.span.from..self.span.to)
                .unwrap_or_default(),
        );
        let after = clean(self.query.get(self.span.to..).unwrap_or_default());
        let before = last_columns(&before, SHOWN_COLUMNS_MAX / 2);
        let room = SHOWN_COLUMNS_MAX.saturating_sub(before.width());
        let meant = first_columns(&meant, room);
        let after = first_columns(&after, room.saturating_sub(meant.width()));
        let line = format!("{before}{meant}{after}");
        format!(
            "  {}\n  {}{}",
            line.trim_end(),
            " ".repeat(before.width()),
            "^".repeat(meant.width().max(1))
        )
    }
}

fn first_columns(text: &str, columns: usize) -> String {
    let mut width = 0;
    let fits = |c: &char| {
        width += c.width().unwrap_or(0);
        width <= columns
    };
    let kept: String = text.chars().take_while(fits).collect();
    if kept.len() == text.len() {
        kept
    } else {
        kept + "…"
    }
}

fn last_columns(text: &str, columns: usize) -> String {
    let reversed: String = text.chars().rev().collect();
    first_columns(&reversed, columns).chars().rev().collect()
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (column {})\n{}",
            self.message,
            self.column(),
            self.caret()
        )?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}
