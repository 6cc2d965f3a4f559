//! The folders are the architecture: a module imports from its own row and from rows below it (docs/architecture.md).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // a test may fail

use std::fs;
use std::path::{Path, PathBuf};

/// Rows from the top down; a module may use any module of its own or of a later row.
const ROWS: &[(&str, &[&str])] = &[
    ("assembly", &["cli", "app", "config"]),
    ("surface", &["server", "admin"]),
    ("flow", &["gate"]),
    ("effects", &["store", "keyring", "limit"]),
    ("observing", &["observe"]),
    ("pure", &["wechat", "risk", "event"]),
    ("leaf", &["reason", "clock", "secret"]),
];
/// Modules of one row that may not know each other.
const STRANGERS: &[(&str, &str)] = &[("server", "admin"), ("admin", "server"), ("wechat", "risk"), ("risk", "wechat")];
const PURE: &[&str] = &["wechat", "risk", "event"];
/// What pure code has no use for: I/O, clocks, tasks, randomness, logging.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant",
    "tokio",
    "hyper",
    "rand::",
    "tracing",
    "async fn",
    ".await",
];

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|(_, modules)| modules.contains(&module))
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Module name and code without comments and without the tests below.
fn modules() -> Vec<(String, PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    found
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&src).unwrap();
            let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let code: Vec<&str> = text
                .lines()
                .take_while(|line| !line.starts_with("#[cfg(test)]"))
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            (first.trim_end_matches(".rs").to_owned(), path.clone(), code.join("\n"))
        })
        .filter(|(_, path, _)| !path.ends_with("tests.rs"))
        .filter(|(_, path, _)| {
            let mut folders = path.strip_prefix(&src).unwrap().iter();
            !folders.any(|folder| folder == "tests" || folder == "conformance")
        })
        .collect()
}

/// The modules named by `crate::X` and by the braces of `use crate::{X, Y::z}`.
fn imports(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for after in code.split("crate::").skip(1) {
        let list = match after.strip_prefix('{') {
            Some(braced) => top_level_names(braced),
            None => vec![identifier(after)],
        };
        named.extend(list);
    }
    named.retain(|name| !name.is_empty());
    named
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

fn top_level_names(braced: &str) -> Vec<String> {
    let mut depth = 0_i32;
    let mut names = vec![identifier(braced.trim_start())];
    for (at, c) in braced.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(identifier(braced[at + 1..].trim_start())),
            _ => {}
        }
    }
    names
}

#[test]
fn a_module_imports_only_from_its_row_and_below() {
    let mut wrong = Vec::new();
    for (module, path, code) in modules() {
        let Some(row) = row_of(&module) else { continue };
        for import in imports(&code) {
            let Some(imported) = row_of(&import) else { continue };
            let is_stranger = STRANGERS.contains(&(module.as_str(), import.as_str()));
            if imported < row || is_stranger {
                wrong.push(format!(
                    "{}: {module} ({}) uses {import} ({})",
                    path.display(),
                    ROWS[row].0,
                    ROWS[imported].0
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_row() {
    for (module, path, _) in modules() {
        assert!(
            row_of(&module).is_some() || ["sim", "lib", "main"].contains(&module.as_str()),
            "{} belongs to no row",
            path.display()
        );
    }
}

#[test]
fn the_simulator_shares_no_code_with_the_gateway() {
    for (module, path, code) in modules() {
        if module == "sim" {
            let foreign: Vec<String> = imports(&code).into_iter().filter(|name| name != "sim").collect();
            assert!(foreign.is_empty(), "{} uses {foreign:?}", path.display());
        }
    }
}

#[test]
fn pure_code_has_no_effects() {
    for (module, path, code) in modules() {
        if PURE.contains(&module.as_str()) {
            for word in IMPURE {
                assert!(!code.contains(word), "{} mentions `{word}`", path.display());
            }
        }
    }
}

#[test]
fn one_file_of_the_protocols_names_a_crypto_package() {
    for (module, path, code) in modules() {
        if module == "wechat" && !path.ends_with("crypto.rs") {
            for package in ["aws_lc_rs", "rsa::", "aes_gcm", "sha2::", "sha1::", "md5::"] {
                assert!(!code.contains(package), "{} names `{package}`", path.display());
            }
        }
    }
}

#[test]
fn budgets_hold() {
    for (_, path, code) in modules() {
        let lines = code.lines().count();
        let budget =
            match path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap().to_str().unwrap() {
                "gate/pipeline.rs" => 250,
                "main.rs" => 20,
                _ => 500,
            };
        assert!(lines <= budget, "{} has {lines} lines of code, its budget is {budget}", path.display());
    }
}
