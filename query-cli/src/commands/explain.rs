//! `search --explain`: the query as it was understood.

use holdfast_indexer::Searcher;
use serde_json::json;

use crate::Outcome;
use crate::cli::Format;
use crate::failure::Failure;
use crate::open::Opened;
use crate::output::text::escape;
use crate::output::{Ui, zone};
use crate::scope::Scope;

/// Prints query, expansion, zone and version; searches nothing.
///
/// # Errors
/// The participants cannot be expanded.
pub async fn run(
    searcher: &Searcher,
    opened: &Opened,
    scope: &Scope,
    ui: &mut Ui,
) -> Result<Outcome, Failure> {
    let expanded = searcher
        .expanded(
            &opened.snapshot,
            scope.request.as_of,
            &scope.request.query.expr,
        )
        .await?;
    let (query, expanded) = (scope.request.query.to_string(), expanded.to_string());
    let version = scope
        .request
        .as_of
        .unwrap_or_else(|| opened.snapshot.version());
    let time_zone = zone::name(&scope.zone);
    if ui.format.is_machine() && ui.format != Format::Csv {
        let value = json!({ "query": query, "expanded": expanded, "time_zone": time_zone, "version": version });
        ui.json_line(&value)?;
        return Ok(Outcome::Done);
    }
    writeln!(ui.out(), "query      {}", escape(&query))?;
    if expanded != query {
        writeln!(ui.out(), "expanded   {}", escape(&expanded))?;
    }
    writeln!(ui.out(), "time zone  {}", escape(&time_zone))?;
    writeln!(ui.out(), "version    {version}")?;
    Ok(Outcome::Done)
}
