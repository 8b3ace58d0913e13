//! Making a plan.

use std::cmp::Reverse;
use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, stream};
use holdfast_archive::{Archive, Segment, Snapshot};
use roaring::RoaringBitmap;
use rustc_hash::FxHashSet;

use super::families::{Families, Family};
use super::going::Going;
use super::memory::{Tail, part};
use super::scan::{Scan, StateRow, TiedRow};
use super::survey::{self, Survey};
use super::tally::{Counting, Tally};
use super::{Basis, PlanError, scan, state_records};
use crate::family::{Interval, KeptDays, Record};
use crate::policy::NEVER;

/// Rows of one segment that go.
#[derive(Debug, Clone)]
pub struct SegmentPlan {
    /// The segment.
    pub segment: Arc<Segment>,
    /// Its rows that go, at least one.
    pub rows: RoaringBitmap,
    /// The same rows by the policy that deletes them.
    pub by: Vec<(String, RoaringBitmap)>,
}

impl SegmentPlan {
    /// Whether nothing of the segment stays.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.rows.len() == self.segment.rows
    }
}

/// What goes from a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The segments that lose rows, in the order of their paths.
    pub segments: Vec<SegmentPlan>,
    /// The numbers.
    pub tally: Tally,
    /// Of every state record that goes: what it explains, and when.
    pub records: Vec<(Vec<u64>, Interval)>,
}

/// Plans what goes from a snapshot.
///
/// # Errors
/// The archive cannot be read, or a policy or hold not be judged by.
pub async fn make(
    archive: &Archive,
    snapshot: &Snapshot,
    basis: &Arc<Basis>,
) -> Result<Plan, PlanError> {
    let segments = snapshot.segments().await?;
    if basis.cutoffs.latest() == NEVER {
        return Ok(Plan::default());
    }
    let (survey, remembered) = survey::all(archive, &segments, at_once()).await?;
    let reach = Reach::new(archive, &segments, basis, survey);
    // What cannot have expired is left out at first; what cannot be remembered is read once more at most.
    let latest = basis.cutoffs.latest();
    let mut first = Vec::new();
    for (number, (segment, remembered)) in segments.iter().zip(remembered).enumerate() {
        if segment.stats.event_time_us.0 < latest || !remembered {
            first.push(number);
        }
    }
    reach.plan(first).await
}

/// [`make`] without remembering anything and without leaving out any segment: what it must agree with.
///
/// # Errors
/// As [`make`].
#[doc(hidden)]
pub async fn make_by_reading_everything(
    archive: &Archive,
    snapshot: &Snapshot,
    basis: &Arc<Basis>,
) -> Result<Plan, PlanError> {
    let segments = snapshot.segments().await?;
    let mut survey = Survey::default();
    for segment in segments.iter() {
        survey.merge(survey::read_all(archive, segment).await?.head);
    }
    let reach = Reach::new(archive, &segments, basis, survey);
    reach.plan((0..segments.len()).collect()).await
}

fn at_once() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Which segments are scanned: those in which something can have expired, those into which a family of theirs reaches,
/// those into which a family of these does, and so on. Of the others everything stays, and what is remembered of them
/// is enough.
struct Reach<'a> {
    archive: &'a Archive,
    segments: &'a [Arc<Segment>],
    basis: &'a Arc<Basis>,
    survey: Arc<Survey>,
    scans: Vec<Option<Scan>>,
}

impl<'a> Reach<'a> {
    fn new(
        archive: &'a Archive,
        segments: &'a [Arc<Segment>],
        basis: &'a Arc<Basis>,
        survey: Survey,
    ) -> Self {
        Self {
            archive,
            segments,
            basis,
            survey: Arc::new(survey),
            scans: segments.iter().map(|_| None).collect(),
        }
    }

    async fn plan(mut self, first: Vec<usize>) -> Result<Plan, PlanError> {
        let mut next = first;
        let mut known = FxHashSet::default();
        while !next.is_empty() {
            self.scan(&next).await?;
            let parts = self.new_parts(&next, &mut known);
            next = self.holding(parts).await?;
        }
        let rest = self.remembered().await?;
        let scans = self.scans.into_iter().map(Option::unwrap_or_default);
        Ok(finish(self.segments, scans.collect(), rest, self.basis))
    }

