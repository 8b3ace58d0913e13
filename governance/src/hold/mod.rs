//! Legal holds: what they cover, judged on the event itself; placing, proving and releasing them.

mod cover;
mod expand;
mod judge;
mod place;
mod verify;
mod whereabouts;

pub use cover::{Coverage, covered};
pub use expand::Memberships;
pub use judge::{Held, Hold, HoldError, Watched};
pub use place::{FOLDER, Receipt, judge, place, preview};
pub use verify::{HoldProof, freed, release, verify};
pub use whereabouts::whereabouts;
