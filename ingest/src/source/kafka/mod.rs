//! Kafka: a member of a consumer group whose positions are the archive's.
//!
//! Positions come from the table and from nowhere else; Kafka's own offsets are committed behind them, so that lag tools work. The
//! protocol between group and table, for the eager assignment (every partition is given up before any is given out):
//!
//! | event | what the source does |
//! |---|---|
//! | first contact with a topic | makes it known to the table: from then on each partition has a beginning there |
//! | partitions assigned | reads the table's positions, compares them with what the topic still holds, and assigns behind them |
//! | partitions revoked or lost | closes the gate: the commit in flight ends, everything else read so far is dropped; then unassigns |
//! | the table has another position | the committer has closed the gate already; the positions are read again, and the records |
//! | the pipeline is full | waits a little, then pauses the partitions and keeps polling: the group sees a living member |
//! | offsets gone, topic recreated, other cluster | stops hard and says what is lost |
//!
//! The rebalance callback only reports. Waiting inside it would be waiting on the thread that serves the very queue it waits for.

mod assign;
mod collect;
mod connect;
mod contact;
mod context;
mod error;
mod idle;
mod member;
mod partitions;
mod read;
mod start;
mod topic_id;

pub(crate) use connect::OVERRIDABLE;
pub use error::KafkaSourceError;

use self::member::Member;
use super::{Feed, Source, SourceError};
use crate::settings::KafkaSettings;

/// Reads a topic as a member of a consumer group.
#[derive(Debug)]
pub struct KafkaSource {
    subscription: Subscription,
    settings: KafkaSettings,
    until_idle: bool,
}

/// What is read, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) group: String,
}

impl KafkaSource {
    /// A source that has not connected yet.
    #[must_use]
    pub fn new(
        brokers: &str,
        topic: &str,
        group: &str,
        settings: KafkaSettings,
        until_idle: bool,
    ) -> Self {
        let subscription = Subscription {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            group: group.to_owned(),
        };
        Self {
            subscription,
            settings,
            until_idle,
        }
    }
}

impl Source for KafkaSource {
    fn run(self: Box<Self>, feed: Feed) -> Result<(), SourceError> {
        let Self {
            subscription,
            settings,
            until_idle,
        } = *self;
        Member::join(&subscription, settings, until_idle, feed)?.run()
    }
}
