//! `wxgate sim`.

use std::process::ExitCode;

/// A simulated WeChat: serve, send, load, attack.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(args: &Args) -> ExitCode {
    let _ = args;
    unimplemented!()
}
