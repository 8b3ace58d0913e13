//! A model of an archive with its holds: made-up events, processes that die, and what must hold when everything has come to rest.

pub(crate) mod acts;
pub(crate) mod check;
pub(crate) mod events;
pub(crate) mod world;
