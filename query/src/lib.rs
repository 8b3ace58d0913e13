//! The query language: parser, syntax tree, printer, analyzer and the matcher that judges one event.

pub mod analyzer;
pub mod limits;
