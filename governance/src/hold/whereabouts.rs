//! Where custodians were: the rooms they could see, and when; and the rooms they wrote in without having joined.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use holdfast_archive::{Archive, Snapshot};
use holdfast_schemas::columns::{Rows, name};
use holdfast_schemas::ledger::hold::HoldScope;
use jiff::Timestamp;

use super::Hold;
use crate::plan::{PlanError, open_rows};
use crate::policy::folded;

const COLUMNS: &[&str] = &[
    name::EVENT_TYPE,
    name::EVENT_TIME,
    name::ROOM_ID,
    name::ACTOR_ID,
    name::ACTOR_URI,
    name::ACTOR_NAME,
    name::ACTOR_EMAIL,
];

/// By folded room id: the spans in which some custodian of a scope could see it or wrote in it, UTC microseconds, both
/// ends included.
///
/// # Errors
/// The archive cannot be read, or a custodian not be asked for.
pub async fn whereabouts(
    archive: &Archive,
    snapshot: &Snapshot,
    scope: &HoldScope,
) -> Result<BTreeMap<String, Vec<(i64, i64)>>, PlanError> {
    let mut found: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    let expand = crate::plan::expanded(archive, snapshot, "whereabouts", scope).await?;
    for seen in expand.iter().flat_map(|expand| &expand.seen) {
        let spans = seen.spans_us.iter();
        let spans = spans.map(|(from, to)| (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX)));
        found.entry(folded(&seen.room)).or_default().extend(spans);
    }
    let expansions: Vec<_> = expand.into_iter().collect();
    let hold = Hold::new("whereabouts", scope, &expansions, Timestamp::UNIX_EPOCH)?;
    let mut wrote: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for segment in snapshot.segments().await?.iter() {
        let mut batches = open_rows(archive, segment, COLUMNS).await?;
        while let Some(batch) = batches.try_next().await? {
            let view = Rows::new(&batch).map_err(|error| PlanError::Segment {
                segment: segment.path.clone(),
                problem: error.to_string(),
            })?;
            for event in (0..view.len()).map(|place| view.event(place)) {
                let Some(room) = event.room.id.as_deref().filter(|_| hold.wrote(&event)) else {
                    continue;
                };
                let at = (event.time_us, event.time_us);
                let span = wrote.entry(folded(room)).or_insert(at);
                *span = (span.0.min(at.0), span.1.max(at.1));
            }
        }
    }
    for (room, span) in wrote {
        found.entry(room).or_default().push(span);
    }
    Ok(found)
}