    fn left(&self) -> Vec<usize> {
        let left = self.scans.iter().enumerate();
        left.filter(|(_, scan)| scan.is_none())
            .map(|(number, _)| number)
            .collect()
    }

    fn of(&self, numbers: &[usize]) -> Vec<Arc<Segment>> {
        let segments = numbers.iter();
        segments
            .map(|number| Arc::clone(&self.segments[*number]))
            .collect()
    }

    async fn scan(&mut self, numbers: &[usize]) -> Result<(), PlanError> {
        let segments = self.of(numbers);
        let scans = each(&segments, at_once(), |segment| {
            let (archive, basis) = (self.archive.clone(), Arc::clone(self.basis));
            let survey = Arc::clone(&self.survey);
            async move { scan::of(&archive, &segment, &basis, &survey).await }
        });
        for (number, scan) in numbers.iter().zip(scans.await?) {
            self.scans[*number] = Some(scan);
        }
        Ok(())
    }

    /// Parts of the keys of families that these segments hold and none before did, ascending.
    fn new_parts(&self, numbers: &[usize], known: &mut FxHashSet<u64>) -> Vec<u64> {
        let scans = numbers.iter().filter_map(|n| self.scans[*n].as_ref());
        let keys = scans.flat_map(|scan| {
            let tied = scan.tied.iter().map(|row| row.key);
            tied.chain(scan.links.iter().flat_map(|(one, two)| [*one, *two]))
        });
        let mut new: Vec<u64> = keys.map(part).filter(|part| known.insert(*part)).collect();
        new.sort_unstable();
        new
    }

    /// Segments not scanned yet that may hold events of these families.
    async fn holding(&self, parts: Vec<u64>) -> Result<Vec<usize>, PlanError> {
        let left = self.left();
        if parts.is_empty() || left.is_empty() {
            return Ok(Vec::new());
        }
        let parts = Arc::new(parts);
        let segments = self.of(&left);
        let found = each(&segments, at_once(), |segment| {
            let (archive, parts) = (self.archive.clone(), Arc::clone(&parts));
            async move { Ok(survey::of(&archive, &segment).await?.tail.may_hold(&parts)) }
        });
        let found = left.into_iter().zip(found.await?);
        Ok(found.filter(|(_, holds)| *holds).map(|(n, _)| n).collect())
    }

    /// Chains and domains of the state records that may go by the rules.
    fn asked(&self) -> (FxHashSet<u64>, FxHashSet<u64>) {
        let (mut chains, mut domains) = (FxHashSet::default(), FxHashSet::default());
        for row in self.scans.iter().flatten().flat_map(|scan| &scan.records) {
            if Family::of(&row.judged, false).goes(self.basis) {
                chains.insert(row.chain.id);
                domains.extend(&row.chain.domains);
            }
        }
        (chains, domains)
    }

    /// What the segments that were not scanned say to the state records that may go by the rules.
    async fn remembered(&self) -> Result<Remembered, PlanError> {
        let left = self.left();
        let asked = self.asked();
        let mut rest = Remembered::default();
        if asked.0.is_empty() || left.is_empty() {
            return Ok(rest);
        }
        let asked = Arc::new(asked);
        let segments = self.of(&left);
        let found = each(&segments, at_once(), |segment| {
            let (archive, asked) = (self.archive.clone(), Arc::clone(&asked));
            async move {
                let tail = survey::of(&archive, &segment).await?.tail;
                Ok(Remembered::of(tail, &asked.0, &asked.1))
            }
        });
        for one in found.await? {
            rest.records.extend(one.records);
            rest.kept.merge(one.kept);
        }
        Ok(rest)
    }
}

/// What is asked of segments of which everything stays.
#[derive(Default)]
struct Remembered {
    records: Vec<Record>,
    kept: KeptDays,
}

impl Remembered {
    fn of(tail: Tail, chains: &FxHashSet<u64>, domains: &FxHashSet<u64>) -> Self {
        let mut records = tail.records;
        records.retain(|record| chains.contains(&record.chain));
        let mut kept = KeptDays::default();
        let days = tail.days.into_iter();
        for (domain, days) in days.filter(|(domain, _)| domains.contains(domain)) {
            days.into_iter().for_each(|day| kept.mark_day(domain, day));
        }
        Self { records, kept }
    }
}

