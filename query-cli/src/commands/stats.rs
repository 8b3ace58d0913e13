//! `search --stats`: hits counted by term, custodian, room and day.

use std::collections::BTreeSet;
use std::path::Path;

use holdfast_indexer::{Coverage, Request, SearchError, Searcher};
use holdfast_query::analyzer::Analyzer;
use holdfast_query::ast::{Expr, Test, Text};
use holdfast_query::matcher::Matcher;
use holdfast_schemas::Row;
use holdfast_schemas::columns::Rows;
use serde_json::json;

use crate::Outcome;
use crate::cli::Format;
use crate::failure::Failure;
use crate::hit::Marks;
use crate::open::Opened;
use crate::output::progress::Progress;
use crate::output::{Ui, csv as safe};
use crate::scope::Scope;
use crate::stats::{Stats, TermStats};

/// Counts and shows.
///
/// # Errors
/// The archive cannot be read or the report not written.
pub async fn run(
    searcher: &Searcher,
    opened: &Opened,
    scope: &Scope,
    report: Option<&Path>,
    ui: &mut Ui,
) -> Result<Outcome, Failure> {
    let mut leaves = Vec::new();
    collect(&scope.request.query.expr, &mut leaves);
    let mut terms = Vec::new();
    for leaf in leaves {
        terms.push(Term::new(searcher, opened, scope, leaf).await?);
    }
    let mut stats = Stats::new(terms.iter().map(|t| t.stats.clone()).collect());
    let mut hits = searcher.search(&opened.snapshot, &scope.request).await?;
    let coverage = hits.coverage().clone();
    let mut progress = Progress::new(ui, "counting", hits.total());
    let mut matched = vec![false; terms.len()];
    while let Some(batch) = hits.next().await? {
        let rows = Rows::new(&batch.rows).map_err(SearchError::from)?;
        for index in 0..rows.len() {
            let row = rows.row(index);
            for (number, term) in terms.iter_mut().enumerate() {
                matched[number] = term.matcher.matches(&row);
                if let Some(expansions) = stats.terms[number]
                    .expansions
                    .as_mut()
                    .filter(|_| matched[number])
                {
                    for word in term.words(&row) {
                        *expansions.entry(word).or_default() += 1;
                    }
                }
            }
            stats.add(&row.event, &matched, &scope.zone);
        }
        progress.add(rows.len() as u64);
    }
    drop(progress);
    if let Some(folder) = report {
        stats.report(folder, &format!("Hits over time: {}", scope.request.query))?;
        ui.note(&format!(
            "wrote the report to `{}`",
            crate::output::text::escape(&folder.display().to_string())
        ));
    }
    write(&stats, &coverage, ui)?;
    super::search::tell_coverage(&coverage, stats.hits, ui)?;
    Ok(Outcome::found(stats.hits > 0))
}

fn write(stats: &Stats, coverage: &Coverage, ui: &mut Ui) -> Result<(), Failure> {
    let (width, paint) = (ui.width, ui.paint);
    match ui.format {
        Format::Table => stats.write(ui.out(), width, paint)?,
        Format::Json => {
            let value = json!({ "coverage": coverage, "stats": stats.json() });
            ui.json_line(&value)?;
        }
        Format::Jsonl => {
            ui.json_line(&stats.json())?;
        }
        Format::Csv => {
            let mut out = safe::writer(ui.out());
            out.write_record(["term", "hits", "unique", "in_archive"])
                .map_err(safe::io_error)?;
            for term in &stats.terms {
                let figures = [
                    term.hits.to_string(),
                    term.unique.to_string(),
                    term.archive.to_string(),
                ];
                let cells = [
                    &*safe::defuse(&term.term),
                    &figures[0],
                    &figures[1],
                    &figures[2],
                ];
                out.write_record(cells).map_err(safe::io_error)?;
            }
            out.flush()?;
        }
    }
    Ok(())
}

/// The words, phrases and properties that make an event a hit: those not under a NOT, NEAR as a whole.
fn collect<'a>(expr: &'a Expr, leaves: &mut Vec<&'a Expr>) {
    match expr {
        Expr::And { children, .. } | Expr::Or { children, .. } => {
            children.iter().for_each(|c| collect(c, leaves));
        }
        Expr::Not { .. } => {}
        Expr::Text { .. } | Expr::Near { .. } | Expr::Property { .. } => leaves.push(expr),
    }
}

/// Whether a leaf stands for more words than it shows.
fn is_wildcard(expr: &Expr) -> bool {
    let text = |text: &Text| match text {
        Text::Word(word) => word.contains(['*', '?']),
        Text::Phrase { prefix, .. } => *prefix,
    };
    match expr {
        Expr::Text { text: t, .. }
        | Expr::Property {
            test: Test::Text(t),
            ..
        } => text(t),
        Expr::Near { left, right, .. } => is_wildcard(left) || is_wildcard(right),
        Expr::And { .. } | Expr::Or { .. } | Expr::Not { .. } | Expr::Property { .. } => false,
    }
}

/// One leaf and how it is judged.
struct Term {
    stats: TermStats,
    matcher: Matcher,
    analyzer: Analyzer,
}

impl Term {
    async fn new(
        searcher: &Searcher,
        opened: &Opened,
        scope: &Scope,
        leaf: &Expr,
    ) -> Result<Self, Failure> {
        let request = Request {
            query: scope.query_of(leaf.clone()),
            limit: None,
            ..scope.request.clone()
        };
        let (archive, _) = searcher.count(&opened.snapshot, &request).await?;
        let expansions = is_wildcard(leaf).then(Default::default);
        let stats = TermStats {
            term: leaf.to_string(),
            hits: 0,
            unique: 0,
            archive,
            expansions,
        };
        let matcher = scope.matcher(searcher, opened, leaf).await?;
        Ok(Self {
            stats,
            matcher,
            analyzer: Analyzer::new(),
        })
    }

    /// The normalised words that the leaf hit in a row, each once.
    fn words(&mut self, row: &Row<'_>) -> BTreeSet<String> {
        let marks = Marks::of(&mut self.matcher, row);
        let mut words = BTreeSet::new();
        for hit in marks.texts(&row.event) {
            let mut word = String::new();
            self.analyzer.terms(hit, |term| {
                if !word.is_empty() {
                    word.push(' ');
                }
                word.push_str(term.text);
            });
            words.insert(word);
        }
        words
    }
}
