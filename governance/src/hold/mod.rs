//! Legal holds: what they cover, judged on the event itself.

mod expand;
mod judge;

pub use expand::Memberships;
pub use judge::{Held, Hold, HoldError, Watched};
