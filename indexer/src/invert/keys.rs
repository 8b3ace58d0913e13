//! Keyword columns to folded terms with their rows.

use arrow::array::{Array, StringArray};
use holdfast_query::analyzer::fold_keyword;
use tantivy::postings::FieldSerializer;

use super::postings::{NONE, write_docs};
use super::terms::TermTable;
use crate::error::IndexError;
use crate::schema::Key;

/// Numbers of the terms of one key, `width` a row.
struct KeyColumns {
    /// Values as they are in the columns; each distinct one is folded once.
    raw: TermTable,
    /// For each raw value, the number of its folded term.
    folded_of: Vec<u32>,
    folded: TermTable,
    numbers: Vec<u32>,
}

impl KeyColumns {
    fn with_places(places: usize) -> Self {
        Self {
            raw: TermTable::new(),
            folded_of: Vec::new(),
            folded: TermTable::new(),
            numbers: vec![NONE; places],
        }
    }

    fn number(&mut self, value: &str) -> u32 {
        let (raw, new) = self.raw.number(value.as_bytes());
        if new {
            let folded = fold_keyword(value);
            self.folded_of.push(self.folded.number(folded.as_bytes()).0);
        }
        self.folded_of[raw as usize]
    }

    /// Numbers the values of `column` at place `at` of every row.
    fn add(&mut self, column: &StringArray, at: usize, width: usize) {
        let (offsets, bytes) = (column.value_offsets(), column.value_data());
        // Most neighbours share type, origin, room and kind: comparing with the row before is cheaper than a lookup.
        let (mut last, mut last_number): (&[u8], u32) = (&[], NONE);
        for (row, ends) in offsets.windows(2).enumerate() {
            let value = &bytes[ends[0] as usize..ends[1] as usize];
            if value.is_empty() || column.is_null(row) {
                continue;
            }
            if value != last {
                (last, last_number) = (value, self.number(column.value(row)));
            }
            self.numbers[row * width + at] = last_number;
        }
    }
}

/// Writes one key of all rows from its columns.
///
/// # Errors
/// Tantivy's serializer.
pub(crate) fn write_key(
    key: Key,
    columns: &[&StringArray],
    rows: usize,
    into: &mut FieldSerializer<'_>,
) -> Result<(), IndexError> {
    let columns: Vec<&StringArray> = columns
        .iter()
        .copied()
        .filter(|column| column.null_count() < column.len())
        .collect();
    if columns.is_empty() {
        return Ok(());
    }
    let mut keyed = KeyColumns::with_places(rows * columns.len());
    for (at, column) in columns.iter().enumerate() {
        keyed.add(column, at, columns.len());
    }
    write_docs(
        &keyed.folded,
        &keyed.numbers,
        columns.len(),
        key as u8,
        into,
    )
}

/// Writes one key from (row, term) pairs, rows ascending; terms are taken as they are.
///
/// # Errors
/// Tantivy's serializer.
pub(crate) fn write_pairs<'a>(
    key: Key,
    pairs: impl IntoIterator<Item = (u32, &'a [u8])>,
    into: &mut FieldSerializer<'_>,
) -> Result<(), IndexError> {
    let mut terms = std::collections::BTreeMap::<&[u8], Vec<u32>>::new();
    for (row, term) in pairs {
        let rows = terms.entry(term).or_default();
        if rows.last() != Some(&row) {
            rows.push(row);
        }
    }
    let mut prefixed = Vec::new();
    for (term, rows) in terms {
        prefixed.clear();
        prefixed.push(key as u8);
        prefixed.extend_from_slice(term);
        into.new_term_without_freq(&prefixed)?;
        for row in rows {
            into.write_doc(row, 0, &[]);
        }
        into.close_term()?;
    }
    Ok(())
}
