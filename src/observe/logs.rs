//! Logs of the process itself, on standard error. What happens to a callback is in the audit log, not here.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// The variable that says how much is logged, in the syntax of `tracing`: `debug`, `wxgate::store=trace`, …
const LEVEL: &str = "WXGATE_LOG";

/// Starts logging; the level comes from `WXGATE_LOG`, `info` if it is not set.
pub fn start(json: bool) {
    let filter =
        EnvFilter::builder().with_env_var(LEVEL).with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    // Colours are for a person: in a file or a journal they are rubbish.
    let colours = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(io::stderr);
    // A process that logs already goes on as it does: only tests that share a process come here twice.
    let _ = if json { lines.json().flatten_event(true).try_init() } else { lines.try_init() };
}
