//! Search over a pinned snapshot.

mod around;
mod check;
mod coverage;
mod engine;
mod expand;
mod find;
mod hits;
mod people;
mod prune;
mod question;
mod read;
mod request;
mod searcher;
mod status;
mod task;
mod times;
mod visible;

pub use around::{Conversation, Place, Window};
pub use coverage::Coverage;
pub use hits::{HIT_BATCH_ROWS_MAX, HitBatch, Hits};
pub use request::Request;
pub use searcher::{SearchOptions, Searcher};
pub use status::Status;
