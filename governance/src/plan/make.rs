//! Making a plan.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use holdfast_archive::{Archive, Segment, Snapshot};
use roaring::RoaringBitmap;

use super::families::{Families, Family};
use super::scan::{Scan, StateRow, TiedRow};
use super::tally::{Counting, Tally};
use super::{Basis, PlanError, scan, state_records, survey};
use crate::family::{Interval, KeptDays};
use crate::policy::NEVER;

/// Rows of one segment that go.
#[derive(Debug, Clone)]
pub struct SegmentPlan {
    /// The segment.
    pub segment: Arc<Segment>,
    /// Its rows that go, at least one.
    pub rows: RoaringBitmap,
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
    let at_once = std::thread::available_parallelism().map_or(2, usize::from);
    let survey = Arc::new(survey::all(archive, &segments, at_once).await?);
    let scans: Vec<Scan> = each(&segments, at_once, |segment| {
        let (archive, basis, survey) = (archive.clone(), Arc::clone(basis), Arc::clone(&survey));
        async move { scan::of(&archive, &segment, &basis, &survey).await }
    })
    .await?;
    Ok(finish(&segments, scans, basis))
}

/// Puts the scans together.
fn finish(segments: &[Arc<Segment>], scans: Vec<Scan>, basis: &Basis) -> Plan {
    let mut goes = Vec::with_capacity(scans.len());
    let mut counting = Counting::default();
    let mut kept = KeptDays::default();
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
            goes[*number].insert(row.row);
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
    let explained = state_records::decide(&records, &kept, basis, &mut goes, &mut counting);
    let planned = segments
        .iter()
        .zip(goes)
        .filter(|(_, rows)| !rows.is_empty());
    let planned: Vec<SegmentPlan> = planned
        .map(|(segment, rows)| SegmentPlan {
            segment: Arc::clone(segment),
            rows,
        })
        .collect();
    let share = |plan: &SegmentPlan| {
        u128::from(plan.segment.bytes) * u128::from(plan.rows.len())
            / u128::from(plan.segment.rows.max(1))
    };
    let bytes = planned.iter().map(share).sum::<u128>();
    let policies: Vec<String> = basis.rules.iter().map(|rule| rule.name.clone()).collect();
    Plan {
        segments: planned,
        tally: counting.finish(u64::try_from(bytes).unwrap_or(u64::MAX), &policies),
        records: explained,
    }
}

/// Does something with each segment, some at a time; the answers come in the segments' order.
pub(crate) async fn each<T, F>(
    segments: &[Arc<Segment>],
    at_once: usize,
    work: impl Fn(Arc<Segment>) -> F,
) -> Result<Vec<T>, PlanError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, PlanError>> + Send + 'static,
{
    let mut spawned = Vec::with_capacity(segments.len());
    for segment in segments {
        // Started only when polled: as many run as are polled at once.
        let work = work(Arc::clone(segment));
        spawned.push(started(work).boxed());
    }
    stream::iter(spawned)
        .buffered(at_once.max(1))
        .try_collect()
        .await
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
