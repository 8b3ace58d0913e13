//! What is asked of a segment: by its split where there is a usable one, by reading its rows where there is none.

use std::borrow::Cow;

use holdfast_query::analyzer::fold_keyword;
use holdfast_schemas::columns::name;
use holdfast_schemas::{Event, Row, event_type};

use super::status::CHANGING;
use crate::docs::{Set, Term};
use crate::error::{SearchError, SplitError};
use crate::schema::{Hashed, Key};
use crate::split::Split;

/// A question to the rows of a segment. Both ways of asking must find the same rows (promise SE-1).
pub(crate) trait Question: Send + Sync {
    /// What the split says.
    fn find(&self, split: &Split) -> Result<Answer, FindError>;
    /// What tells whether a row is wanted, with scratch space of its own. Needs [`Question::columns`].
    fn judge(&self) -> Judge<'_>;
    /// The columns that [`Question::judge`] looks at; all when nothing is said.
    fn columns(&self) -> Option<Vec<&'static str>>;
}

/// Whether a row is wanted.
pub(crate) type Judge<'a> = Box<dyn FnMut(&Row<'_>) -> bool + 'a>;

/// What a split says.
pub(crate) struct Answer {
    /// Every wanted row is in it.
    pub(crate) within: Set,
    /// Rows that are wanted for certain. `None` means all of `within`; the others are judged one by one.
    pub(crate) certain: Option<Set>,
}

impl Answer {
    /// Exactly these.
    pub(crate) fn exact(rows: Set) -> Self {
        Self {
            within: rows,
            certain: None,
        }
    }

    /// Each of these is judged.
    pub(crate) fn candidates(rows: Set) -> Self {
        Self {
            within: rows,
            certain: Some(Set::Empty),
        }
    }
}

/// Why a split gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    /// The split is of no use: read the rows.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The question has no answer.
    #[error(transparent)]
    Search(#[from] SearchError),
}

impl From<std::io::Error> for FindError {
    fn from(error: std::io::Error) -> Self {
        Self::Split(error.into())
    }
}

/// Rows with a whole value.
pub(crate) fn key_rows(split: &Split, key: Key, folded: &[u8]) -> Result<Set, SplitError> {
    let reader = split.keys()?;
    let mut term = Vec::with_capacity(folded.len() + 1);
    term.push(key as u8);
    term.extend_from_slice(folded);
    Ok(match reader.terms().get(&term)? {
        Some(info) => Set::Term(Term { reader, info }),
        None => Set::Empty,
    })
}

fn same(value: Option<&Cow<'_, str>>, folded: &str) -> bool {
    value.is_some_and(|value| fold_keyword(value) == folded)
}

/// Events of some types.
pub(crate) struct OfTypes(pub(crate) &'static [&'static str]);

/// Edits, deletions and replacements.
pub(crate) const CHANGES: OfTypes = OfTypes(&CHANGING);

impl Question for OfTypes {
    fn find(&self, split: &Split) -> Result<Answer, FindError> {
        // The key holds types without regard to case, so a foreign `CHAT.…` type is a candidate too.
        let sets = self
            .0
            .iter()
            .map(|name| key_rows(split, Key::Type, fold_keyword(name).as_bytes()));
        Ok(Answer::candidates(Set::or(sets.collect::<Result<_, _>>()?)))
    }

    fn judge(&self) -> Judge<'_> {
        Box::new(|row| self.0.contains(&row.event.event_type.as_ref()))
    }

    fn columns(&self) -> Option<Vec<&'static str>> {
        Some(vec![name::EVENT_TYPE])
    }
}

/// The event with an id, ignoring case.
pub(crate) struct WithId {
    /// Folded.
    pub(crate) id: String,
}

impl Question for WithId {
    fn find(&self, split: &Split) -> Result<Answer, FindError> {
        Ok(Answer::candidates(Set::List(
            split.hashed(Hashed::Id, &self.id)?,
        )))
    }

