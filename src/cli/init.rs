//! `wxgate init`.

use std::process::ExitCode;

/// Write a commented configuration and test keys to start from.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(args: &Args) -> ExitCode {
    let _ = args;
    unimplemented!()
}
