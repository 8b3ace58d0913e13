//! The survey: which families have several events, and which state records there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use futures::TryStreamExt;
use holdfast_archive::{Archive, Segment};
use holdfast_schemas::columns::name;
use holdfast_schemas::event_type;
use rustc_hash::FxHashSet;

use super::{PlanError, read};
use crate::family::{Class, Subject, class_of, file_key, message_key};

/// What the event types of the archive tell ahead of the scan.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Keys of messages that have more than their first version.
    pub(super) tied: FxHashSet<u64>,
    /// Keys of files that were uploaded or downloaded.
    pub(super) files: FxHashSet<u64>,
    /// Subjects of which there are state records.
    pub(super) subjects: BTreeSet<Subject>,
}

impl Survey {
    pub(super) fn merge(&mut self, other: Self) {
        self.tied.extend(other.tied);
        self.files.extend(other.files);
        self.subjects.extend(other.subjects);
    }

    /// Whether every segment has to be looked at, whatever its times.
    pub(super) fn reaches_everywhere(&self) -> bool {
        !self.tied.is_empty() || !self.files.is_empty() || !self.subjects.is_empty()
    }
}

/// Surveys one segment.
pub(super) async fn of(archive: &Archive, segment: &Segment) -> Result<Survey, PlanError> {
    let mut survey = Survey::default();
    let mut follow_ups = Vec::new();
    let mut batches = read::open(archive, segment, Some(&[name::EVENT_TYPE]), None, false).await?;
    let mut row = 0u32;
    // One type mostly follows itself: what it is to disposal is looked up when it changes.
    let mut last: (String, Class) = (
        event_type::MESSAGE_POSTED.to_owned(),
        Class::Message { content: true },
    );
    while let Some(batch) = batches.try_next().await? {
        let types = batch
            .column_by_name(name::EVENT_TYPE)
            .and_then(|c| c.as_string_opt::<i32>());
        let types = types.ok_or_else(|| PlanError::Segment {
            segment: segment.path.clone(),
            problem: "its event types are no text".to_owned(),
        })?;
        for place in 0..types.len() {
            let name = types.value(place);
            if name != last.0 {
                last = (name.to_owned(), class_of(name));
            }
            match last.1 {
                Class::Message { .. } if name == event_type::MESSAGE_POSTED => {}
                Class::Message { .. } | Class::File => follow_ups.push(row),
                Class::State(subject) => {
                    survey.subjects.insert(subject);
                }
                Class::Alone | Class::Quarantined => {}
            }
            row += 1;
        }
    }
    if !follow_ups.is_empty() {
        keys(archive, segment, &follow_ups, &mut survey).await?;
    }
    Ok(survey)
}

/// Reads whom the follow-ups belong to.
async fn keys(
    archive: &Archive,
    segment: &Segment,
    rows: &[u32],
    survey: &mut Survey,
) -> Result<(), PlanError> {
    let columns = [
        name::EVENT_TYPE,
        name::ROOM_ID,
        name::MESSAGE_ID,
        name::ATTACHMENTS,
    ];
    let mut batches = read::open(archive, segment, Some(&columns), Some(rows), false).await?;
    while let Some(batch) = batches.try_next().await? {
        let view = read::view(segment, &batch)?;
        for place in 0..view.len() {
            let event = view.event(place);
            match class_of(&event.event_type) {
                Class::File => {
                    let ids = event
                        .attachments
                        .iter()
                        .filter_map(|file| file.id.as_deref());
                    survey.files.extend(ids.map(file_key));
                }
                Class::Message { .. } => {
                    let message = event.message.id.as_deref();
                    survey
                        .tied
                        .extend(message.map(|id| message_key(event.room.id.as_deref(), id)));
                }
                Class::State(_) | Class::Alone | Class::Quarantined => {}
            }
        }
    }
    Ok(())
}

/// Surveys all segments, some at a time.
pub(super) async fn all(
    archive: &Archive,
    segments: &[Arc<Segment>],
    at_once: usize,
) -> Result<Survey, PlanError> {
    let found = super::make::each(segments, at_once, |segment| {
        let archive = archive.clone();
        async move { of(&archive, &segment).await }
    });
    let found: Vec<Survey> = found.await?;
    let mut survey = Survey::default();
    found.into_iter().for_each(|one| survey.merge(one));
    Ok(survey)
}
