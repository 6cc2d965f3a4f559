//! Printing: results to standard output, talk to standard error. A reader that has gone away (a closed pipe) is no error.

use std::fmt::Display;
use std::io::{self, Write as _};

/// A line of a result.
pub(super) fn result(line: impl Display) {
    // Nobody reads any more: nothing is left to say it to.
    drop(writeln!(io::stdout().lock(), "{line}"));
}

/// A line for the person at the terminal.
pub(super) fn talk(line: impl Display) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// A value as one line of JSON.
pub(super) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string(value) {
        Ok(line) => result(line),
        Err(error) => talk(format_args!("wxgate: this result has no JSON form: {error}")),
    }
}
