//! Every kind of mistake with the exact text that its author reads. `mistakes.txt` holds them: a name, a file (or several,
//! each under `@ path`), and after `---` what is told.

use super::NOON;
use crate::risk::code::Code;
use crate::risk::{Files, load};

const MISTAKES: &str = include_str!("mistakes.txt");
/// What each file begins with unless it says so itself.
const HEAD: &str = "apiVersion: wxgate.rules/v1\nkind: RuleSet\nname: shop\nversion: 3\nschema: pay-v3\n";

struct Mistake {
    name: &'static str,
    files: Files,
    told: String,
}

fn mistakes() -> Vec<Mistake> {
    let sections = MISTAKES.split("=== ").skip(1);
    sections
        .map(|section| {
            let (name, rest) = section.split_once('\n').unwrap();
            let (written, told) = rest.split_once("---\n").unwrap_or_else(|| panic!("{name} has no ---"));
            let (first, others) = written.split_once("@ ").map_or((written, ""), |(first, others)| (first, others));
            let first = first.strip_prefix('!').map_or_else(|| format!("{HEAD}{first}"), str::to_owned);
            let mut files = Files::new("rules").with("shop.yaml", first);
            for other in others.split("@ ").filter(|other| !other.is_empty()) {
                let (path, text) = other.split_once('\n').unwrap();
                files = files.with(path, text);
            }
            Mistake { name, files, told: told.trim_end().to_owned() }
        })
        .collect()
}

/// What a person reads of it, errors first.
fn told(files: &Files) -> String {
    let problems = match load(files, NOON) {
        Ok(loaded) => loaded.warnings,
        Err(errors) => errors,
    };
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_mistake_is_told_as_written_down() {
    let mut differ = String::new();
    for mistake in mistakes() {
        let told = told(&mistake.files);
        if told != mistake.told {
            differ.push_str(&format!("=== {}\n{told}\n\n", mistake.name));
        }
    }
    assert!(differ.is_empty(), "told otherwise:\n{differ}end");
}

#[test]
fn every_code_has_a_mistake() {
    // A set that costs too much is too long for a table: `hostile` has one.
    let elsewhere = [Code::Budget];
    let told: String = mistakes().into_iter().map(|mistake| mistake.told).collect();
    let missing: Vec<&str> = Code::ALL
        .iter()
        .filter(|code| !elsewhere.contains(code))
        .map(|code| code.name())
        .filter(|name| !told.contains(&format!("[{name}]")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
