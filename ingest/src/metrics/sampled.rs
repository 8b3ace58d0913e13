//! Metrics that have a sample of everything: what has labels is not in the text before something was counted under one.

use holdfast_archive::Counts;

use super::{ClosedBy, Metrics};
use crate::pipeline::Cause;

impl Metrics {
    /// All at zero, each in the text: with every value of a label whose values the program knows, and a value of its type for the others.
    pub(crate) fn sampled() -> Self {
        let metrics = Self::new();
        metrics.count(&Counts::default());
        metrics.compacted(0, 0);
        metrics.lag(0, 0, 0.0);
        metrics.outbox_lag("pool.1", 0, 0.0);
        for cause in Cause::ALL {
            drop(metrics.batches.get_or_create(&ClosedBy::from(cause)));
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_metric_that_is_registered_is_without_a_sample() {
        let metrics = Metrics::sampled();
        let registered = format!("{:?}", metrics.registry)
            .matches("Descriptor {")
            .count();
        let shown = metrics.encode().matches("# TYPE ").count();
        assert!(registered > 0, "the registry prints its descriptors");
        assert_eq!(registered, shown, "{}", metrics.encode());
    }
}
