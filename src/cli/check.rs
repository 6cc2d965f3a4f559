//! `wxgate check`.

use std::process::ExitCode;

/// Check configuration and keys; says all problems at once.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(args: &Args) -> ExitCode {
    let _ = args;
    unimplemented!()
}
