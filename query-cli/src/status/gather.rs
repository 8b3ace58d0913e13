//! Reads the state of an archive. Counts come from the table's log and from listings; of the data itself only three narrow
//! columns are read, and only of segments that hold several origins.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use futures::TryStreamExt;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_archive::{Archive, ArchiveError, Segment, attachments};
use holdfast_governance::ledger::Ledger;
use holdfast_query::analyzer::ANALYZER_VERSION;
use holdfast_schemas::columns::name;
use object_store::ObjectStore;
use object_store::path::Path;

use super::{Origin, Pending, Position, Splits, Status, Year, governed};
use crate::failure::Failure;
use crate::open::Opened;
use crate::verify::origins::{arrived, gaps, is_dense, quarantine_of};

/// Newest (event time, ingest time) by origin, UTC microseconds.
type Newest = BTreeMap<String, (i64, i64)>;

/// The state at the snapshot.
///
/// # Errors
/// The archive cannot be read.
pub async fn gather(opened: &Opened, now_us: i64) -> Result<Status, Failure> {
    let (archive, snapshot) = (&opened.archive, &opened.snapshot);
    let segments = snapshot.segments().await?;
    let splits_there = splits_there(archive).await?;
    let (splits, split_bytes) = splits(&segments, &splits_there);
    let pending = archive.pending_attachments().await?;
    let undigested = attachments::undigested(snapshot).await?;
    let newest = newest(archive, &segments).await?;
    let mut origins = Vec::new();
    for origin in snapshot.origins().await? {
        let set = snapshot.origin_set(&origin).await?;
        let dense = is_dense(&origin);
        let gaps = if dense {
            // An origin without quarantined rows has an empty set of them.
            let quarantined = snapshot.origin_set(&quarantine_of(&origin)).await?;
            gaps(&arrived(&set, Some(&quarantined)))
        } else {
            Vec::new()
        };
        let newest = newest.get(&origin);
        origins.push(Origin {
            archived: set.len(),
            last_sequence: set.max().unwrap_or(0),
            complete: dense.then_some(gaps.is_empty()),
            gaps,
            newest_event: newest.map(|(event_us, _)| *event_us),
            newest_ingest: newest.map(|(_, ingest_us)| *ingest_us),
            lag_us: newest.map(|(event_us, ingest_us)| ingest_us.saturating_sub(*event_us)),
            origin,
        });
    }
    origins.sort_by(|a, b| a.origin.cmp(&b.origin));
    let mut positions: Vec<Position> = snapshot
        .positions()
        .await?
        .into_iter()
        .map(|(source, position)| Position { source, position })
        .collect();
    positions.sort_by(|a, b| a.source.cmp(&b.source));
    let quarantined = origins.iter().filter(|origin| origin.complete.is_none());
    let quarantined = quarantined.map(|origin| origin.archived).sum();
    // A status that cannot read the ledger still tells the rest.
    let governance = match Ledger::open(archive).await {
        Ok(ledger) => Ok(governed::of(
            &ledger.state(),
            snapshot,
            quarantined,
            now_us,
        )?),
        Err(error) => Err(error.to_string()),
    };
    let (governance, ledger_problem) = match governance {
        Ok(governance) => (Some(governance), None),
        Err(problem) => (None, Some(problem)),
    };
    Ok(Status {
        governance,
        ledger_problem,
        archive: archive.url().to_owned(),
        version: snapshot.version(),
        events: segments.iter().map(|s| s.rows).sum(),
        segments: segments.len() as u64,
        segment_bytes: segments.iter().map(|s| s.bytes).sum(),
        split_bytes,
        event_time_us: event_times(&segments),
        years: years(&segments),
        splits,
        attachments_pending: pending
            .into_iter()
            .map(|p| Pending {
                sha256: p.sha256,
                since: p.since,
                reason: p.reason,
            })
            .collect(),
        attachments_undigested: Some(undigested).filter(|count| *count > 0),
        origins,
        positions,
    })
}

fn event_times(segments: &[Arc<Segment>]) -> Option<(i64, i64)> {
    let first = segments.iter().map(|s| s.stats.event_time_us.0).min()?;
    let last = segments.iter().map(|s| s.stats.event_time_us.1).max()?;
    Some((first, last))
}

fn years(segments: &[Arc<Segment>]) -> Vec<Year> {
    let mut years: BTreeMap<i32, Year> = BTreeMap::new();
    for segment in segments {
        let year = years.entry(segment.event_year).or_insert_with(|| Year {
            year: segment.event_year,
            ..Year::default()
        });
        year.events += segment.rows;
        year.segments += 1;
        year.bytes += segment.bytes;
    }
    years.into_values().collect()
}

