//! A door for a fuzz target (`fuzz/`), in builds that fuzz alone.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a panic is how a target fails"
)]

use std::path::Path;

use super::reference::Outside;
use super::{Files, check};
use crate::clock::UnixTime;

/// Anything as the configuration of a directory. Whatever it names is looked for in there: [`inside`].
pub fn configuration(directory: &Path, data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut outside = Outside { directory, files: Files::default(), now: UnixTime::from_secs(1_760_000_000) };
    let (outcome, _) = check(Path::new("wxgate.toml"), text, &mut outside);
    match outcome {
        Ok(config) => assert!(!config.endpoints.is_empty(), "a configuration of nothing"),
        Err(problems) => {
            assert!(problems.iter().next().is_some(), "refused without a word");
            let told = problems.to_string();
            // A line of it with a caret, and few words, for each problem; problems are at most as many as keys.
            assert!(told.len() <= 64 * 1024 + 1024 * data.len(), "{} bytes about {}", told.len(), data.len());
        }
    }
}

/// A path that leads nowhere else: a fuzzer that writes `dir = "/"` would read the machine.
pub(super) fn inside(written: &str) -> String {
    written.replace("..", "_").trim_start_matches('/').to_owned()
}
