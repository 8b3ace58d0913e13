//! Inversion in columns: from Arrow columns to sorted terms with their rows, handed to Tantivy's own serializers.
//!
//! Tantivy's segment writer takes documents one at a time: it sorts the fields of each, boxes a token stream for each
//! value and hashes every term into one table for all fields. An event has about twenty short fields, so that costs
//! more than the postings. Here a column is inverted at once: values that repeat (rooms, persons, types) are folded and
//! analysed once, each field has its own small table, and postings are laid out by a counting sort. What is written is
//! Tantivy's format, by Tantivy's code.

pub(crate) mod hashed;
pub(crate) mod keys;
pub(crate) mod postings;
pub(crate) mod terms;
pub(crate) mod text;
