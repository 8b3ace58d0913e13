//! Parameters and columns, for both databases.

use std::fmt::Write as _;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, ColumnIndex, Postgres, Row as _, SqlSafeStr, Sqlite};

use crate::error::Result;

/// One parameter of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `text`, or null.
    Text(Option<String>),
    /// `bigint`, or null.
    Int(Option<i64>),
    /// `boolean`.
    Bool(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

/// Parameters of one statement, each by its own `From`.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::Value::from($value)),*] };
}

fn encode(error: sqlx::error::BoxDynError) -> sqlx::Error {
    sqlx::Error::Encode(error)
}

pub(super) fn sqlite(
    sql: impl SqlSafeStr,
    args: Vec<Value>,
) -> Result<sqlx::query::Query<'static, Sqlite, SqliteArguments>> {
    let mut arguments = SqliteArguments::default();
    for value in args {
        match value {
            Value::Text(text) => arguments.add(text),
            Value::Int(number) => arguments.add(number),
            Value::Bool(truth) => arguments.add(truth),
        }
        .map_err(encode)?;
    }
    Ok(sqlx::query_with(sql, arguments))
}

pub(super) fn postgres(
    sql: impl SqlSafeStr,
    args: Vec<Value>,
) -> Result<sqlx::query::Query<'static, Postgres, PgArguments>> {
    let mut arguments = PgArguments::default();
    for value in args {
        match value {
            Value::Text(text) => arguments.add(text),
            Value::Int(number) => arguments.add(number),
            Value::Bool(truth) => arguments.add(truth),
        }
        .map_err(encode)?;
    }
    Ok(sqlx::query_with(sql, arguments))
}

/// One row of an answer. Columns are asked for by name or number.
#[derive(Debug)]
pub enum Row {
    /// From SQLite.
    Sqlite(SqliteRow),
    /// From PostgreSQL.
    Postgres(PgRow),
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident -> $type:ty;)*) => {
        impl Row {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// No such column, or one of another type.
            pub fn $name<I: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>>(&self, column: I) -> Result<$type> {
                Ok(match self {
                    Self::Sqlite(row) => row.try_get(column)?,
                    Self::Postgres(row) => row.try_get(column)?,
                })
            }
        )*}
    };
}

getters! {
    /// A text that is never null.
    text -> String;
    /// A text or null.
    text_opt -> Option<String>;
    /// A number that is never null.
    int -> i64;
    /// A number or null.
    int_opt -> Option<i64>;
    /// A truth value.
    bool -> bool;
}

/// `($1, $2), ($3, $4)`: `rows` tuples of parameters, each with its cast, numbered from `first`.
///
/// `types` are names that both databases know (`text`, `bigint`, `boolean`); the casts are for PostgreSQL, which takes untyped parameters of
/// `values` for text.
#[must_use]
pub fn placeholders(first: usize, rows: usize, types: &[&str]) -> String {
    let mut sql = String::with_capacity(rows * types.len() * 24);
    let mut number = first;
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for (column, kind) in types.iter().enumerate() {
            let comma = if column == 0 { "" } else { ", " };
            // Writing to a String cannot fail.
            let _infallible = write!(sql, "{comma}cast(${number} as {kind})");
            number += 1;
        }
        sql.push(')');
    }
    sql
}

/// A list of tuples as parameters, for `in (values …)`: few different lengths, so that both databases find each prepared; the last tuple is
/// repeated. How many tuples, and the parameters.
#[must_use]
pub fn padded<'a>(
    tuples: impl ExactSizeIterator<Item = &'a [&'a str]> + Clone,
) -> (usize, Vec<Value>) {
    let count = [1, 4, 16, 64]
        .into_iter()
        .find(|size| *size >= tuples.len())
        .unwrap_or(256);
    let last = tuples.clone().last().unwrap_or_default();
    let mut args = Vec::with_capacity(count * last.len());
    for tuple in tuples.chain(std::iter::repeat(last)).take(count) {
        args.extend(tuple.iter().map(|text| Value::from(*text)));
    }
    (count, args)
}

/// How `count` rows are cut into statements: few different lengths, so that both databases find each prepared.
pub fn chunk_sizes(count: usize) -> impl Iterator<Item = usize> {
    let mut left = count;
    std::iter::from_fn(move || {
        let size = [64, 16, 4, 1].into_iter().find(|size| *size <= left)?;
        left -= size;
        Some(size)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_add_up_and_come_in_four_lengths() {
        for count in 0..300 {
            let sizes: Vec<usize> = chunk_sizes(count).collect();
            assert_eq!(sizes.iter().sum::<usize>(), count);
            assert!(sizes.iter().all(|size| [64, 16, 4, 1].contains(size)));
        }
    }

    #[test]
    fn placeholders_are_numbered_through() {
        assert_eq!(
            placeholders(3, 2, &["text", "bigint"]),
            "(cast($3 as text), cast($4 as bigint)), (cast($5 as text), cast($6 as bigint))"
        );
    }
}
