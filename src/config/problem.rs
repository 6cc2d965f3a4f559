//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::Serialize;

/// One thing that is wrong, or in a warning looks it. Never holds a secret, nor what might be one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The configuration file, as it was named to us.
    pub file: String,
    /// Where in the file; none if the file could not be read at all.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What is there, and what was expected.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

impl Problem {
    /// Those of the configuration itself are told first.
    fn is_of_rules(&self) -> bool {
        crate::risk::files::is_rule_file(&self.file)
    }

    /// The same, marked as one that keeps nothing from starting.
    #[must_use]
    pub fn into_warning(self) -> Self {
        Self { message: format!("warning: {}", self.message), ..self }
    }
}

/// A place in a text, counted from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Everything that is wrong with a configuration, in the order of the file. At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// That the file cannot be read.
    pub(super) fn unreadable(file: &Path, message: String, hint: String) -> Self {
        Self(vec![Problem { file: file.display().to_string(), place: None, message, hint: Some(hint) }])
    }

    /// None if there is nothing to complain of.
    pub(super) fn from_found(mut found: Vec<Problem>) -> Option<Self> {
        found.sort_by(|a, b| (a.is_of_rules(), &a.file, a.place).cmp(&(b.is_of_rules(), &b.file, b.place)));
        (!found.is_empty()).then_some(Self(found))
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Whether the file could not be read at all: wrong usage rather than a wrong configuration.
    pub fn is_unreadable(&self) -> bool {
        self.0.iter().any(|problem| problem.place.is_none())
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n    hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self {
            writeln!(f, "{problem}")?;
        }
        match self.0.len() {
            1 => f.write_str("1 problem"),
            several => write!(f, "{several} problems"),
        }
    }
}

impl std::error::Error for Problems {}

/// Collects what is found while a text is read.
pub(super) struct Findings<'t> {
    file: String,
    text: &'t str,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'t> Findings<'t> {
    pub(super) fn new(file: &Path, text: &'t str) -> Self {
        Self { file: file.display().to_string(), text, problems: Vec::new(), warnings: Vec::new() }
    }

    /// Something that keeps the gateway from starting.
    pub(super) fn problem(&mut self, at: &Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        let found = self.found(at, message.into(), Some(hint.into()));
        self.problems.push(found);
    }

    /// Something that is wrong in another file, found by whoever reads that.
    pub(super) fn foreign(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The same, of something that is worth a look.
    pub(super) fn foreign_warning(&mut self, warning: Problem) {
        self.warnings.push(warning);
    }

    /// That the text is no TOML.
    pub(super) fn syntax(&mut self, at: &Range<usize>, message: impl Into<String>) {
        let found = self.found(at, message.into(), None);
        self.problems.push(found);
    }

    /// Something that works and is yet worth a look.
    pub(super) fn warning(&mut self, at: &Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        let found = self.found(at, message.into(), Some(hint.into()));
        self.warnings.push(found);
    }

    /// The problems, if any, and the warnings.
    pub(super) fn into_parts(mut self) -> (Option<Problems>, Vec<Problem>) {
        self.warnings.sort_by(|a, b| (a.is_of_rules(), &a.file, a.place).cmp(&(b.is_of_rules(), &b.file, b.place)));
        (Problems::from_found(self.problems), self.warnings)
    }

    fn found(&self, at: &Range<usize>, message: String, hint: Option<String>) -> Problem {
        Problem { file: self.file.clone(), place: Some(place(self.text, at.start)), message, hint }
    }
}

fn place(text: &str, offset: usize) -> Place {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let lines = before.split(|byte| *byte == b'\n');
    let in_line = lines.clone().next_back().unwrap_or_default();
    // UTF-8: every byte but a continuation byte begins a character.
    let characters = in_line.iter().filter(|byte| *byte & 0xc0 != 0x80).count();
    Place { line: lines.count(), column: characters.saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let text = "a\n订单 = 1\n";
        assert_eq!(place(text, 0), Place { line: 1, column: 1 });
        assert_eq!(place(text, 2), Place { line: 2, column: 1 });
        assert_eq!(place(text, text.find('=').unwrap()), Place { line: 2, column: 4 });
        assert_eq!(place(text, text.len()), Place { line: 3, column: 1 });
        assert_eq!(place(text, 999), Place { line: 3, column: 1 });
    }

    #[test]
    fn a_problem_has_a_form_for_editors_and_one_for_machines() {
        let mut findings = Findings::new(Path::new("wxgate.toml"), "x = 1\ny = 2\n");
        findings.problem(&(6..7), "unknown key `y`", "remove it");
        findings.problem(&(0..1), "unknown key `x`", "remove it");
        let (problems, _) = findings.into_parts();
        let problems = problems.unwrap();
        assert_eq!(
            problems.to_string(),
            "wxgate.toml:1:1: unknown key `x`\n    hint: remove it\n\
             wxgate.toml:2:1: unknown key `y`\n    hint: remove it\n2 problems"
        );
        let json = serde_json::to_value(problems.iter().next().unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"file": "wxgate.toml", "line": 1, "column": 1,
                "message": "unknown key `x`", "hint": "remove it"})
        );
    }
}
