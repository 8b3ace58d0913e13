//! `search --stats`: who, where, when, and by which word.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use holdfast_schemas::Event;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::histogram::{self, Bar};
use crate::output::table::{self, Cell, Column, plain};
use crate::output::text::grouped;
use crate::output::{Paint, csv as safe, zone};

/// Rows of a table for people; the report and the machine formats have all.
const ROWS_MAX: usize = 20;

/// Hits of one word, phrase or property of the query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TermStats {
    /// As the query prints it.
    pub term: String,
    /// Hits of the whole query that it matches.
    pub hits: u64,
    /// Hits of the whole query that no other term matches.
    pub unique: u64,
    /// Events of the archive that it matches by itself.
    pub archive: u64,
    /// What a wildcard stood for in the hits, with the number of hits each; nothing for other terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expansions: Option<BTreeMap<String, u64>>,
}

/// A room or person with its hits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Stable id.
    pub id: String,
    /// The newest name among the hits.
    pub name: String,
    /// Hits.
    pub hits: u64,
}

/// Everything `--stats` counts.
#[derive(Debug, Default)]
pub struct Stats {
    /// Hits.
    pub hits: u64,
    /// By term, in the order of the query.
    pub terms: Vec<TermStats>,
    custodians: BTreeMap<String, Share>,
    rooms: BTreeMap<String, Share>,
    days: BTreeMap<String, u64>,
}

/// [`Stats`] as they are written.
#[derive(Debug, Serialize)]
pub struct StatsJson<'a> {
    hits: u64,
    terms: &'a [TermStats],
    terms_without_hits: Vec<&'a str>,
    custodians: Vec<&'a Share>,
    rooms: Vec<&'a Share>,
    days: &'a BTreeMap<String, u64>,
}

impl Stats {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(terms: Vec<TermStats>) -> Self {
        Self {
            terms,
            ..Self::default()
        }
    }

    /// Counts one hit; `matched[i]` tells whether term `i` matches it.
    pub fn add(&mut self, event: &Event<'_>, matched: &[bool], zone: &TimeZone) {
        self.hits += 1;
        let alone = matched.iter().filter(|m| **m).count() == 1;
        for (term, matched) in self.terms.iter_mut().zip(matched) {
            term.hits += u64::from(*matched);
            term.unique += u64::from(*matched && alone);
        }
        let actor = &event.actor;
        let who = actor
            .id
            .as_deref()
            .or(actor.uri.as_deref())
            .or(actor.email.as_deref())
            .or(actor.name.as_deref());
        share(&mut self.custodians, who, actor.name.as_deref());
        share(
            &mut self.rooms,
            event.room.id.as_deref(),
            event.room.name.as_deref(),
        );
        *self.days.entry(zone::day(event.time_us, zone)).or_default() += 1;
    }

    /// The counts in the order they are shown: most hits first.
    #[must_use]
    pub fn json(&self) -> StatsJson<'_> {
        StatsJson {
            hits: self.hits,
            terms: &self.terms,
            terms_without_hits: self
                .terms
                .iter()
                .filter(|t| t.hits == 0)
                .map(|t| t.term.as_str())
                .collect(),
            custodians: ranked(&self.custodians),
            rooms: ranked(&self.rooms),
            days: &self.days,
        }
    }

    /// The histogram's bars.
    #[must_use]
    pub fn bars(&self) -> Vec<Bar> {
        histogram::bars(&self.days)
    }

    /// Writes the counts for people.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&self, out: &mut dyn Write, width: usize, paint: Paint) -> io::Result<()> {
        let json = self.json();
        let columns = [
            Column::text("TERM", 40),
            Column::figure("HITS"),
            Column::figure("UNIQUE"),
            Column::figure("IN ARCHIVE"),
        ];
        let rows: Vec<Vec<Cell>> = self
            .terms
            .iter()
            .map(|t| {
                vec![
                    plain(&t.term),
                    plain(&grouped(t.hits)),
                    plain(&grouped(t.unique)),
                    plain(&grouped(t.archive)),
                ]
            })
            .collect();
        table::write(out, &columns, &rows, width, paint)?;
        if !json.terms_without_hits.is_empty() {
            let terms: Vec<_> = json
                .terms_without_hits
                .iter()
                .map(|t| crate::output::text::escape(t))
                .collect();
            writeln!(out, "terms without hits: {}", terms.join(", "))?;
        }
        for term in &self.terms {
            write_expansions(out, term, width, paint)?;
        }
        write_shares(out, "CUSTODIAN", &json.custodians, width, paint)?;
        write_shares(out, "ROOM", &json.rooms, width, paint)?;
        writeln!(out, "\n{}", paint.bold("HITS OVER TIME"))?;
        for line in histogram::lines(&self.bars(), width) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    /// Writes `terms.csv`, `expansions.csv`, `custodians.csv`, `rooms.csv`, `days.csv` and `histogram.svg` into a folder,
    /// which is created.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn report(&self, folder: &Path, title: &str) -> Result<(), Failure> {
        std::fs::create_dir_all(folder).map_err(Failure::file("create", folder))?;
        let terms = self.terms.iter().map(|t| {
            vec![
                t.term.clone(),
                t.hits.to_string(),
                t.unique.to_string(),
                t.archive.to_string(),
            ]
        });
        report_file(
            folder,
            "terms.csv",
            &["term", "hits", "unique", "in_archive"],
            terms,
        )?;
        let expansions = self.terms.iter().flat_map(|t| {
            let found = t.expansions.iter().flatten();
            found.map(|(word, hits)| vec![t.term.clone(), word.clone(), hits.to_string()])
        });
        report_file(
            folder,
            "expansions.csv",
            &["term", "word", "hits"],
            expansions,
        )?;
        let shares = |shares: &BTreeMap<String, Share>| -> Vec<Vec<String>> {
            ranked(shares)
                .iter()
                .map(|s| vec![s.id.clone(), s.name.clone(), s.hits.to_string()])
                .collect()
        };
        report_file(
            folder,
            "custodians.csv",
            &["id", "name", "hits"],
            shares(&self.custodians).into_iter(),
        )?;
        report_file(
            folder,
            "rooms.csv",
            &["id", "name", "hits"],
            shares(&self.rooms).into_iter(),
        )?;
        let days = self
            .days
            .iter()
            .map(|(day, hits)| vec![day.clone(), hits.to_string()]);
        report_file(folder, "days.csv", &["day", "hits"], days)?;
        let svg = folder.join("histogram.svg");
        std::fs::write(&svg, histogram::svg(title, &self.bars()))
            .map_err(Failure::file("write", &svg))
    }
}

