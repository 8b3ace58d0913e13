//! Attachments that nothing refers to any more.
//!
//! They are stored by content: another event may refer to the same bytes, one that came after the purge's intent
//! included. So whenever something was removed the table is told ([`DELETED`]), and references are looked for once more:
//! an event is archived either before that, and then it is seen here, or after it, and then ingest looks for its files
//! anew. What turns out to be referred to is marked as pending, and ingest copies it from where it got it. What somebody
//! was copying meanwhile is removed again; a copy that took longer, or a purge that died of it, is seen to by the next.
//!
//! [`DELETED`]: holdfast_archive::attachments::DELETED

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use holdfast_archive::attachments::{self as files, Pending};
use holdfast_archive::{Archive, Segment};
use holdfast_schemas::columns::{Rows, name};

use super::Eraser;
use crate::disposition::kept::Out;
use crate::disposition::{DispositionError, plan_file};
use crate::plan::{PlanError, open_rows, open_some};

/// Questions at once.
const AT_ONCE: usize = 8;
/// Looks while others keep on storing what is removed.
const LOOKS_MAX: usize = 4;

/// Digests that the rows of a run refer to.
pub(super) async fn of(archive: &Archive, out: &Out) -> Result<BTreeSet<String>, DispositionError> {
    let mut found = BTreeSet::new();
    for kept in &out.segments {
        let segment = kept.segment();
        let rows: Vec<u32> = plan_file::rows_with_ids(archive, &segment, &out.rows)
            .await?
            .iter()
            .collect();
        if rows.is_empty() {
            continue;
        }
        let mut batches = open_some(archive, &segment, &[name::ATTACHMENTS], &rows).await?;
        while let Some(batch) = batches.try_next().await? {
            found.extend(digests(&segment, &batch)?);
        }
    }
    Ok(found)
}

/// Deletes those of the digests that nothing refers to, and marks those that something refers to and that are not there.
pub(super) async fn delete(
    archive: &Archive,
    digests: &[String],
    eraser: &mut Eraser<'_>,
) -> Result<(), DispositionError> {
    let named = named(digests);
    if named.is_empty() {
        return Ok(());
    }
    let mut used = referred(archive, &named).await?;
    for _ in 0..LOOKS_MAX {
        let unused: BTreeSet<String> = named.difference(&used).cloned().collect();
        remove(archive, &unused, eraser).await?;
        // Even where nothing was there: whoever broke off may have removed it and not said so.
        archive.note_deleted().await?;
        used = referred(archive, &named).await?;
        if there(archive, named.difference(&used)).await?.is_empty() {
            break;
        }
    }
    let stored = there(archive, named.intersection(&used)).await?;
    for digest in named.intersection(&used) {
        if stored.contains(digest) {
            continue;
        }
        archive
            .mark_pending(&Pending {
                sha256: digest.clone(),
                size: None,
                since: jiff::Timestamp::now().to_string(),
                attempts: 0,
                reason: "it was purged while an event that refers to it was being archived"
                    .to_owned(),
            })
            .await?;
    }
    Ok(())
}

/// Whether [`delete`] left nothing to be done. `used`: digests that something refers to.
pub(super) async fn is_settled(
    archive: &Archive,
    digests: &[String],
    used: &BTreeSet<String>,
) -> Result<bool, DispositionError> {
    let named = named(digests);
    let there = there(archive, named.iter()).await?;
    Ok(named
        .iter()
        .all(|digest| there.contains(digest) == used.contains(digest)))
}

/// Digests as their files are named: one that is none was never stored, one in capitals is stored in small letters.
pub(super) fn named<'d>(digests: impl IntoIterator<Item = &'d String>) -> BTreeSet<String> {
    let digests = digests.into_iter();
    digests.filter_map(|d| files::digest(d)).collect()
}

/// Those of the digests of which there is a file or a marker.
async fn there(
    archive: &Archive,
    digests: impl Iterator<Item = &String>,
) -> Result<BTreeSet<String>, DispositionError> {
    let looks: Vec<_> = digests.map(|digest| is_there(archive, digest)).collect();
    let found: Vec<Option<String>> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn is_there(archive: &Archive, digest: &str) -> Result<Option<String>, DispositionError> {
    let there = archive.attachment_size(digest).await?.is_some()
        || archive.pending_attachment(digest).await?.is_some();
    Ok(there.then(|| digest.to_owned()))
}

/// Removes files and markers.
async fn remove(
    archive: &Archive,
    digests: &BTreeSet<String>,
    eraser: &mut Eraser<'_>,
) -> Result<(), DispositionError> {
    let paths = digests.iter().map(|digest| files::path(digest));
    eraser
        .delete(paths.collect::<Result<Vec<String>, _>>()?)
        .await?;
    for digest in digests {
        archive.clear_pending(digest).await?;
    }
    Ok(())
}

/// Those of the digests that events of the table, or of what can still be put back, refer to.
pub(super) async fn referred(
    archive: &Archive,
    wanted: &BTreeSet<String>,
) -> Result<BTreeSet<String>, DispositionError> {
    let snapshot = archive.snapshot().await?;
    let mut found = BTreeSet::new();
    let mut segments: Vec<Segment> = snapshot
        .segments()
        .await?
        .iter()
        .map(|segment| Segment::clone(segment))
        .collect();
    for (_, out) in Out::all(archive, &snapshot).await? {
        segments.extend(
            out.segments
                .iter()
                .map(crate::disposition::kept::KeptSegment::segment),
        );
    }
    for segment in &segments {
        let mut batches = open_rows(archive, segment, &[name::ATTACHMENTS]).await?;
        while let Some(batch) = batches.try_next().await? {
            let digests = digests(segment, &batch)?.into_iter();
            found.extend(digests.filter(|digest| wanted.contains(digest)));
        }
    }
    Ok(found)
}

/// Digests that rows refer to.
fn digests(
    segment: &Segment,
    batch: &arrow::array::RecordBatch,
) -> Result<BTreeSet<String>, PlanError> {
    let view = Rows::new(batch).map_err(|error| PlanError::Segment {
        segment: segment.path.clone(),
        problem: error.to_string(),
    })?;
    let events = (0..view.len()).map(|place| view.event(place));
    let attachments = events.flat_map(|event| event.attachments);
    Ok(attachments
        .filter_map(|file| files::digest(file.sha256.as_deref()?))
        .collect())
}

#[cfg(test)]
mod tests {
    use holdfast_archive::SegmentStats;
    use holdfast_schemas::columns::RowBuilder;
    use holdfast_schemas::{Attachment, Event, Intake, Row};

    use super::*;

    #[test]
    fn a_digest_in_capitals_refers_to_the_same_file() {
        let mut builder = RowBuilder::with_capacity(3);
        for sha256 in [Some("AB".repeat(32)), Some("no digest".to_owned()), None] {
            let attachment = Attachment {
                sha256: sha256.map(Into::into),
                ..Attachment::default()
            };
            let event = Event {
                attachments: vec![attachment],
                ..Event::default()
            };
            builder.append(&Row {
                event,
                intake: Intake::default(),
            });
        }
        let segment = Segment {
            path: "event_year=2026/x.parquet".to_owned(),
            event_year: 2026,
            rows: 3,
            bytes: 1,
            base_row_id: 0,
            commit_version: 1,
            sha256: None,
            stats: SegmentStats::default(),
        };
        let found = digests(&segment, &builder.finish().unwrap()).unwrap();
        assert_eq!(found, BTreeSet::from(["ab".repeat(32)]));
    }
}
