//! Loading a directory of rules: all files in, rule sets that have passed all checks and their own tests out.

use std::sync::Arc;

use serde::Serialize;

use super::code::Code;
use super::file::{self, Document, DocumentKind};
use super::files::{Files, MAX_FILES, Spot};
use super::problem::{Findings, Problem};
use super::set::{self, RuleSet};
use super::testing::{self, RuleCover};
use crate::clock::UnixTime;

/// What a directory holds.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The rule sets in the order of their files.
    pub sets: Vec<Arc<RuleSet>>,
    /// What is worth a look.
    pub warnings: Vec<Problem>,
    /// The tests that were run; all passed.
    pub tests: Vec<TestRun>,
    /// What they reach, of each rule.
    pub cover: Vec<RuleCover>,
}

/// A test of a rule that passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestRun {
    /// The rule set.
    pub set: Arc<str>,
    /// The rule.
    pub rule: Arc<str>,
    /// The test's name.
    pub test: String,
}

impl Loaded {
    /// The set of that name.
    pub fn set(&self, name: &str) -> Option<&Arc<RuleSet>> {
        self.sets.iter().find(|set| &**set.name() == name)
    }
}

/// Reads, checks and tests all rule sets of a directory. `now` tells which exceptions have expired. All errors are told at
/// once; one is enough for nothing to be loaded.
pub fn load(files: &Files, now: UnixTime) -> Result<Loaded, Vec<Problem>> {
    let mut findings = Findings::new(files);
    if files.iter().count() > MAX_FILES {
        let at = Spot::default();
        findings.add(Code::Bound, at, format!("more than {MAX_FILES} files"), "keep what are no rules elsewhere");
        return Err(findings.into_parts().0);
    }
    let documents = read(files, &mut findings);
    let sets: Vec<&Document> = documents.iter().filter(|document| document.kind == DocumentKind::RuleSet).collect();
    let overrides: Vec<_> = documents
        .iter()
        .filter(|document| document.kind == DocumentKind::Overrides)
        .flat_map(|document| document.overrides.iter().cloned())
        .collect();
    names(&sets, &mut findings);
    set::check_overrides(&overrides, &sets, &mut findings);
    let mut loaded = Loaded::default();
    for document in sets {
        let included = file::gather(document, &documents, &mut findings);
        if let Some(built) = set::build(document, &included, &overrides, now, &mut findings) {
            let set = Arc::new(built.set);
            let tested = testing::run(&set, &built.defs, &mut findings);
            loaded.tests.extend(tested.passed);
            loaded.cover.extend(tested.cover);
            loaded.sets.push(set);
        }
    }
    let (errors, warnings) = findings.into_parts();
    if !errors.is_empty() {
        return Err(errors);
    }
    loaded.warnings = warnings;
    Ok(loaded)
}

fn read(files: &Files, findings: &mut Findings<'_>) -> Vec<Document> {
    let rule_files = files.iter().map(|(path, _)| path).filter(|path| super::files::is_rule_file(path));
    let rule_files: Vec<_> = rule_files.filter_map(|path| files.file(path)).collect();
    let documents: Vec<Document> = rule_files.into_iter().filter_map(|file| file::read(file, findings)).collect();
    for document in &documents {
        let is_for_roots = matches!(document.kind, DocumentKind::RuleSet | DocumentKind::Overrides);
        if is_for_roots && files.roots().all(|path| path != files.path(document.file)) {
            let message = "rule sets and overrides stand in the rules directory itself, not in a folder of it";
            findings.add(
                Code::Document,
                document.name.at,
                message,
                "move the file, or make it `kind: Lists` or `kind: Macros`",
            );
        }
    }
    documents
}

/// Names of sets and ids of rules mean one thing each.
fn names(sets: &[&Document], findings: &mut Findings<'_>) {
    let mut known: Vec<&str> = Vec::new();
    let mut ids = std::collections::HashSet::new();
    for set in sets {
        if known.contains(&set.name.value.as_str()) {
            let message = format!("there are two rule sets named `{}`", set.name.value);
            findings.add(Code::Duplicate, set.name.at, message, "give one of them another name");
        }
        known.push(&set.name.value);
        for rule in &set.rules {
            if !ids.insert(rule.id.value.as_str()) {
                let message = format!("there are two rules `{}`", rule.id.value);
                findings.add(Code::Duplicate, rule.id.at, message, "give one of them another number");
            }
        }
    }
}
