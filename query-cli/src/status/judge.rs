//! What of a state is wrong. Pure: (state, limits, now) to sentences.

use std::time::Duration;

use super::Status;
use crate::output::duration;
use crate::output::text::{counted, grouped};
use crate::verify::origins;

/// Attachments may be late by this much: file stores are backed up and restored within a day.
pub const PENDING_MAX: Duration = Duration::from_secs(24 * 3600);

/// What `--check` was told to look at beyond what is always wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// An origin's newest event was archived at most this long after it happened.
    pub lag: Option<Duration>,
    /// An origin's newest event was archived at most this long ago.
    pub silence: Option<Duration>,
}

/// Everything that is wrong, one sentence each; empty when nothing is.
#[must_use]
pub fn judge(status: &Status, limits: Limits, now_us: i64) -> Vec<String> {
    let mut wrong = Vec::new();
    if status.splits.unindexed_events > 0 {
        let count = status.splits.missing + status.splits.outdated;
        wrong.push(format!(
            "no usable split, therefore scanned: {} in {}",
            counted(status.splits.unindexed_events, "event"),
            counted(count, "segment")
        ));
    }
    for origin in &status.origins {
        if !origin.gaps.is_empty() {
            wrong.push(format!(
                "origin {}: sequences never arrived: {}",
                origin.origin,
                origins::list(&origin.gaps)
            ));
        }
        // Quarantined records come when something is broken, not on a schedule.
        if origin.complete.is_none() {
            continue;
        }
        let over = |limit: Option<Duration>, us: i64| {
            limit.filter(|limit| {
                i128::from(us) > i128::try_from(limit.as_micros()).unwrap_or(i128::MAX)
            })
        };
        if let (Some(event), Some(ingest)) = (origin.newest_event, origin.newest_ingest) {
            let (lag_us, silence_us) =
                (ingest.saturating_sub(event), now_us.saturating_sub(ingest));
            if over(limits.lag, lag_us).is_some() {
                wrong.push(format!(
                    "origin {}: its newest event was archived {} after it happened",
                    origin.origin,
                    duration::people(lag_us)
                ));
            }
            if over(limits.silence, silence_us).is_some() {
                wrong.push(format!(
                    "origin {}: silent for {}, complete through {}",
                    origin.origin,
                    duration::people(silence_us),
                    grouped(origin.last_sequence)
                ));
            }
        } else if limits.silence.is_some() {
            wrong.push(format!(
                "origin {}: no event of it is left, so its silence cannot be told",
                origin.origin
            ));
        }
    }
    if limits.silence.is_some() && status.origins.is_empty() {
        wrong.push("nothing was ever archived".to_owned());
    }
    let late = status
        .attachments_pending
        .iter()
        .filter(|p| is_late(&p.since, now_us))
        .count();
    if late > 0 {
        wrong.push(format!(
            "pending for more than {}: {}",
            duration::people(24 * 3_600_000_000),
            counted(late as u64, "attachment")
        ));
    }
    wrong
}

/// An unreadable time counts as late: somebody should look.
fn is_late(since: &str, now_us: i64) -> bool {
    holdfast_schemas::time::parse_rfc3339(since).map_or(true, |since| {
        i128::from(now_us) - i128::from(since.us)
            > i128::try_from(PENDING_MAX.as_micros()).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Origin, Pending, Splits};

    fn healthy() -> Status {
        let origin = Origin {
            origin: "main.1".into(),
            archived: 10,
            last_sequence: 10,
            complete: Some(true),
            gaps: vec![],
            newest_event: Some(1_000_000_000),
            newest_ingest: Some(1_002_000_000),
        };
        Status {
            archive: "a".into(),
            version: 1,
            events: 10,
            segments: 1,
            segment_bytes: 1,
            split_bytes: 1,
            event_time_us: None,
            years: vec![],
            splits: Splits::default(),
            attachments_pending: vec![],
            attachments_undigested: None,
            origins: vec![origin],
            positions: vec![],
        }
    }

    const LIMITS: Limits = Limits {
        lag: Some(Duration::from_secs(5)),
        silence: Some(Duration::from_secs(60)),
    };

    #[test]
    fn a_healthy_archive_has_nothing_wrong() {
        assert_eq!(
            judge(&healthy(), LIMITS, 1_030_000_000),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_thing_that_is_wrong_is_named() {
        let mut status = healthy();
        status.origins[0].gaps = vec![(3, 4)];
        status.origins[0].newest_ingest = Some(1_006_000_000);
        status.splits = Splits {
            missing: 1,
            unindexed_events: 5,
            ..Splits::default()
        };
        status.attachments_pending = vec![Pending {
            sha256: "x".into(),
            since: "1970-01-01T00:00:00Z".into(),
            reason: "r".into(),
        }];
        let wrong = judge(&status, LIMITS, 90_000_000_000 + 1_006_000_000);
        assert_eq!(
            wrong,
            [
                "no usable split, therefore scanned: 5 events in 1 segment",
                "origin main.1: sequences never arrived: 3 to 4",
                "origin main.1: its newest event was archived 6.0s after it happened",
                "origin main.1: silent for 1d 1h, complete through 10",
                "pending for more than 1d: 1 attachment",
            ]
        );
        assert_eq!(judge(&status, Limits::default(), 1_030_000_000).len(), 2);
    }
}
