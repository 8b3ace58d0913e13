//! Events from Kafka, an outbox or JSON lines into segments and splits, one commit at a time.
//!
//! [`pipeline`] draws the chain; [`source`] is where records enter it; [`run`] puts everything around it.

pub mod attachments;
pub mod clock;
pub mod error;
pub mod http;
pub mod metrics;
pub mod pipeline;
pub mod reference;
pub mod run;
pub mod settings;
pub mod source;
pub mod upkeep;

pub use error::IngestError;
pub use run::{Report, run, run_in};
