//! One Tantivy split per segment: build, bundle, and search over a pinned snapshot.

mod error;
mod invert;
mod schema;
mod split;

pub use error::{IndexError, SearchError, SplitError};
pub use split::{CacheOptions, FORMAT_VERSION, build_split};
