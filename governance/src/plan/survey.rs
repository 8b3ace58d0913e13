//! The survey: which families have several events, and which state records there are.
//!
//! What is told of a segment is remembered ([`memory`]); only segments that no plan has met yet are read.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use futures::TryStreamExt;
use holdfast_archive::{Archive, Segment};
use holdfast_schemas::columns::name;
use holdfast_schemas::{Event, event_type};
use rustc_hash::FxHashSet;

use super::domains::Domains;
use super::memory::{self, Head, Memory, Tail, part};
use super::{PlanError, read};
use crate::family::{Class, KeptDays, Record, Subject, Told, class_of, file_key, message_key};

/// What the archive tells ahead of the scan.
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
    pub(super) fn merge(&mut self, head: Head) {
        self.tied.extend(head.tied);
        self.files.extend(head.files);
        self.subjects.extend(head.subjects);
    }
}

/// Surveys all segments, some at a time; answers also which of them are remembered from now on.
pub(super) async fn all(
    archive: &Archive,
    segments: &[Arc<Segment>],
    at_once: usize,
) -> Result<(Survey, Vec<bool>), PlanError> {
    let found = super::make::each(segments, at_once, |segment| {
        let archive = archive.clone();
        async move {
            let (memory, remembered) = learn(&archive, &segment).await?;
            Ok((memory.head, remembered))
        }
    });
    let mut survey = Survey::default();
    let mut remembered = Vec::with_capacity(segments.len());
    for (head, is) in found.await? {
        survey.merge(head);
        remembered.push(is);
    }
    Ok((survey, remembered))
}

/// What there is to know of a segment.
pub(super) async fn of(archive: &Archive, segment: &Segment) -> Result<Memory, PlanError> {
    Ok(learn(archive, segment).await?.0)
}

/// What there is to know of a segment, and whether it is remembered: it was, or it was read and is from now on.
async fn learn(archive: &Archive, segment: &Segment) -> Result<(Memory, bool), PlanError> {
    if let Some(memory) = memory::load(archive, segment).await {
        return Ok((memory, true));
    }
    let memory = read_all(archive, segment).await?;
    let remembered = memory::store(archive, segment, &memory).await;
    Ok((memory, remembered))
}

/// Reads a segment for what there is to know of it.
pub(super) async fn read_all(archive: &Archive, segment: &Segment) -> Result<Memory, PlanError> {
    let mut columns = vec![
        name::EVENT_TYPE,
        name::EVENT_TIME,
        name::SOURCE,
        name::ORIGIN,
        name::ROOM_ID,
        name::CATEGORY,
        name::ACTOR_ID,
        name::MESSAGE_ID,
        name::ATTACHMENTS,
    ];
    if has_records(archive, segment).await? {
        columns.extend([name::ORIGIN_SEQ, name::EXTRA]);
    }
    let mut learning = Learning::new();
    let mut batches = read::open(archive, segment, Some(&columns), None, false).await?;
    while let Some(batch) = batches.try_next().await? {
        let view = read::view(segment, &batch)?;
        (0..view.len()).for_each(|place| learning.event(&view.event(place)));
    }
    Ok(learning.finish())
}

/// Whether there are state records: their columns are read only where there are.
async fn has_records(archive: &Archive, segment: &Segment) -> Result<bool, PlanError> {
    let mut batches = read::open(archive, segment, Some(&[name::EVENT_TYPE]), None, false).await?;
    let mut last = String::new();
    while let Some(batch) = batches.try_next().await? {
        let types = batch
            .column_by_name(name::EVENT_TYPE)
            .and_then(|c| c.as_string_opt::<i32>());
        let types = types.ok_or_else(|| PlanError::Segment {
            segment: segment.path.clone(),
            problem: "its event types are no text".to_owned(),
        })?;
        // One type mostly follows itself: what it is to disposal is looked up when it changes.
        for name in (0..types.len()).map(|place| types.value(place)) {
            if name != last {
                if matches!(class_of(name), Class::State(_)) {
                    return Ok(true);
                }
                name.clone_into(&mut last);
            }
        }
    }
    Ok(false)
}

/// What was learnt so far.
struct Learning {
    head: Head,
    keys: Vec<u64>,
    days: KeptDays,
    records: Vec<Record>,
    domains: Domains,
}

impl Learning {
    fn new() -> Self {
        Self {
            head: Head::default(),
            keys: Vec::new(),
            days: KeptDays::default(),
            records: Vec::new(),
            domains: Domains::all(),
        }
    }

    fn event(&mut self, event: &Event<'_>) {
        let class = class_of(&event.event_type);
        let ids = event.attachments.iter();
        let files = ids.filter_map(|file| file.id.as_deref()).map(file_key);
        match class {
            Class::Message { .. } => {
                if let Some(id) = event.message.id.as_deref() {
                    let key = message_key(event.room.id.as_deref(), id);
                    self.keys.push(part(key));
                    if event.event_type != event_type::MESSAGE_POSTED {
                        self.head.tied.push(key);
                    }
                }
                self.keys.extend(files.map(part));
            }
            Class::File => {
                let before = self.head.files.len();
                self.head.files.extend(files);
                let new = self.head.files[before..].iter();
                self.keys.extend(new.map(|key| part(*key)));
            }
            Class::State(subject) => {
                self.record(subject, event);
                return;
            }
            Class::Alone | Class::Quarantined => {}
        }
        for domain in self.domains.of(event) {
            self.days.mark(domain, event.time_us);
        }
    }

    fn record(&mut self, subject: Subject, event: &Event<'_>) {
        self.head.subjects.insert(subject);
        let told = Told::of(subject, event);
        // Where it stays, the records of those whom it names explain it.
        for user in told.users() {
            self.days.mark(user, event.time_us);
        }
        let chain = told.chain();
        self.records.push(Record {
            chain: chain.id,
            time_us: event.time_us,
            reach: chain.reach,
        });
    }

    fn finish(mut self) -> Memory {
        for keys in [&mut self.head.tied, &mut self.head.files, &mut self.keys] {
            keys.sort_unstable();
            keys.dedup();
        }
        Memory {
            head: self.head,
            tail: Tail {
                keys: self.keys,
                days: self.days.into_days(),
                records: self.records,
            },
        }
    }
}
