//! Splits: built from a segment's rows, laid out as one file, opened by memory map or ranged reads.

mod build;
mod bundle;
mod cache;
mod filter;
mod open;
mod ranged;
mod source;
#[cfg(test)]
mod tests;

pub use build::build_split;
pub use bundle::{FORMAT_VERSION, is_built_anew};
#[cfg(test)]
pub(crate) use bundle::{with_analyzer_version, without_words_filter};
pub use cache::CacheOptions;
pub(crate) use cache::ChunkCache;
pub(crate) use open::{Split, Splits, Tails, Wanted, postings};
