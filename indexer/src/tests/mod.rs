//! SE-1: whatever has a split, a stale or damaged one, or none, whatever was compacted since: a search finds what the
//! matcher accepts.

mod archive;
mod asked;
mod corpus;
mod language;
mod membership;
mod people;
mod reads;
mod search;
mod times;
mod witness;
