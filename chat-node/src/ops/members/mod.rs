//! Members of rooms.

mod list;
mod put;
mod remove;

pub use list::{Member, list};
pub use put::put;
pub use remove::remove;
