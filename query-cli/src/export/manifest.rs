//! `manifest.json` and `provenance.json`.

use serde::Serialize;

use super::folder::FileEntry;

/// Name and version of this layout, for readers of old exports.
pub const LAYOUT: &str = "holdfast-export/1";

/// What the export is: everything in it follows from snapshot, query and tool, so that the same three give the same bytes.
#[derive(Debug, Serialize)]
pub struct Manifest<'a> {
    /// [`LAYOUT`].
    pub layout: &'static str,
    /// The program.
    pub tool: Tool,
    /// `parquet`, `jsonl` or `csv`.
    #[serde(rename = "as")]
    pub format: &'static str,
    /// The query as it was understood, with all options that narrow it.
    pub query: &'a str,
    /// The snapshot: rows archived up to this version of the archive.
    pub snapshot: u64,
    /// The zone in which days of the query are meant.
    pub time_zone: &'a str,
    /// Context asked for, as given to `--context`.
    pub context: Option<String>,
    /// Whether words had to occur with the diacritics they are written with.
    pub exact_diacritics: bool,
    /// Whether the files that events refer to were to be included.
    pub attachments: bool,
    /// Version of the rules by which text became terms.
    pub analyzer: u32,
    /// What the search saw, without what later maintenance may change (that part is in the provenance).
    pub coverage: serde_json::Value,
    /// How many.
    pub counts: Counts,
    /// Root over the event hashes in the order of `items.csv` (RFC 6962), hexadecimal.
    pub merkle_root: String,
    /// Rules of the text files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvRules>,
    /// Every file but this one, the sums and the provenance.
    pub files: &'a [FileEntry],
}

/// The program that wrote the export.
#[derive(Debug, Serialize)]
pub struct Tool {
    /// `holdfast`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// This program.
pub const TOOL: Tool = Tool {
    name: "holdfast",
    version: env!("CARGO_PKG_VERSION"),
};

/// Counts of an export.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Events that the query hit.
    pub responsive: u64,
    /// Events around them.
    pub context: u64,
    /// Things that could not be included.
    pub errors: u64,
}

/// What was done to the text of `events.csv`.
#[derive(Debug, Serialize)]
pub struct CsvRules {
    /// Put before cells that a spreadsheet would evaluate.
    pub formula_guard: char,
    /// Which cells those are.
    pub formula_rule: &'static str,
    /// How bytes of undecodable records are written.
    pub raw: &'static str,
}

/// The rules of this version.
pub const CSV_RULES: CsvRules = CsvRules {
    formula_guard: crate::output::csv::FORMULA_GUARD,
    formula_rule: "a cell that begins with =, +, -, @ (or one of these in full width), tab or carriage return, after any number of guards, gets one guard more",
    raw: "base64",
};

/// When, by whom and from where: differs from run to run, so it is outside the sums.
#[derive(Debug, Serialize)]
pub struct Provenance<'a> {
    /// Where the archive is.
    pub archive: &'a str,
    /// Who exported.
    pub actor: &'a str,
    /// When, RFC 3339 UTC.
    pub time: String,
    /// The query as it was typed.
    pub query_given: &'a str,
    /// The head of the ledger when the export began: its own entry, whose hash covers every entry before.
    pub ledger_head: LedgerHead,
    /// The whole coverage statement.
    pub coverage: serde_json::Value,
}

/// An entry of the ledger, as `holdfast ledger head` names it.
#[derive(Debug, Serialize)]
pub struct LedgerHead {
    /// Its number.
    pub entry: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
}
