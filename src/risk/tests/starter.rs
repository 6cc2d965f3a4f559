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
    assert_eq!(warnings.len(), 1, "{}", warnings.join("\n"));
    assert!(warnings[0].contains("counter payers_by_ip waits for the order"), "as order-risk.yaml itself says");
    let names: Vec<&str> = loaded.sets.iter().map(|set| &**set.name()).collect();
    let readme = include_str!("../../../rules/README.md");
    assert_eq!(names.len(), 6);
    for name in names {
        assert!(readme.contains(&format!("| `{name}` |")), "{name} is not in rules/README.md");
    }
    assert!(loaded.tests.len() >= 70, "{}", loaded.tests.len());
}

#[test]
fn every_starter_rule_is_described_for_whoever_has_to_live_with_it() {
    for (path, text) in starter().iter().filter(|(path, _)| !path.contains('/')) {
        let rules: Vec<&str> = text.split("\n  - id: ").skip(1).collect();
        assert!(!rules.is_empty(), "{path}");
        for rule in rules {
            for key in ["title:", "description:", "severity:", "reason:", "false_positives:", "tuning:", "tests:"] {
                assert!(rule.contains(&format!("\n    {key}")), "{key} is not in {path}: {rule}");
            }
        }
    }
}
