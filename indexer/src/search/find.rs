//! Answering a plan from a split.
//!
//! A plan that needs the row to be judged somewhere is answered twice: with every row that may fit, and with every row
//! that fits for certain. Only the rows between are read. NOT swaps the two.

use std::sync::Arc;

use tantivy::InvertedIndexReader;
use tantivy::postings::TermInfo;
use tantivy::schema::IndexRecordOption;

use super::plan::{Plan, Value, Word, Words};
use super::question::{Answer, FindError, key_rows};
use super::times::{event_span, ingest_span};
use crate::docs::{AnyOf, Element, Located, Near, Phrase, Set, Term};
use crate::error::SplitError;
use crate::schema::{Key, TextField, size_term};
use crate::split::{Split, postings};

/// Which rows are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// All that may fit.
    May,
    /// All that fit for certain.
    Must,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::May => Self::Must,
            Self::Must => Self::May,
        }
    }
}

impl Plan {
    /// Whether the dictionaries decide alone.
    fn is_exact(&self) -> bool {
        match self {
            Self::And(plans) | Self::Or(plans) => plans.iter().all(Self::is_exact),
            Self::Not(plan) => plan.is_exact(),
            Self::Judged(_) | Self::Hashed { .. } => false,
            Self::All
            | Self::Nothing
            | Self::Text { .. }
            | Self::Key { .. }
            | Self::EventTime { .. }
            | Self::IngestTime { .. }
            | Self::Size { .. } => true,
        }
    }

    /// What a split says to the plan.
    ///
    /// # Errors
    /// The split is of no use, or a wildcard stands for too many terms.
    pub(crate) fn find(&self, split: &Split) -> Result<Answer, FindError> {
        let within = self.rows(split, Side::May)?;
        if self.is_exact() {
            return Ok(Answer::exact(within));
        }
        Ok(Answer { within, certain: Some(self.rows(split, Side::Must)?) })
    }

    fn rows(&self, split: &Split, side: Side) -> Result<Set, FindError> {
        Ok(match self {
            Self::All => Set::All,
            Self::Nothing => Set::Empty,
            Self::And(plans) => {
                let mut sets = Vec::with_capacity(plans.len());
                for plan in plans {
                    match plan.rows(split, side)? {
                        // Nothing can come of the others; their terms need not be looked up.
                        Set::Empty => return Ok(Set::Empty),
                        set => sets.push(set),
                    }
                }
                Set::and(sets)
            }
            Self::Or(plans) => Set::or(plans.iter().map(|plan| plan.rows(split, side)).collect::<Result<_, _>>()?),
            Self::Not(plan) => Set::not(plan.rows(split, side.other())?),
            Self::Text { fields, words } => {
                Set::or(fields.iter().map(|field| text(split, *field, words)).collect::<Result<_, _>>()?)
            }
            Self::Key { key, value: Value::Exact(folded) } => key_rows(split, *key, folded.as_bytes())?,
            Self::Key { key, value: Value::Wildcard(wildcard) } => {
                let reader = split.keys()?;
                let mut sets = Vec::new();
                wildcard.walk(&reader, &[*key as u8], |info| {
                    sets.push(Set::Term(Term { reader: Arc::clone(&reader), info: info.clone() }));
                    Ok(())
                })?;
                Set::or(sets)
            }
            Self::Hashed { .. } | Self::Judged(_) if side == Side::Must => Set::Empty,
            Self::Hashed { id, folded } => Set::List(split.hashed(*id, folded)?),
            Self::Judged(plan) => plan.rows(split, Side::May)?,
            Self::EventTime { from_us, to_us } => {
                let rows = event_span(split, *from_us, *to_us)?;
                if rows.len() as u32 == split.rows() { Set::All } else { Set::Span(rows) }
            }
            Self::IngestTime { from_us, to_us } => ingest_span(split, *from_us, *to_us)?,
            Self::Size { from, to } => sizes(split, *from, *to)?,
        })
    }
}

fn sizes(split: &Split, from: i64, to: i64) -> Result<Set, FindError> {
    if from > to {
        return Ok(Set::Empty);
    }
    let reader = split.keys()?;
    let term = |size: i64| [&[Key::Size as u8], size_term(size).as_slice()].concat();
    let mut terms = reader.terms().range().ge(term(from)).le(term(to)).into_stream()?;
    let mut sets = Vec::new();
    while terms.advance() {
        sets.push(Set::Term(Term { reader: Arc::clone(&reader), info: terms.value().clone() }));
    }
    Ok(Set::or(sets))
}

fn text(split: &Split, field: TextField, words: &Words) -> Result<Set, FindError> {
    let reader = split.text(field)?;
    if reader.terms().num_terms() == 0 {
        return Ok(Set::Empty);
    }
    rows_of(&reader, words)
}

/// Rows by terms alone where one word is asked for, by positions otherwise.
fn rows_of(reader: &Arc<InvertedIndexReader>, words: &Words) -> Result<Set, FindError> {
    match words {
        Words::Any(any) => {
            Ok(Set::or(any.iter().map(|words| rows_of(reader, words)).collect::<Result<_, _>>()?))
        }
        Words::Phrase(phrase) if phrase.len() == 1 => {
            let infos = infos(reader, &phrase[0])?;
            Ok(Set::or(infos.into_iter().map(|info| Set::Term(Term { reader: Arc::clone(reader), info })).collect()))
        }
        Words::Phrase(_) | Words::Near { .. } => {
            Ok(located(reader, words)?.map_or(Set::Empty, |located| Set::Docs(located.into_docs())))
        }
    }
}

fn infos(reader: &InvertedIndexReader, word: &Word) -> Result<Vec<TermInfo>, FindError> {
    Ok(match word {
        Word::Term(term) => reader.terms().get(term)?.into_iter().collect(),
        Word::Wildcard(wildcard) => wildcard.expand(reader)?,
    })
}

/// Occurrences, or nothing when a word is not in the dictionary.
fn located(reader: &Arc<InvertedIndexReader>, words: &Words) -> Result<Option<Box<dyn Located>>, FindError> {
    match words {
        Words::Any(any) => {
            let mut of = Vec::with_capacity(any.len());
            for words in any {
                of.extend(located(reader, words)?);
            }
            Ok((!of.is_empty()).then(|| Box::new(AnyOf::new(of)) as Box<dyn Located>))
        }
        Words::Phrase(phrase) => {
            // All words are looked up before any postings are read: a missing one settles it.
            let mut found = Vec::with_capacity(phrase.len());
            for word in phrase {
                let infos = infos(reader, word)?;
                if infos.is_empty() {
                    return Ok(None);
                }
                found.push(infos);
            }
            let elements = found.into_iter().map(|infos| element(reader, &infos)).collect::<Result<Vec<_>, _>>()?;
            Ok(Some(Box::new(Phrase::new(elements))))
        }
        Words::Near { left, right, distance } => {
            let (Some(left), Some(right)) = (located(reader, left)?, located(reader, right)?) else { return Ok(None) };
            Ok(Some(Box::new(Near::new(left, right, *distance))))
        }
    }
}

fn element(reader: &InvertedIndexReader, infos: &[TermInfo]) -> Result<Element, SplitError> {
    let open = |info| postings(reader, info, IndexRecordOption::WithFreqsAndPositions);
    Ok(Element::new(infos.iter().map(open).collect::<Result<_, _>>()?))
}
