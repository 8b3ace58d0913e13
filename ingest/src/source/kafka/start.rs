//! Where to begin a partition: a pure decision, since a wrong one loses or skips records silently.

use std::ops::Range;

use super::error::KafkaSourceError;
use crate::settings::AcceptedLoss;

/// Where a partition is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    /// First offset to read.
    pub(super) offset: i64,
    /// Offsets given up by the operator.
    pub(super) lost: i64,
}

/// Where to begin, given the table's position (last offset archived) and the offsets that the topic holds (from its first record to behind its
/// last). Kafka counts a partition's records from 0, so a partition without a position, of which nothing is archived, is one at -1: taking its
/// first record for its beginning would pass over whatever was removed before anything was archived.
///
/// | next = position + 1, or 0 without one | |
/// |---|---|
/// | first <= next <= end | from next |
/// | first > next | next to first - 1 are lost: an error, unless the operator gave up exactly these |
/// | end < next | the topic lost its end: an error |
pub(super) fn start(
    topic: &str,
    partition: i32,
    position: Option<i64>,
    held: Range<i64>,
    accepted: &[AcceptedLoss],
) -> Result<Start, KafkaSourceError> {
    let next = position.map_or(0, |position| position + 1);
    if next > held.end {
        return Err(KafkaSourceError::Truncated {
            topic: topic.to_owned(),
            partition,
            end: held.end,
            position: next - 1,
        });
    }
    if next >= held.start {
        return Ok(Start {
            offset: next,
            lost: 0,
        });
    }
    let (first, last, count) = (next, held.start - 1, held.start - next);
    // The range may have grown since it was accepted; what was not accepted is not passed over.
    if accepted
        .iter()
        .any(|loss| loss.partition == partition && loss.first <= first && loss.last >= last)
    {
        return Ok(Start {
            offset: held.start,
            lost: count,
        });
    }
    Err(KafkaSourceError::Lost {
        topic: topic.to_owned(),
        partition,
        first,
        last,
        count,
    })
}

/// Application id that says: this archive has read this topic, with this id in this cluster, under this name.
pub(super) fn name_mark(topic: &str, cluster_id: &str, topic_id: &str) -> String {
    format!("{}{cluster_id}/{topic_id}", name_prefix(topic))
}

fn name_prefix(topic: &str) -> String {
    format!("kafka-topic/{topic}/")
}

/// Compares the topic with what the archive knows under its name. A topic that was recreated, or another cluster behind the same address, has
/// other records under the same offsets.
pub(super) fn check_name<'a>(
    topic: &str,
    cluster_id: &str,
    topic_id: &str,
    positions: impl Iterator<Item = &'a str>,
    accepted: Option<&str>,
) -> Result<(), KafkaSourceError> {
    let (prefix, own) = (name_prefix(topic), name_mark(topic, cluster_id, topic_id));
    let known: Vec<&str> = positions
        .filter(|app_id| app_id.starts_with(&prefix))
        .collect();
    if known.is_empty() || known.contains(&own.as_str()) || accepted == Some(topic_id) {
        return Ok(());
    }
    Err(KafkaSourceError::OtherTopic {
        topic: topic.to_owned(),
        found: topic_id.to_owned(),
        cluster: cluster_id.to_owned(),
        known: known
            .iter()
            .map(|mark| &mark[prefix.len()..])
            .collect::<Vec<_>>()
            .join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ar2_no_record_is_skipped_or_read_twice_unless_given_up(
            position in proptest::option::of(0i64..40), first in 0i64..40, count in 0i64..40,
            accepted in proptest::option::of((0i64..40, 0i64..40)),
        ) {
            let accepted: Vec<_> = accepted.iter().map(|(a, b)| AcceptedLoss { partition: 1, first: *a.min(b), last: *a.max(b) }).collect();
            match start("t", 1, position, first..first + count, &accepted) {
                Ok(start) => {
                    prop_assert!((first..=first + count).contains(&start.offset), "begins within the topic");
                    let next = position.map_or(0, |position| position + 1);
                    prop_assert_eq!(start.offset - start.lost, next, "skips what was given up and nothing else");
                    for offset in next..start.offset {
                        prop_assert!(accepted.iter().any(|loss| (loss.first..=loss.last).contains(&offset)));
                    }
                }
                Err(KafkaSourceError::Lost { first: from, last: to, count, .. }) => {
                    prop_assert_eq!((from, to, count), (position.map_or(0, |p| p + 1), first - 1, to - from + 1));
                }
                Err(KafkaSourceError::Truncated { .. }) => prop_assert!(position.unwrap() >= first + count),
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }

    #[test]
    fn a_loss_is_said_with_the_flag_that_accepts_it() {
        let error = start("t", 3, Some(9), 20..30, &[]).unwrap_err().to_string();
        assert!(
            error.contains("offsets 10 to 19 (10 records")
                && error.contains("--accept-loss 3:10-19"),
            "{error}"
        );
        let accepted: AcceptedLoss = "3:10-19".parse().unwrap();
        assert_eq!(
            start("t", 3, Some(9), 20..30, &[accepted]).unwrap(),
            Start {
                offset: 20,
                lost: 10
            }
        );
        assert!(start("t", 4, Some(9), 20..30, &[accepted]).is_err());
    }

    #[test]
    fn a_recreated_topic_is_told_from_the_old_one() {
        let known = [
            name_mark("t", "c", "old"),
            name_mark("t2", "c", "x"),
            "kafka/c/old/0".to_owned(),
        ];
        let check = |topic: &str, cluster: &str, id: &str, accepted| {
            check_name(
                topic,
                cluster,
                id,
                known.iter().map(String::as_str),
                accepted,
            )
        };
        assert!(check("t", "c", "old", None).is_ok());
        assert!(check("t3", "c", "new", None).is_ok());
        assert!(check("t", "c", "new", Some("new")).is_ok());
        for (cluster, id) in [("c", "new"), ("other", "old")] {
            let error = check("t", cluster, id, None).unwrap_err().to_string();
            assert!(
                error.contains("c/old") && error.contains(&format!("--accept-topic {id}")),
                "{error}"
            );
        }
    }
}
