//! CSV after RFC 4180, safe to open in a spreadsheet.

use std::borrow::Cow;

/// What is put before a cell that a spreadsheet would take for a formula.
pub const FORMULA_GUARD: char = '\'';

/// A cell that no spreadsheet evaluates: text that begins with `=`, `+`, `-`, `@`, one of these in full width, a tab or a carriage
/// return (OWASP, CSV injection) gets an apostrophe before it. So does text that begins with an apostrophe followed by one of these, so that
/// a reader who strips the guard gets back exactly what was archived.
#[must_use]
pub fn defuse(cell: &str) -> Cow<'_, str> {
    let bare = cell.trim_start_matches(FORMULA_GUARD);
    if bare.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r']) {
        return Cow::Owned(format!("{FORMULA_GUARD}{cell}"));
    }
    Cow::Borrowed(cell)
}

/// A CSV writer: comma, quotes where needed, CR LF.
#[must_use]
pub fn writer<W: std::io::Write>(out: W) -> csv::Writer<W> {
    csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(out)
}

/// The I/O error inside a CSV error, so that a closed pipe is still seen as one.
#[must_use]
pub fn io_error(error: csv::Error) -> std::io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(e) => e,
        other => std::io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_defused_and_come_back() {
        for cell in [
            "=1+1", "+4", "-2", "@sum", "\tx", "\rx", "'=1", "''=1", "＝1", "＋1", "－1", "＠x",
        ] {
            let safe = defuse(cell);
            assert!(safe.starts_with(FORMULA_GUARD), "{cell}");
            assert_eq!(safe.strip_prefix(FORMULA_GUARD), Some(cell));
        }
        for cell in ["", "text", "'quoted'", "1-2", "日本"] {
            assert_eq!(defuse(cell), cell);
        }
    }
}
