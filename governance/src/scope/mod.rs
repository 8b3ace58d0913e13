//! From the names that people give to the ids that events have.

mod directory;
mod resolve;

pub use directory::{Directory, Known};
pub use resolve::{ScopeError, room};