/// Paths of the files under `index/` with their bytes.
async fn splits_there(archive: &Archive) -> Result<BTreeMap<String, u64>, Failure> {
    let listed: Vec<_> = archive
        .store()
        .list(Some(&Path::from("index")))
        .try_collect()
        .await
        .map_err(|source| ArchiveError::Store {
            operation: "list",
            path: "index".to_owned(),
            source,
        })?;
    Ok(listed
        .into_iter()
        .map(|meta| (meta.location.to_string(), meta.size))
        .collect())
}

/// Which segments have a split. A path `<segment>.a<N>.split` belongs to a segment whatever N is.
fn splits(segments: &[Arc<Segment>], there: &BTreeMap<String, u64>) -> (Splits, u64) {
    let mut splits = Splits {
        analyzer: ANALYZER_VERSION,
        ..Splits::default()
    };
    let mut bytes = 0;
    for segment in segments {
        // `=` is escaped in a listed path as object stores do; both sides are compared as the store writes them.
        let current = Path::from(segment.split_path(ANALYZER_VERSION)).to_string();
        if let Some(size) = there.get(&current) {
            splits.current += 1;
            bytes += size;
            continue;
        }
        splits.unindexed_events += segment.rows;
        let suffix = format!(".a{ANALYZER_VERSION}.split");
        let stem = current.strip_suffix(&suffix).unwrap_or(&current);
        let any = there
            .range(format!("{stem}.a")..)
            .next()
            .is_some_and(|(path, _)| path.starts_with(&format!("{stem}.a")));
        if any {
            splits.outdated += 1;
        } else {
            splits.missing += 1;
        }
    }
    (splits, bytes)
}

/// The newest times of each origin: from the statistics where a segment holds one origin and no event from the future, from
/// its columns elsewhere.
async fn newest(archive: &Archive, segments: &[Arc<Segment>]) -> Result<Newest, Failure> {
    let mut newest = Newest::new();
    for segment in segments {
        let stats = &segment.stats;
        // Where some event time may lie after its ingest time, the rows tell which.
        let plausible = stats.event_time_us.1 <= stats.ingest_time_us.1;
        if stats.origin.0 == stats.origin.1 && plausible {
            enter(
                &mut newest,
                &stats.origin.0,
                stats.event_time_us.1,
                stats.ingest_time_us.1,
            );
        } else {
            read_newest(archive, segment, &mut newest).await?;
        }
    }
    Ok(newest)
}

/// Takes note of a row. A clock that runs ahead counts as being on time: one event of the next century must not hide for
/// ever how late all others are.
fn enter(newest: &mut Newest, origin: &str, event_us: i64, ingest_us: i64) {
    let event_us = event_us.min(ingest_us);
    match newest.get_mut(origin) {
        Some(times) => *times = (times.0.max(event_us), times.1.max(ingest_us)),
        None => {
            newest.insert(origin.to_owned(), (event_us, ingest_us));
        }
    }
}

async fn read_newest(
    archive: &Archive,
    segment: &Segment,
    newest: &mut Newest,
) -> Result<(), Failure> {
    let columns = [name::ORIGIN, name::EVENT_TIME, name::INGEST_TIME];
    let reader = SegmentReader::open(archive, segment).await?;
    let mut batches = reader.read(&ReadOptions {
        columns: Some(&columns),
        ..ReadOptions::default()
    })?;
    while let Some(batch) = batches.try_next().await? {
        let text = batch
            .column_by_name(name::ORIGIN)
            .and_then(|c| c.as_string_opt::<i32>());
        let time = |column| {
            batch
                .column_by_name(column)
                .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
        };
        let (Some(origin), Some(event), Some(ingest)) =
            (text, time(name::EVENT_TIME), time(name::INGEST_TIME))
        else {
            return Err(Failure::Damaged {
                place: segment.path.clone(),
                message: "origin or times have another type".to_owned(),
            });
        };
        for row in 0..batch.num_rows() {
            enter(
                newest,
                origin.value(row),
                event.value(row),
                ingest.value(row),
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_from_the_future_does_not_hide_a_lag() {
        let mut newest = Newest::new();
        enter(&mut newest, "main.1", i64::MAX, 100);
        enter(&mut newest, "main.1", 90, 150);
        assert_eq!(newest["main.1"], (100, 150));
    }
}
