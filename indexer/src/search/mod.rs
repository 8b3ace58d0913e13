//! Search over a pinned snapshot.

mod coverage;
mod engine;
mod find;
mod hits;
mod plan;
mod prune;
mod question;
mod read;
mod searcher;
mod status;
mod times;
mod visible;
mod words;

pub use coverage::Coverage;
pub use hits::{HIT_BATCH_ROWS_MAX, HitBatch, Hits};
pub use searcher::{SearchOptions, Searcher};
pub use status::Status;
