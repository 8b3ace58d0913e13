//! The scan of one segment.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt;
use holdfast_archive::{Archive, Segment};
use holdfast_schemas::Event;
use holdfast_schemas::columns::{Rows, name};

use super::domains::Domains;
use super::families::Family;
use super::going::Going;
use super::judge::{Asks, Judge, Judged, is_content};
use super::survey::Survey;
use super::tally::Counting;
use super::{Basis, PlanError, read};
use crate::family::{Chain, Class, KeptDays, Subject, Told, class_of, file_key, message_key};

/// A row whose family has other rows.
#[derive(Debug)]
pub(super) struct TiedRow {
    pub(super) row: u32,
    pub(super) key: u64,
    pub(super) content: bool,
    pub(super) judged: Judged,
    pub(super) room: Option<Arc<str>>,
    pub(super) domains: Box<[u64]>,
}

/// A state record.
#[derive(Debug)]
pub(super) struct StateRow {
    pub(super) row: u32,
    pub(super) chain: Chain,
    pub(super) judged: Judged,
    pub(super) room: Option<Arc<str>>,
    /// Users it names, where there are records that tell who they were.
    pub(super) users: Box<[u64]>,
}

/// What a segment's rows come to.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Rows that go.
    pub(super) goes: Going,
    pub(super) tied: Vec<TiedRow>,
    /// Keys that are one family, since a message carries a file.
    pub(super) links: Vec<(u64, u64)>,
    pub(super) records: Vec<StateRow>,
    pub(super) kept: KeptDays,
    pub(super) counting: Counting,
}

/// Where a row belongs.
enum Belongs {
    /// To nobody else.
    Alone,
    Tied(u64),
    /// A state record, and the users it names.
    State(Chain, Vec<u64>),
}

pub(super) struct Scanner {
    judge: Judge,
    survey: Arc<Survey>,
    scan: Scan,
    /// What explains an event that stays, as far as there are state records of that kind.
    domains: Domains,
    room: Option<Arc<str>>,
    /// Rows that text decides about, with what is known of them.
    open: Vec<(u32, Judged, Asks, Belongs, bool)>,
}

/// Scans a segment.
pub(super) async fn of(
    archive: &Archive,
    segment: &Segment,
    basis: &Arc<Basis>,
    survey: &Arc<Survey>,
) -> Result<Scan, PlanError> {
    let mut scanner = Scanner {
        judge: Judge::new(basis)?,
        survey: Arc::clone(survey),
        scan: Scan::default(),
        domains: Domains::told_by(&survey.subjects),
        room: None,
        open: Vec::new(),
    };
    let young = segment.stats.ingest_time_us.1 >= basis.ingested_before_us;
    let columns = columns(basis, survey, young);
    let subset = basis.only.is_some();
    let mut batches = read::open(archive, segment, Some(&columns), None, subset).await?;
    let mut first = 0u32;
    while let Some(batch) = batches.try_next().await? {
        let view = read::view(segment, &batch)?;
        let ids = subset
            .then(|| read::row_ids_of(segment, &batch))
            .transpose()?;
        for place in 0..view.len() {
            let row = first + place as u32;
            let planned = ids.is_none_or(|ids| in_plan(basis, ids[place]));
            // Where the youngest is old enough, everything is.
            let ingest_us = if young {
                view.row(place).intake.ingest_time_us
            } else {
                segment.stats.ingest_time_us.1
            };
            scanner.row(row, &view, place, ingest_us, planned);
        }
        first += batch.num_rows() as u32;
    }
    scanner.text(archive, segment).await?;
    let scan = scanner.scan;
    Ok(Scan {
        kept: scan.kept.settled(),
        ..scan
    })
}

fn in_plan(basis: &Basis, row_id: i64) -> bool {
    let only = basis.only.as_ref();
    only.is_none_or(|only| u64::try_from(row_id).is_ok_and(|id| only.contains(id)))
}

/// What has to be read of every row.
fn columns(basis: &Basis, survey: &Survey, young: bool) -> Vec<&'static str> {
    let mut columns = BTreeSet::from([
        name::EVENT_TYPE,
        name::EVENT_TIME,
        name::ROOM_ID,
        name::MESSAGE_ID,
    ]);
    let has = |subjects: &[Subject]| {
        subjects
            .iter()
            .any(|subject| survey.subjects.contains(subject))
    };
    if young {
        columns.insert(name::INGEST_TIME);
    }
    if !basis
        .rules
        .iter()
        .all(|rule| rule.scope.categories.is_empty())
        || !basis.holds.is_empty()
        || has(&[Subject::Category])
    {
        columns.insert(name::CATEGORY);
    }
    let custodians = basis.holds.iter().any(crate::hold::Hold::has_custodians);
    if custodians || has(&[Subject::User, Subject::Session]) {
        columns.insert(name::ACTOR_ID);
    }
    if custodians {
        columns.extend([
            name::ACTOR_URI,
            name::ACTOR_NAME,
            name::ACTOR_EMAIL,
            name::EXTRA,
        ]);
    }
    if !survey.subjects.is_empty() {
        columns.extend([name::EXTRA, name::ORIGIN, name::ORIGIN_SEQ]);
    }
    if has(&[Subject::Node]) {
        columns.insert(name::SOURCE);
    }
    if has(&[Subject::Origin]) {
        columns.insert(name::ORIGIN);
    }
    if basis.marked.is_some() {
        columns.insert(name::EVENT_ID);
    }
    if !survey.files.is_empty() || basis.marked.is_some() {
        columns.insert(name::ATTACHMENTS);
    }
    columns.into_iter().collect()
}

