//! SE-1: whatever has a split, a stale or damaged one, or none, whatever was compacted since: a search finds what the
//! matcher accepts.

mod corpus;
mod language;
mod reads;
mod search;
