//! The starter rules of `rules/` load, and all of their tests pass.

use std::fs;
use std::path::Path;

use super::NOON;
use crate::risk::{Files, load};

/// The starter rules as they are shipped.
pub(super) fn starter() -> Files {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let mut files = Files::new("rules");
    for folder in ["", "lists"] {
        for entry in fs::read_dir(dir.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path.extension().is_some_and(|ending| ending == "yaml" || ending == "txt") {
                let name = path.strip_prefix(&dir).unwrap().to_str().unwrap().to_owned();
                files = files.with(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn the_starter_rules_load_and_pass_their_tests() {
    let loaded = load(&starter(), NOON).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, [] as [&str; 0], "{}", warnings.join("\n"));
    assert!(loaded.tests >= 50, "{}", loaded.tests);
}
