//! Whether events that were archived after a plan alter a decision of it.

use std::sync::Arc;

use futures::TryStreamExt;
use holdfast_archive::{Archive, Segment};
use holdfast_schemas::columns::name;
use rustc_hash::FxHashSet;
use tokio::sync::OnceCell;

use super::domains::Domains;
use super::{Plan, PlanError, SegmentPlan, read};
use crate::family::{Class, Interval, KeptDays, Told, class_of, file_key, message_key};

/// What a plan's families are known by. Read when it is first asked for: without a conflict nobody asks.
#[derive(Debug)]
pub struct Touches {
    archive: Archive,
    segments: Vec<SegmentPlan>,
    /// Of every state record that goes: what it explains, and when.
    records: Vec<(Vec<u64>, Interval)>,
    custodians: bool,
    keys: OnceCell<FxHashSet<u64>>,
}

const COLUMNS: &[&str] = &[
    name::EVENT_TYPE,
    name::EVENT_TIME,
    name::ROOM_ID,
    name::CATEGORY,
    name::ACTOR_ID,
    name::SOURCE,
    name::ORIGIN,
    name::MESSAGE_ID,
    name::ATTACHMENTS,
    name::EXTRA,
];

impl Touches {
    /// For a plan. `custodians`: whether holds it was judged by have any.
    #[must_use]
    pub fn new(archive: &Archive, plan: &Plan, custodians: bool) -> Self {
        Self {
            archive: archive.clone(),
            segments: plan.segments.clone(),
            records: plan.records.clone(),
            custodians,
            keys: OnceCell::new(),
        }
    }

    /// Why the plan no longer holds, if it does not, given segments that were added after it.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub async fn altered_by(&self, newer: &[Arc<Segment>]) -> Result<Option<String>, PlanError> {
        let keys = self.keys.get_or_try_init(|| self.read_keys()).await?;
        let (mut kept, mut domains) = (KeptDays::default(), Domains::all());
        for segment in newer {
            let mut batches =
                read::open(&self.archive, segment, Some(COLUMNS), None, false).await?;
            while let Some(batch) = batches.try_next().await? {
                let view = read::view(segment, &batch)?;
                for event in (0..view.len()).map(|place| view.event(place)) {
                    let room = event.room.id.as_deref();
                    let message = event.message.id.as_deref().map(|id| message_key(room, id));
                    let files = event
                        .attachments
                        .iter()
                        .filter_map(|file| file.id.as_deref())
                        .map(file_key);
                    if message
                        .into_iter()
                        .chain(files)
                        .any(|key| keys.contains(&key))
                    {
                        return Ok(Some(format!(
                            "event {} belongs to a family that goes",
                            event.id
                        )));
                    }
                    if self.custodians && matches!(class_of(&event.event_type), Class::State(_)) {
                        return Ok(Some(format!(
                            "event {} may widen what a custodian could see",
                            event.id
                        )));
                    }
                    if !self.records.is_empty() {
                        let time_us = event.time_us;
                        let explained = domains.of(&event);
                        explained.for_each(|domain| kept.mark(domain, time_us));
                        if let Class::State(subject) = class_of(&event.event_type) {
                            let users = Told::of(subject, &event).users();
                            users.into_iter().for_each(|user| kept.mark(user, time_us));
                        }
                    }
                }
            }
        }
        let explains = |(domains, interval): &&(Vec<u64>, Interval)| {
            domains.iter().any(|domain| kept.any(*domain, *interval))
        };
        let explained = self.records.iter().find(explains);
        Ok(explained.map(|_| "newer events are explained by a record that goes".to_owned()))
    }

    async fn read_keys(&self) -> Result<FxHashSet<u64>, PlanError> {
        let mut keys = FxHashSet::default();
        for plan in &self.segments {
            let rows: Vec<u32> = plan.rows.iter().collect();
            let columns = [
                name::EVENT_TYPE,
                name::ROOM_ID,
                name::MESSAGE_ID,
                name::ATTACHMENTS,
            ];
            let mut batches = read::open(
                &self.archive,
                &plan.segment,
                Some(&columns),
                Some(&rows),
                false,
            )
            .await?;
            while let Some(batch) = batches.try_next().await? {
                let view = read::view(&plan.segment, &batch)?;
                for event in (0..view.len()).map(|place| view.event(place)) {
                    let files = event
                        .attachments
                        .iter()
                        .filter_map(|file| file.id.as_deref());
                    keys.extend(files.map(file_key));
                    let message = event.message.id.as_deref();
                    keys.extend(message.map(|id| message_key(event.room.id.as_deref(), id)));
                }
            }
        }
        Ok(keys)
    }
}
