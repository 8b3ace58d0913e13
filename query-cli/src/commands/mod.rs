//! One file a command.

pub mod actor;
pub mod anchor;
pub mod completions;
pub mod config;
pub mod disposition;
pub mod erase;
pub mod explain;
pub mod export;
pub mod hold;
pub mod init;
pub mod ledger;
pub mod maintenance;
pub mod matter;
pub mod origin;
pub mod person;
pub mod retention;
pub mod rooms;
pub mod search;
pub mod show;
pub mod stats;
pub mod status;
pub mod thread;
pub mod verify;
pub mod why;
