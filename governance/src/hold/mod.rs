//! Legal holds: what they cover, judged on the event itself.

mod judge;

pub use judge::{Held, Hold, HoldError, Watched};
