//! The command line's own work: administration over HTTP.

mod admin;
mod client;
mod transfer;

pub use admin::{AdminCommand, AdminFlags, administer};
pub use client::{AdminClient, AdminError};
