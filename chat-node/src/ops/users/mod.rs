//! Users: entered when first seen, updated when their tokens say something new.

mod cache;
mod delete;
mod groups;
mod seen;
mod set_state;

pub use cache::UserCache;
pub use delete::delete;
pub(in crate::ops) use groups::with_groups;
pub(in crate::ops) use seen::person_from;
pub use seen::{caller_of, load_person, load_principal, seen};
pub use set_state::{UserState, set_state};
