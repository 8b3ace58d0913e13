//! The event hash.

use sha2::{Digest, Sha256};

use crate::canonical;
use crate::event::Event;

/// SHA-256 of an event's canonical JSON.
pub type EventHash = [u8; 32];

/// SHA-256 over the normalised event in canonical JSON. `scratch` is overwritten; passing it again spares an allocation.
pub fn event_hash(event: &Event<'_>, scratch: &mut Vec<u8>) -> EventHash {
    scratch.clear();
    canonical::write(event, scratch);
    Sha256::digest(&scratch).into()
}
