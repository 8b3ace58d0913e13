//! Every command against a small archive: exit code, stdout and stderr, held as snapshots. One file a command.

mod maintenance;
mod pipes;
mod program;
mod rooms;
mod search;
mod show;
mod status;
mod thread;
