//! Answering a plan from a split.
//!
//! Where terms do not decide alone (spelling, diacritics, whole texts, hashed ids), a plan is answered twice: with every
//! row that may fit, and with every row that fits for certain. Only the rows between are read and judged. NOT swaps the
//! two.

use std::sync::Arc;

use holdfast_query::plan::{
    KeywordField, KeywordTest, Near as NearPlan, Operand, Pattern, Plan, TermTest, TextField,
    TimeColumn,
};
use tantivy::InvertedIndexReader;
use tantivy::postings::TermInfo;
use tantivy::schema::IndexRecordOption;

use super::expand::{Expansions, walk};
use super::question::{Answer, FindError, key_rows};
use super::times::{event_span, ingest_span};
use crate::docs::{AnyOf, Distance, Element, Located, Near, Phrase, Set, Term};
use crate::error::SplitError;
use crate::schema::{Hashed, Key, Place, place, size_term};
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

/// What a split says to a plan.
///
/// # Errors
/// The split is of no use, or a wildcard stands for too many terms.
pub(crate) fn find(
    plan: &Plan,
    split: &Split,
    expansions: &Expansions,
) -> Result<Answer, FindError> {
    let finder = Finder { split, expansions };
    let within = finder.rows(plan, Side::May)?;
    if is_exact(plan) {
        return Ok(Answer::exact(within));
    }
    Ok(Answer {
        within,
        certain: Some(finder.rows(plan, Side::Must)?),
    })
}

/// Whether the split decides alone.
fn is_exact(plan: &Plan) -> bool {
    match plan {
        Plan::All(plans) | Plan::Any(plans) => plans.iter().all(is_exact),
        Plan::Not(plan) => is_exact(plan),
        Plan::Text { operand, .. } => operand.decided_by_terms(),
        Plan::Near(near) => near.decided_by_terms(),
        Plan::Keyword { fields, .. } => {
            // The key of actors holds id, URI and address: it decides where all three are asked for.
            let actor = ACTOR.iter().filter(|field| fields.contains(field)).count();
            (actor == 0 || actor == ACTOR.len())
                && fields
                    .iter()
                    .all(|field| matches!(place(*field), Place::Key(_)))
        }
        Plan::Whole { .. } => false,
        Plan::Time { .. } | Plan::Size { .. } | Plan::HasAttachment(_) => true,
    }
}

const ACTOR: [KeywordField; 3] = [
    KeywordField::ActorId,
    KeywordField::ActorUri,
    KeywordField::ActorEmail,
];

struct Finder<'a> {
    split: &'a Split,
    expansions: &'a Expansions,
}

