//! What of a state is wrong. Pure: (state, limits, now) to sentences.

use std::time::Duration;

use holdfast_schemas::time::format_us;

use super::{Governed, Status};
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
    /// The whole archive was last verified at most this long ago.
    pub verified: Option<Duration>,
    /// The ledger was last anchored at most this long ago.
    pub anchored: Option<Duration>,
}

/// A scheduled run may be late by this much: timers call every few minutes, and a run takes its time.
const OVERDUE_US: i64 = 3_600_000_000;

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
        // Quarantined records come when something is broken, not on a schedule; who retired is silent by right.
        let retired = status
            .governance
            .iter()
            .any(|governed| governed.retired_origins.contains(&origin.origin));
        if origin.complete.is_none() || retired {
            continue;
        }
        if let (Some(lag_us), Some(ingest)) = (origin.lag_us, origin.newest_ingest) {
            let silence_us = now_us.saturating_sub(ingest);
            if is_over(limits.lag, lag_us) {
                wrong.push(format!(
                    "origin {}: its newest event was archived {} after it happened",
                    origin.origin,
                    duration::people(lag_us)
                ));
            }
            if is_over(limits.silence, silence_us) {
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
    if let Some(problem) = &status.ledger_problem {
        wrong.push(format!("the ledger cannot be read: {problem}"));
    }
    if let Some(governed) = &status.governance {
        jobs(governed, now_us, &mut wrong);
        ages(governed, limits, now_us, &mut wrong);
    }
    wrong
}

fn is_over(limit: Option<Duration>, us: i64) -> bool {
    limit.is_some_and(|limit| {
        i128::from(us) > i128::try_from(limit.as_micros()).unwrap_or(i128::MAX)
    })
}

/// Origins, jobs and requests that the ledger knows of.
fn jobs(governed: &Governed, now_us: i64, wrong: &mut Vec<String>) {
    for origin in &governed.missing_origins {
        wrong.push(format!("origin {origin}: is expected and never spoke"));
    }
    if governed.quarantined.1 > 0 {
        wrong.push(format!(
            "quarantined since the last verification: {}",
            counted(governed.quarantined.1, "record")
        ));
    }
    let late = governed
        .overdue
        .map(|due_us| (due_us, now_us.saturating_sub(due_us)));
    if let Some((due_us, late_us)) = late.filter(|(_, late_us)| *late_us > OVERDUE_US) {
        wrong.push(format!(
            "retention was due at {} and did not run: {} late",
            format_us(due_us),
            duration::people(late_us)
        ));
    }
    for failed in &governed.failed {
        wrong.push(format!("failed: {failed}"));
    }
    for plan in &governed.waiting {
        wrong.push(format!("plan {plan} of the schedule waits for approval"));
    }
    for request in &governed.erasures_overdue {
        wrong.push(format!(
            "erasure {request}: its day has passed and it is not executed"
        ));
    }
}

/// The last verification and the last anchor.
fn ages(governed: &Governed, limits: Limits, now_us: i64, wrong: &mut Vec<String>) {
    let age = |time_us: i64| now_us.saturating_sub(time_us);
    match &governed.verified {
        None if limits.verified.is_some() => {
            wrong.push("the archive was never verified".to_owned());
        }
        None => {}
        Some(last) => {
            if last.problems > 0 {
                let problems = counted(last.problems, "problem");
                wrong.push(format!("the last verification found {problems}"));
            }
            if is_over(limits.verified, age(last.time_us)) {
                let age = duration::people(age(last.time_us));
                wrong.push(format!("the archive was last verified {age} ago"));
            }
        }
    }
    match governed.anchored {
        None if limits.anchored.is_some() => wrong.push("the ledger was never anchored".to_owned()),
        Some(time_us) if is_over(limits.anchored, age(time_us)) => {
            let age = duration::people(age(time_us));
            wrong.push(format!("the ledger was last anchored {age} ago"));
        }
        None | Some(_) => {}
    }
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
    use crate::status::governed::Verified;
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
            lag_us: Some(2_000_000),
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
            governance: Some(Governed::default()),
            ledger_problem: None,
        }
    }

    const LIMITS: Limits = Limits {
        lag: Some(Duration::from_secs(5)),
        silence: Some(Duration::from_secs(60)),
        verified: None,
        anchored: None,
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
        status.origins[0].lag_us = Some(6_000_000);
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

    #[test]
    fn what_the_ledger_tells_is_judged() {
        let mut status = healthy();
        let day_us = 86_400_000_000;
        let now_us = 100 * day_us;
        let limits = Limits {
            verified: Some(Duration::from_secs(8 * 86_400)),
            anchored: Some(Duration::from_secs(2 * 86_400)),
            ..Limits::default()
        };
        let never = [
            "the archive was never verified",
            "the ledger was never anchored",
        ];
        assert_eq!(judge(&status, limits, now_us), never);
        status.governance = Some(Governed {
            verified: Some(Verified {
                time_us: now_us - 9 * day_us,
                problems: 2,
            }),
            anchored: Some(now_us - 3 * day_us),
            overdue: Some(now_us - day_us),
            failed: vec!["scheduled retention of T (entry 7): the store said no".to_owned()],
            waiting: vec!["p-1".to_owned()],
            erasures_overdue: vec!["erase-4".to_owned()],
            missing_origins: vec!["main.2".to_owned()],
            quarantined: (5, 3),
            ..Governed::default()
        });
        assert_eq!(
            judge(&status, limits, now_us),
            [
                "origin main.2: is expected and never spoke",
                "quarantined since the last verification: 3 records",
                "retention was due at 1970-04-10T00:00:00.000000Z and did not run: 1d late",
                "failed: scheduled retention of T (entry 7): the store said no",
                "plan p-1 of the schedule waits for approval",
                "erasure erase-4: its day has passed and it is not executed",
                "the last verification found 2 problems",
                "the archive was last verified 9d ago",
                "the ledger was last anchored 3d ago",
            ]
        );
        // Within the limits, and a run that is due this minute, nothing is wrong.
        status.governance = Some(Governed {
            verified: Some(Verified {
                time_us: now_us - day_us,
                problems: 0,
            }),
            anchored: Some(now_us - day_us),
            overdue: Some(now_us - 60_000_000),
            ..Governed::default()
        });
        assert_eq!(judge(&status, limits, now_us), Vec::<String>::new());
        // Who retired is silent by right.
        let silence = Limits {
            silence: Some(Duration::from_secs(60)),
            ..Limits::default()
        };
        assert_eq!(judge(&status, silence, now_us).len(), 1);
        status.governance = Some(Governed {
            retired_origins: vec!["main.1".to_owned()],
            ..Governed::default()
        });
        assert_eq!(judge(&status, silence, now_us), Vec::<String>::new());
        status.ledger_problem = Some("entry 3 is missing".to_owned());
        assert_eq!(judge(&status, silence, now_us).len(), 1);
    }
}
