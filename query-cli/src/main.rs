//! The `holdfast` program; everything it does is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    holdfast_query_cli::main_with(&args)
}