/// Puts the scans together.
fn finish(segments: &[Arc<Segment>], scans: Vec<Scan>, rest: Remembered, basis: &Basis) -> Plan {
    let mut goes = Vec::with_capacity(scans.len());
    let mut counting = Counting::default();
    let mut kept = rest.kept;
    let mut tied: Vec<(usize, TiedRow)> = Vec::new();
    let mut records: Vec<(usize, StateRow)> = Vec::new();
    let mut families = Families::default();
    for (number, scan) in scans.into_iter().enumerate() {
        goes.push(scan.goes);
        counting.merge(scan.counting);
        kept.merge(scan.kept);
        scan.links
            .iter()
            .for_each(|(one, two)| families.link(*one, *two));
        tied.extend(scan.tied.into_iter().map(|row| (number, row)));
        records.extend(scan.records.into_iter().map(|row| (number, row)));
    }
    for (_, row) in &tied {
        families.add(row.key, &Family::of(&row.judged, row.content));
    }
    counting.families += families.gone(basis);
    for (number, row) in &tied {
        let Some(family) = families.get(row.key) else {
            continue;
        };
        if family.goes(basis) {
            goes[*number].insert(row.row, row.judged.means.deleting);
            counting.goes(
                row.room.as_deref(),
                row.judged.time_us,
                row.judged.means.deleting,
            );
            continue;
        }
        if let Some(reason) = family.stays_because(&row.judged, basis) {
            counting.stays(reason);
        }
        row.domains
            .iter()
            .for_each(|domain| kept.mark(*domain, row.judged.time_us));
    }
    let explained = state_records::decide(
        &records,
        &rest.records,
        kept,
        basis,
        &mut goes,
        &mut counting,
    );
    let policies: Vec<String> = basis.rules.iter().map(|rule| rule.name.clone()).collect();
    let planned: Vec<SegmentPlan> = segments
        .iter()
        .zip(goes)
        .filter_map(|(segment, goes)| segment_plan(segment, goes, &policies))
        .collect();
    let share = |plan: &SegmentPlan| {
        u128::from(plan.segment.bytes) * u128::from(plan.rows.len())
            / u128::from(plan.segment.rows.max(1))
    };
    let bytes = planned.iter().map(share).sum::<u128>();
    Plan {
        segments: planned,
        tally: counting.finish(u64::try_from(bytes).unwrap_or(u64::MAX), &policies),
        records: explained,
    }
}

/// Nothing when every row stays.
fn segment_plan(segment: &Arc<Segment>, goes: Going, policies: &[String]) -> Option<SegmentPlan> {
    let (rows, by) = goes.finish();
    let named = |policy: Option<usize>| policy.and_then(|place| policies.get(place));
    (!rows.is_empty()).then(|| SegmentPlan {
        segment: Arc::clone(segment),
        rows,
        by: by
            .into_iter()
            .map(|(policy, rows)| (named(policy).cloned().unwrap_or_default(), rows))
            .collect(),
    })
}

/// Does something with each segment, some at a time, the largest first, so that none of them begins last and alone; the
/// answers come in the segments' order.
pub(crate) async fn each<T, F>(
    segments: &[Arc<Segment>],
    at_once: usize,
    work: impl Fn(Arc<Segment>) -> F,
) -> Result<Vec<T>, PlanError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, PlanError>> + Send + 'static,
{
    let mut order: Vec<usize> = (0..segments.len()).collect();
    order.sort_by_key(|place| Reverse(segments[*place].rows));
    let mut jobs = Vec::with_capacity(segments.len());
    for place in order {
        // Started only when polled: as many run as are polled at once.
        let work = started(work(Arc::clone(&segments[place])));
        jobs.push(work.map_ok(move |answer| (place, answer)).boxed());
    }
    let running = stream::iter(jobs).buffer_unordered(at_once.max(1));
    let mut answers: Vec<(usize, T)> = running.try_collect().await?;
    answers.sort_unstable_by_key(|(place, _)| *place);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

async fn started<T, F>(work: F) -> Result<T, PlanError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, PlanError>> + Send + 'static,
{
    tokio::spawn(work)
        .await
        .map_err(|error| PlanError::Task(error.to_string()))?
}
