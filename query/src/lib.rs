//! The query language: parser, syntax tree, printer, analyzer and the matcher that judges one event.
//!
//! ```text
//! text --parse--> ast::Expr --expand_participants--> ast::Expr --plan::lower--> plan::Plan --+--> matcher (one event)
//!                    |                                                                       +--> the index's compiler
//!                    +--Display--> text that parses to the same tree
//! ```
//!
//! What a construct means is decided once, in [`plan`]; what a term is, in [`analyzer`]. Neither does I/O or knows a clock.

pub mod analyzer;
pub mod ast;
pub mod error;
pub mod limits;
pub mod matcher;
pub mod parse;
pub mod plan;
mod print;
pub mod property;
pub mod time;

pub use ast::{Expr, ParticipantsExpansion};
pub use error::QueryError;
pub use matcher::{Highlight, Matcher};
pub use parse::{ParseOptions, Query, parse};
pub use plan::{LowerError, Plan, lower};
pub use property::Property;
