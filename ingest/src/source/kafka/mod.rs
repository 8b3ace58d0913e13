//! Kafka.
use super::{Feed, Source, SourceError};
use crate::settings::KafkaSettings;
/// x
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct KafkaSourceError;
/// x
#[derive(Debug)]
pub struct KafkaSource;
impl KafkaSource {
    /// x
    #[must_use]
    pub fn new(_b: &str, _t: &str, _g: &str, _s: KafkaSettings, _i: bool) -> Self {
        Self
    }
}
impl Source for KafkaSource {
    fn run(self: Box<Self>, _feed: Feed) -> Result<(), SourceError> {
        Ok(())
    }
}