fn share(shares: &mut BTreeMap<String, Share>, id: Option<&str>, name: Option<&str>) {
    let id = id.unwrap_or_default();
    if !shares.contains_key(id) {
        shares.insert(
            id.to_owned(),
            Share {
                id: id.to_owned(),
                name: String::new(),
                hits: 0,
            },
        );
    }
    if let Some(share) = shares.get_mut(id) {
        share.hits += 1;
        // Hits come in time order: the last name seen is the newest.
        if let Some(name) = name.filter(|name| *name != share.name) {
            name.clone_into(&mut share.name);
        }
    }
}

fn ranked(shares: &BTreeMap<String, Share>) -> Vec<&Share> {
    let mut ranked: Vec<&Share> = shares.values().collect();
    ranked.sort_by(|a, b| b.hits.cmp(&a.hits).then_with(|| a.id.cmp(&b.id)));
    ranked
}

fn write_expansions(
    out: &mut dyn Write,
    term: &TermStats,
    width: usize,
    paint: Paint,
) -> io::Result<()> {
    let Some(expansions) = term.expansions.as_ref().filter(|e| !e.is_empty()) else {
        return Ok(());
    };
    let mut words: Vec<(&String, &u64)> = expansions.iter().collect();
    words.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    writeln!(
        out,
        "\n{}",
        paint.bold(&format!(
            "{} stood for",
            crate::output::text::escape(&term.term)
        ))
    )?;
    let rows: Vec<Vec<Cell>> = words
        .iter()
        .take(ROWS_MAX)
        .map(|(word, hits)| vec![plain(word), plain(&grouped(**hits))])
        .collect();
    table::write(
        out,
        &[Column::text("WORD", 40), Column::figure("HITS")],
        &rows,
        width,
        paint,
    )?;
    more(out, words.len())
}

fn write_shares(
    out: &mut dyn Write,
    heading: &'static str,
    shares: &[&Share],
    width: usize,
    paint: Paint,
) -> io::Result<()> {
    writeln!(out)?;
    let rows: Vec<Vec<Cell>> = shares
        .iter()
        .take(ROWS_MAX)
        .map(|s| {
            let id = if s.id.is_empty() {
                "(none)"
            } else {
                s.id.as_str()
            };
            vec![plain(id), plain(&s.name), plain(&grouped(s.hits))]
        })
        .collect();
    table::write(
        out,
        &[
            Column::text(heading, 40),
            Column::text("NAME", 30),
            Column::figure("HITS"),
        ],
        &rows,
        width,
        paint,
    )?;
    more(out, shares.len())
}

fn more(out: &mut dyn Write, count: usize) -> io::Result<()> {
    if count > ROWS_MAX {
        writeln!(out, "{ROWS_MAX} of {}", grouped(count as u64))?;
    }
    Ok(())
}

fn report_file(
    folder: &Path,
    name: &str,
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<(), Failure> {
    let path = folder.join(name);
    let failed = |e: csv::Error| Failure::file("write", &path)(safe::io_error(e));
    let file = std::fs::File::create(&path).map_err(Failure::file("create", &path))?;
    let mut out = safe::writer(io::BufWriter::new(file));
    out.write_record(header).map_err(failed)?;
    for row in rows {
        out.write_record(row.iter().map(|cell| safe::defuse(cell).into_owned()))
            .map_err(failed)?;
    }
    out.flush().map_err(Failure::file("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(name: &str) -> TermStats {
        TermStats {
            term: name.into(),
            hits: 0,
            unique: 0,
            archive: 0,
            expansions: None,
        }
    }

    #[test]
    fn unique_hits_are_those_no_other_term_matches() {
        let mut stats = Stats {
            terms: vec![term("a"), term("b"), term("c")],
            ..Stats::default()
        };
        let event = Event::default();
        stats.add(&event, &[true, false, false], &TimeZone::UTC);
        stats.add(&event, &[true, true, false], &TimeZone::UTC);
        assert_eq!((stats.terms[0].hits, stats.terms[0].unique), (2, 1));
        assert_eq!((stats.terms[1].hits, stats.terms[1].unique), (1, 0));
        assert_eq!(stats.json().terms_without_hits, ["c"]);
    }
}
