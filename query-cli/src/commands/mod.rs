//! One file a command.

pub mod completions;
pub mod explain;
pub mod export;
pub mod init;
pub mod maintenance;
pub mod rooms;
pub mod search;
pub mod show;
pub mod stats;
pub mod status;
pub mod thread;
pub mod verify;
