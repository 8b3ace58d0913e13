//! Search over a pinned snapshot.

mod coverage;
mod hits;
mod status;
mod visible;

pub use coverage::Coverage;
pub use hits::{HIT_BATCH_ROWS_MAX, HitBatch, Hits};
pub use status::Status;