impl Scanner {
    fn row(&mut self, row: u32, view: &Rows<'_>, place: usize, ingest_us: i64, planned: bool) {
        let event = view.event(place);
        let class = class_of(&event.event_type);
        let belongs = self.belongs(&event, class);
        let (judged, asks) = self.judge.cheap(&event, ingest_us, planned);
        let latest = self.judge.basis.cutoffs.latest();
        // Text is worth reading only where the answer can still be that it goes.
        let matters = !matches!(belongs, Belongs::Alone) || judged.time_us < latest;
        if asks.any() && matters {
            self.open
                .push((row, judged, asks, belongs, is_content(class)));
        } else {
            self.settle(row, &event, judged, belongs, is_content(class));
        }
    }

    fn belongs(&mut self, event: &Event<'_>, class: Class) -> Belongs {
        match class {
            Class::Message { .. } => {
                let Some(id) = event.message.id.as_deref() else {
                    return Belongs::Alone;
                };
                let key = message_key(event.room.id.as_deref(), id);
                let files = event
                    .attachments
                    .iter()
                    .filter_map(|file| file.id.as_deref())
                    .map(file_key);
                let before = self.scan.links.len();
                let known = &self.survey.files;
                self.scan.links.extend(
                    files
                        .filter(|file| known.contains(file))
                        .map(|file| (key, file)),
                );
                let tied = self.scan.links.len() > before || self.survey.tied.contains(&key);
                if tied {
                    Belongs::Tied(key)
                } else {
                    Belongs::Alone
                }
            }
            Class::File => {
                let files = event
                    .attachments
                    .iter()
                    .filter_map(|file| file.id.as_deref());
                let files: Vec<u64> = files.map(file_key).collect();
                let together = files.windows(2).map(|pair| (pair[0], pair[1]));
                self.scan.links.extend(together);
                files.first().copied().map_or(Belongs::Alone, Belongs::Tied)
            }
            Class::State(subject) => {
                let told = Told::of(subject, event);
                let explained = self.survey.subjects.contains(&Subject::User);
                let users = explained.then(|| told.users());
                Belongs::State(told.chain(), users.unwrap_or_default())
            }
            Class::Alone | Class::Quarantined => Belongs::Alone,
        }
    }

    fn settle(
        &mut self,
        row: u32,
        event: &Event<'_>,
        judged: Judged,
        belongs: Belongs,
        content: bool,
    ) {
        match belongs {
            Belongs::Alone => {
                let family = Family::of(&judged, content);
                if family.goes(&self.judge.basis) {
                    self.scan.goes.insert(row, judged.means.deleting);
                    self.scan.counting.families += 1;
                    let room = event.room.id.as_deref();
                    self.scan
                        .counting
                        .goes(room, judged.time_us, judged.means.deleting);
                    return;
                }
                if let Some(reason) = family.stays_because(&judged, &self.judge.basis) {
                    self.scan.counting.stays(reason);
                }
                for domain in self.domains.of(event) {
                    self.scan.kept.mark(domain, judged.time_us);
                }
            }
            Belongs::Tied(key) => {
                let (room, domains) = (self.room(event), self.domains.of(event).collect());
                self.scan.tied.push(TiedRow {
                    row,
                    key,
                    content,
                    judged,
                    room,
                    domains,
                });
            }
            Belongs::State(chain, users) => {
                let room = self.room(event);
                self.scan.records.push(StateRow {
                    row,
                    chain,
                    judged,
                    room,
                    users: users.into(),
                });
            }
        }
    }

    /// The room's id; the same text as the row before, mostly.
    fn room(&mut self, event: &Event<'_>) -> Option<Arc<str>> {
        let id = event.room.id.as_deref();
        if self.room.as_deref() != id {
            self.room = id.map(Into::into);
        }
        self.room.clone()
    }

    /// Reads the rows that text decides about.
    async fn text(&mut self, archive: &Archive, segment: &Segment) -> Result<(), PlanError> {
        let open = std::mem::take(&mut self.open);
        if open.is_empty() {
            return Ok(());
        }
        let rows: Vec<u32> = open.iter().map(|(row, ..)| *row).collect();
        let mut open = open.into_iter();
        let mut batches = read::open(archive, segment, None, Some(&rows), false).await?;
        while let Some(batch) = batches.try_next().await? {
            let view = read::view(segment, &batch)?;
            for (place, (number, mut judged, asks, belongs, content)) in
                (0..view.len()).zip(open.by_ref())
            {
                let row = view.row(place);
                self.judge.text(&mut judged, asks, &row);
                self.settle(number, &row.event, judged, belongs, content);
            }
        }
        match open.next() {
            None => Ok(()),
            Some((row, ..)) => Err(PlanError::Segment {
                segment: segment.path.clone(),
                problem: format!("row {row} could not be read"),
            }),
        }
    }
}