    fn judge(&self) -> Judge<'_> {
        Box::new(|row| fold_keyword(&row.event.id) == self.id)
    }

    fn columns(&self) -> Option<Vec<&'static str>> {
        Some(vec![name::EVENT_ID])
    }
}

/// The events that speak of a message, in its room.
pub(crate) struct OfMessage {
    /// Folded room id; events without a room when empty.
    pub(crate) room: String,
    /// Folded message id.
    pub(crate) message: String,
}

impl Question for OfMessage {
    fn find(&self, split: &Split) -> Result<Answer, FindError> {
        Ok(Answer::candidates(Set::List(
            split.hashed(Hashed::Message, &self.message)?,
        )))
    }

    fn judge(&self) -> Judge<'_> {
        Box::new(|row| {
            let room = row.event.room.id.as_deref().unwrap_or_default();
            same(row.event.message.id.as_ref(), &self.message) && fold_keyword(room) == self.room
        })
    }

    fn columns(&self) -> Option<Vec<&'static str>> {
        Some(vec![name::MESSAGE_ID, name::ROOM_ID])
    }
}

/// The event with a place in its origin. No split knows it: statistics leave few segments.
pub(crate) struct AtSequence {
    pub(crate) origin: String,
    pub(crate) sequence: u64,
}

impl Question for AtSequence {
    fn find(&self, split: &Split) -> Result<Answer, FindError> {
        Ok(Answer::candidates(key_rows(
            split,
            Key::Origin,
            fold_keyword(&self.origin).as_bytes(),
        )?))
    }

    fn judge(&self) -> Judge<'_> {
        Box::new(|row| row.event.sequence == self.sequence && row.event.origin == self.origin)
    }

    fn columns(&self) -> Option<Vec<&'static str>> {
        Some(vec![name::ORIGIN, name::ORIGIN_SEQ])
    }
}

/// What happened in a room in a span of time, both ends included.
pub(crate) struct InRoom {
    /// Folded room id.
    pub(crate) room: String,
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
}

impl InRoom {
    fn holds(&self, event: &Event<'_>) -> bool {
        (self.from_us..=self.to_us).contains(&event.time_us)
            && same(event.room.id.as_ref(), &self.room)
    }
}

impl Question for InRoom {
    fn find(&self, split: &Split) -> Result<Answer, FindError> {
        let times = super::times::event_span(split, self.from_us, self.to_us)?;
        let room = key_rows(split, Key::RoomId, self.room.as_bytes())?;
        Ok(Answer::exact(Set::and(vec![Set::Span(times), room])))
    }

    fn judge(&self) -> Judge<'_> {
        Box::new(|row| self.holds(&row.event))
    }

    fn columns(&self) -> Option<Vec<&'static str>> {
        Some(vec![name::EVENT_TIME, name::ROOM_ID])
    }
}

/// What was posted in a room. The type ignores case, as the key of types does: no row has to be read to tell.
pub(crate) struct PostedIn {
    /// Folded room id.
    pub(crate) room: String,
}

impl Question for PostedIn {
    fn find(&self, split: &Split) -> Result<Answer, FindError> {
        let posted = fold_keyword(event_type::MESSAGE_POSTED);
        Ok(Answer::exact(Set::and(vec![
            key_rows(split, Key::RoomId, self.room.as_bytes())?,
            key_rows(split, Key::Type, posted.as_bytes())?,
        ])))
    }

    fn judge(&self) -> Judge<'_> {
        let posted = fold_keyword(event_type::MESSAGE_POSTED);
        Box::new(move |row| {
            fold_keyword(&row.event.event_type) == posted
                && same(row.event.room.id.as_ref(), &self.room)
        })
    }

    fn columns(&self) -> Option<Vec<&'static str>> {
        Some(vec![name::EVENT_TYPE, name::ROOM_ID])
    }
}
