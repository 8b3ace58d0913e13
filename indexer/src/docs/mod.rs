//! Sets of rows of one segment, ascending: postings and what queries make of them.
//!
//! Everything here is a Tantivy [`DocSet`], but none of it is a Tantivy query: nothing is scored, nothing is cut off,
//! and NEAR is a distance between two positions (Tantivy's slop is one budget for a whole phrase).

mod combine;
mod near;
mod phrase;
mod set;
mod settled;
#[cfg(test)]
mod tests;

pub(crate) use near::{AnyOf, Distance, Near};
pub(crate) use phrase::{Element, Located, Phrase};
pub(crate) use set::{Set, Term};
