//! The contract of Holdfast: compliance events, archive columns, hashes and limits.
