//! Members of rooms.

mod list;
mod put;
mod remove;
mod wall;

pub use list::{Member, list};
pub use put::put;
pub use remove::remove;
pub(in crate::ops) use wall::{Expulsion, Rooms, listed};