impl Finder<'_> {
    fn rows(&self, plan: &Plan, side: Side) -> Result<Set, FindError> {
        match plan {
            Plan::All(plans) => {
                let mut sets = Vec::with_capacity(plans.len());
                for plan in plans {
                    sets.push(self.rows(plan, side)?);
                }
                Ok(Set::and(sets))
            }
            Plan::Any(plans) => self.any(plans.iter().map(|plan| self.rows(plan, side))),
            Plan::Not(plan) => Ok(Set::not(self.rows(plan, side.other())?)),
            Plan::Text { operand, .. } if side == Side::Must && !operand.decided_by_terms() => {
                Ok(Set::Empty)
            }
            Plan::Text { fields, operand } => self.any(
                fields
                    .iter()
                    .map(|field| self.pattern(*field, &operand.pattern)),
            ),
            Plan::Near(near) if side == Side::Must && !near.decided_by_terms() => Ok(Set::Empty),
            Plan::Near(near) => self.any(near.fields.iter().map(|field| self.near(*field, near))),
            Plan::Keyword { .. } if side == Side::Must && !is_exact(plan) => Ok(Set::Empty),
            Plan::Keyword { fields, test } => {
                let mut places: Vec<Place> = fields.iter().map(|field| place(*field)).collect();
                places.dedup();
                self.any(places.into_iter().map(|place| self.keyword(place, test)))
            }
            Plan::Whole { .. } if side == Side::Must => Ok(Set::Empty),
            Plan::Whole {
                fields,
                within: Some(pattern),
                ..
            } => self.any(fields.iter().map(|field| self.pattern(*field, pattern))),
            Plan::Whole { within: None, .. } => Ok(Set::All),
            Plan::Time {
                column,
                from_us,
                to_us,
            } => self.time(*column, *from_us, *to_us),
            Plan::Size {
                from_bytes,
                to_bytes,
            } => self.sizes(*from_bytes, *to_bytes),
            Plan::HasAttachment(true) => Ok(key_rows(self.split, Key::HasAttachment, b"1")?),
            Plan::HasAttachment(false) => {
                Ok(Set::not(key_rows(self.split, Key::HasAttachment, b"1")?))
            }
        }
    }

    fn any(&self, sets: impl Iterator<Item = Result<Set, FindError>>) -> Result<Set, FindError> {
        Ok(Set::or(sets.collect::<Result<_, _>>()?))
    }

    fn keyword(&self, place: Place, test: &KeywordTest) -> Result<Set, FindError> {
        match (place, test) {
            (Place::Key(key), KeywordTest::Equals(value)) => {
                Ok(key_rows(self.split, key, value.as_bytes())?)
            }
            (Place::Key(key), KeywordTest::Prefix(prefix)) => {
                let reader = self.split.keys()?;
                let mut sets = Vec::new();
                walk(
                    &reader,
                    &[&[key as u8], prefix.as_bytes()].concat(),
                    |_, info| {
                        sets.push(term(&reader, info.clone()));
                        Ok(())
                    },
                )?;
                Ok(Set::or(sets))
            }
            (Place::Hashed(id), KeywordTest::Equals(value)) => {
                Ok(Set::List(self.split.hashed(id, value)?))
            }
            // A hash knows no beginnings: every row is judged.
            (Place::Hashed(Hashed::Id | Hashed::Message), KeywordTest::Prefix(_)) => Ok(Set::All),
        }
    }

    fn time(
        &self,
        column: TimeColumn,
        from_us: Option<i64>,
        to_us: Option<i64>,
    ) -> Result<Set, FindError> {
        // A plan says the first microsecond after; here both ends are included.
        let (from, Some(to)) = (
            from_us.unwrap_or(i64::MIN),
            to_us.map_or(Some(i64::MAX), |to| to.checked_sub(1)),
        ) else {
            return Ok(Set::Empty);
        };
        Ok(match column {
            TimeColumn::Event => {
                let rows = event_span(self.split, from, to)?;
                if rows.len() == self.split.rows() as usize {
                    Set::All
                } else {
                    Set::Span(rows)
                }
            }
            TimeColumn::Ingest => ingest_span(self.split, from, to)?,
        })
    }

    fn sizes(&self, from: Option<i64>, to: Option<i64>) -> Result<Set, FindError> {
        let (from, to) = (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX));
        if from > to {
            return Ok(Set::Empty);
        }
        let reader = self.split.keys()?;
        let key = |size: i64| [&[Key::Size as u8], size_term(size).as_slice()].concat();
        let mut terms = reader
            .terms()
            .range()
            .ge(key(from))
            .le(key(to))
            .into_stream()?;
        let mut sets = Vec::new();
        while terms.advance() {
            sets.push(term(&reader, terms.value().clone()));
        }
        Ok(Set::or(sets))
    }

    /// Rows by terms alone where the pattern is one term, by positions otherwise.
    fn pattern(&self, field: TextField, pattern: &Pattern) -> Result<Set, FindError> {
        if self.lacks(field, pattern)? {
            return Ok(Set::Empty);
        }
        if let [slot] = pattern.slots.as_slice() {
            let reader = self.split.text(field)?;
            let infos = self.expansions.terms(&reader, &slot.test)?;
            return Ok(Set::or(
                infos.into_iter().map(|info| term(&reader, info)).collect(),
            ));
        }
        Ok(self
            .phrase(field, pattern)?
            .map_or(Set::Empty, |phrase| Set::Docs(Box::new(phrase))))
    }

    fn near(&self, field: TextField, near: &NearPlan) -> Result<Set, FindError> {
        let distance = Distance {
            terms_max: near.distance,
            ordered: near.ordered,
        };
        let (Some(left), Some(right)) = (
            self.operands(field, &near.left)?,
            self.operands(field, &near.right)?,
        ) else {
            return Ok(Set::Empty);
        };
        Ok(Set::Docs(Box::new(Near::new(left, right, distance))))
    }

    fn operands(
        &self,
        field: TextField,
        operands: &[Operand],
    ) -> Result<Option<Box<dyn Located>>, FindError> {
        let mut found: Vec<Box<dyn Located>> = Vec::with_capacity(operands.len());
        for operand in operands {
            if let Some(phrase) = self.phrase(field, &operand.pattern)? {
                found.push(Box::new(phrase));
            }
        }
        Ok(match found.len() {
            0 => None,
            1 => found.pop(),
            _ => Some(Box::new(AnyOf::new(found))),
        })
    }

    /// Whether one of a pattern's words is known to be missing, without a look into the dictionary. Said only of patterns
    /// without wildcards: those must be expanded whatever the other words are.
    fn lacks(&self, field: TextField, pattern: &Pattern) -> Result<bool, SplitError> {
        let mut lacks = false;
        for slot in &pattern.slots {
            let TermTest::Exact(word) = &slot.test else {
                return Ok(false);
            };
            lacks = lacks || !self.split.may_have(field, word)?;
        }
        Ok(lacks)
    }

    /// Occurrences of a pattern, or nothing when one of its words is not in the dictionary.
    fn phrase(&self, field: TextField, pattern: &Pattern) -> Result<Option<Phrase>, FindError> {
        if self.lacks(field, pattern)? {
            return Ok(None);
        }
        let reader = self.split.text(field)?;
        // All words are looked up before any postings are read: a missing one settles it. Wildcards all the same, since
        // their number is limited whatever the other words are.
        let mut slots = Vec::with_capacity(pattern.slots.len());
        for slot in &pattern.slots {
            slots.push((slot.offset, self.expansions.terms(&reader, &slot.test)?));
        }
        if slots.iter().any(|(_, infos)| infos.is_empty()) {
            return Ok(None);
        }
        let elements = slots
            .into_iter()
            .map(|(offset, infos)| Ok((offset, element(&reader, &infos)?)));
        Ok(Some(Phrase::new(
            elements.collect::<Result<_, SplitError>>()?,
            pattern.width,
        )))
    }
}

fn term(reader: &Arc<InvertedIndexReader>, info: TermInfo) -> Set {
    Set::Term(Term {
        reader: Arc::clone(reader),
        info,
    })
}

fn element(reader: &InvertedIndexReader, infos: &[TermInfo]) -> Result<Element, SplitError> {
    let open = |info| postings(reader, info, IndexRecordOption::WithFreqsAndPositions);
    Ok(Element::new(
        infos.iter().map(open).collect::<Result<_, _>>()?,
    ))
}
