//! `[rules]`, and the rule sets that an endpoint names. Rules are read, checked and tested with the configuration: one
//! mistake in them keeps all of it from being taken, so that a running gateway keeps the last good of both together.

use std::path::Path;

use super::document::{Table, Value, quoted};
use super::problem::{Findings, Place, Problem};
use super::read_rule_files;
use super::reference::Outside;
use crate::risk::schema::Family;
use crate::risk::{self, Files, Loaded, Policy};

const DIR_HINT: &str = "dir = \"rules\": a directory of rule sets; `wxgate init` writes one to start from";
/// How alike two names have to be for the one to be taken for a slip of the other; 1 is the same.
const ALIKE: f64 = 0.7;

/// What `[rules]` led to.
pub(super) enum Rules {
    /// There is no `[rules]`.
    None,
    /// There is, and something is wrong with it: it has been told.
    Broken,
    /// The sets of the directory.
    Loaded(Loaded),
}

/// Reads `[rules]` and everything in its directory.
pub(super) fn rules(root: &mut Table<'_>, outside: &mut Outside<'_>, findings: &mut Findings<'_>) -> Rules {
    let Some(mut table) = root.take("rules").and_then(|value| value.table(findings, "begin it with a line `[rules]`"))
    else {
        return Rules::None;
    };
    let dir = table.require("dir", findings, DIR_HINT);
    table.finish(findings);
    let written = dir.and_then(|dir| {
        let path =
            dir.parsed(findings, "the path of a directory", DIR_HINT, |path| (!path.is_empty()).then_some(path))?;
        Some((dir, outside.path(path)))
    });
    let Some((dir, path)) = written else { return Rules::Broken };
    match read_rule_files(&path) {
        Err(error) => {
            findings.problem(dir.at(), format!("the rules in `{}` cannot be read: {error}", path.display()), DIR_HINT);
            Rules::Broken
        }
        Ok(files) => {
            watch(&path, &files, outside);
            load(&files, outside, findings)
        }
    }
}

/// The directories too: a file that is added changes them.
fn watch(dir: &Path, files: &Files, outside: &mut Outside<'_>) {
    outside.files.note(dir);
    let mut folders = std::collections::BTreeSet::new();
    for (name, _) in files.iter() {
        let path = dir.join(name);
        folders.extend(path.parent().map(Path::to_owned));
        outside.files.note(&path);
    }
    for folder in folders.iter().filter(|folder| *folder != dir) {
        outside.files.note(folder);
    }
}

fn load(files: &Files, outside: &Outside<'_>, findings: &mut Findings<'_>) -> Rules {
    match risk::load(files, outside.now) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                findings.foreign_warning(translated(warning));
            }
            Rules::Loaded(loaded)
        }
        Err(problems) => {
            for problem in &problems {
                findings.foreign(translated(problem));
            }
            Rules::Broken
        }
    }
}

fn translated(problem: &risk::Problem) -> Problem {
    Problem {
        file: problem.file.clone(),
        place: (problem.line > 0).then_some(Place { line: problem.line, column: problem.column }),
        message: format!("{} [{}]", problem.message, problem.code.name()),
        hint: Some(problem.remedy.clone()),
    }
}

/// An endpoint's policy: the sets that it names.
pub(super) fn policy(
    written: Option<&Value<'_>>,
    rules: &Rules,
    protocol: &str,
    findings: &mut Findings<'_>,
) -> Option<Policy> {
    let Some(written) = written else { return Some(Policy::default()) };
    let hint = "rules = [\"payment-core\"]: names of rule sets in `[rules] dir`";
    let names = written.items(findings, "an array of names of rule sets", hint);
    let loaded = match rules {
        Rules::Loaded(loaded) => loaded,
        Rules::Broken => return None,
        Rules::None => {
            findings.problem(
                written.key_at(),
                format!("`{}` names rules, and `[rules]` is missing", written.name()),
                DIR_HINT,
            );
            return None;
        }
    };
    let sets: Vec<_> = names.iter().map(|name| set(name, loaded, protocol, findings)).collect();
    sets.into_iter().collect::<Option<Vec<_>>>().map(Policy::new)
}

fn set(
    name: &Value<'_>,
    loaded: &Loaded,
    protocol: &str,
    findings: &mut Findings<'_>,
) -> Option<std::sync::Arc<risk::RuleSet>> {
    let hint = "the `name` of a rule set: \"payment-core\"";
    let text = name.parsed(findings, "the name of a rule set", hint, |text| (!text.is_empty()).then_some(text))?;
    let Some(set) = loaded.set(text) else {
        let known: Vec<&str> = loaded.sets.iter().map(|set| &**set.name()).collect();
        let likeness = |known: &&&str| strsim::jaro_winkler(known, text);
        let nearest =
            known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|near| likeness(near) > ALIKE);
        let hint = nearest.map_or_else(
            || format!("the sets are {}", known.join(", ")),
            |nearest| format!("did you mean {}?", quoted(nearest)),
        );
        findings.problem(name.at(), format!("there is no rule set {}", quoted(text)), hint);
        return None;
    };
    let family = set.family();
    if !Family::named(protocol).is_some_and(|of_endpoint| family.serves(of_endpoint)) {
        let message = format!("the rule set {} is for {}, this endpoint is {protocol}", quoted(text), family.name());
        findings.problem(
            name.at(),
            message,
            "its expressions are typed for that: name a set of this protocol, or of `schema: any`",
        );
        return None;
    }
    Some(std::sync::Arc::clone(set))
}
