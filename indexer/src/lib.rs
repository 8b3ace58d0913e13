//! One Tantivy split per segment: build, bundle, and search over a pinned snapshot.

mod docs;
mod error;
mod invert;
pub mod maintenance;
pub mod participants;
mod schema;
mod search;
mod split;
#[cfg(test)]
mod tests;

pub use error::{IndexError, SearchError, SplitError};
pub use search::{
    Conversation, Coverage, HIT_BATCH_ROWS_MAX, HitBatch, Hits, Place, Request, SearchOptions,
    Searcher, Status, Window,
};
pub use split::{CacheOptions, FORMAT_VERSION, build_split, is_built_anew};
