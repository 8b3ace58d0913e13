//! What an erasure request covers: families whose content a person wrote, or the family of one event.

use futures::TryStreamExt;
use holdfast_archive::{Archive, Snapshot};
use holdfast_schemas::columns::{Rows, name};
use holdfast_schemas::ledger::erasure::ErasureSubject;
use holdfast_schemas::ledger::person::{Identity, IdentityKind};
use holdfast_schemas::{Event, event_type};
use rustc_hash::FxHashSet;

use crate::family::{Class, class_of, file_key, message_key};
use crate::plan::{PlanError, open_rows};
use crate::policy::{Mask, folded};

/// The events of a request, by what their families are known by.
#[derive(Debug, Clone, Default)]
pub struct Marked {
    /// The rule that applies to them.
    pub rule: usize,
    keys: FxHashSet<u64>,
    ids: FxHashSet<String>,
    /// When the newest of them happened, UTC microseconds.
    pub newest_us: i64,
}

const COLUMNS: &[&str] = &[
    name::EVENT_ID,
    name::EVENT_TYPE,
    name::EVENT_TIME,
    name::ROOM_ID,
    name::ACTOR_ID,
    name::ACTOR_URI,
    name::ACTOR_NAME,
    name::ACTOR_EMAIL,
    name::MESSAGE_ID,
    name::ATTACHMENTS,
];

impl Marked {
    /// The rule's bit for an event that belongs to the request.
    #[must_use]
    pub fn applies(&self, event: &Event<'_>) -> Mask {
        let message = event
            .message
            .id
            .as_deref()
            .map(|id| message_key(event.room.id.as_deref(), id));
        let mut files = event
            .attachments
            .iter()
            .filter_map(|file| file.id.as_deref())
            .map(file_key);
        let covered = message.is_some_and(|key| self.keys.contains(&key))
            || files.any(|key| self.keys.contains(&key))
            || (!self.ids.is_empty() && self.ids.contains(event.id.as_ref()));
        u64::from(covered) << self.rule
    }

    fn add(&mut self, event: &Event<'_>) {
        self.newest_us = self.newest_us.max(event.time_us);
        let room = event.room.id.as_deref();
        match (class_of(&event.event_type), event.message.id.as_deref()) {
            (Class::Message { .. }, Some(id)) => {
                self.keys.insert(message_key(room, id));
                self.keys.extend(
                    event
                        .attachments
                        .iter()
                        .filter_map(|file| file.id.as_deref())
                        .map(file_key),
                );
            }
            (Class::File, _) => {
                self.keys.extend(
                    event
                        .attachments
                        .iter()
                        .filter_map(|file| file.id.as_deref())
                        .map(file_key),
                );
            }
            _ => {
                self.ids.insert(event.id.to_string());
            }
        }
    }
}

/// Finds what a request covers in a snapshot.
///
/// # Errors
/// A segment cannot be read.
pub async fn mark(
    archive: &Archive,
    snapshot: &Snapshot,
    subject: &ErasureSubject,
    rule: usize,
) -> Result<Marked, PlanError> {
    let mut marked = Marked {
        rule,
        newest_us: i64::MIN,
        ..Marked::default()
    };
    for segment in snapshot.segments().await?.iter() {
        let mut batches = open_rows(archive, segment, COLUMNS).await?;
        while let Some(batch) = batches.try_next().await? {
            let rows = Rows::new(&batch).map_err(|error| PlanError::Segment {
                segment: segment.path.clone(),
                problem: error.to_string(),
            })?;
            for event in (0..rows.len()).map(|place| rows.event(place)) {
                if is_subject(subject, &event) {
                    marked.add(&event);
                }
            }
        }
    }
    Ok(marked)
}

fn is_subject(subject: &ErasureSubject, event: &Event<'_>) -> bool {
    match subject {
        ErasureSubject::Event { id } => event.id == id.to_lowercase(),
        // What somebody else wrote does not go because this person reacted to it or edited it.
        ErasureSubject::Person { identities, .. } => {
            let first = !matches!(class_of(&event.event_type), Class::Message { .. })
                || event.event_type == event_type::MESSAGE_POSTED;
            first && is_author(identities, event)
        }
    }
}

fn is_author(identities: &[Identity], event: &Event<'_>) -> bool {
    let better = identities.iter().any(|one| one.kind != IdentityKind::Name);
    identities.iter().any(|one| {
        let theirs = one.from_us.unwrap_or(i64::MIN) <= event.time_us
            && event.time_us <= one.until_us.unwrap_or(i64::MAX);
        let actor = &event.actor;
        let text = match one.kind {
            IdentityKind::Id => &actor.id,
            IdentityKind::Uri => &actor.uri,
            IdentityKind::Email => &actor.email,
            IdentityKind::Name if better => return false,
            IdentityKind::Name => &actor.name,
        };
        theirs
            && text
                .as_deref()
                .is_some_and(|text| folded(text) == folded(&one.value))
    })
}
