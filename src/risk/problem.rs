//! What is wrong with rule files, where, and what to do about it: as a person reads it, with the line and a caret.

use std::fmt;

use serde::{Serialize, Serializer};

use super::code::Code;
use super::files::{Files, Spot};

/// Widest piece of a line that is shown, in characters.
const MAX_SHOWN: usize = 110;
/// Longest piece of a file that a message repeats, in characters.
const MAX_QUOTED: usize = 80;
/// Most problems that are told at once: what comes after is most likely a consequence.
const MAX_TOLD: usize = 100;
/// How alike two names have to be for the one to be taken for a slip of the other; 1 is the same.
const ALIKE: f64 = 0.6;

/// One thing that is wrong, or in a warning looks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of thing; stable. `wxgate rules explain CODE` says more.
    #[serde(serialize_with = "name")]
    pub code: Code,
    /// Whether it keeps the rules from loading.
    pub severity: Severity,
    /// The file, as it was named to us.
    pub file: String,
    /// The line, counted from 1; 0 if the problem is the file as a whole.
    pub line: usize,
    /// The column, counted from 1 in characters.
    pub column: usize,
    /// What is there, and what was expected.
    pub message: String,
    /// The way out.
    pub remedy: String,
    /// The line itself with a caret below it.
    #[serde(skip)]
    excerpt: Option<Excerpt>,
}

/// Whether a problem keeps the rules from loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The rules do not load; what runs goes on.
    Error,
    /// They do, and it is worth a look.
    Warning,
}

/// A line of a file with the piece that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    line: String,
    /// Blanks as wide as what stands before the piece.
    indent: String,
    carets: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn name<S: Serializer>(code: &Code, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(code.name())
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        let warning = if self.severity == Severity::Warning { "warning: " } else { "" };
        write!(f, " {warning}{} [{}]", self.message, self.code.name())?;
        if let Some(Excerpt { line, indent, carets }) = &self.excerpt {
            let number = self.line.to_string();
            let gutter = " ".repeat(number.len());
            write!(f, "\n    {number} | {line}\n    {gutter} | {indent}{}", "^".repeat(*carets))?;
        }
        write!(f, "\n    hint: {}", self.remedy)
    }
}

/// Collects what is found while rule files are read.
pub(super) struct Findings<'f> {
    files: &'f Files,
    found: Vec<(Spot, Problem)>,
    errors: usize,
    warnings: usize,
}

impl<'f> Findings<'f> {
    pub(super) fn new(files: &'f Files) -> Self {
        Self { files, found: Vec::new(), errors: 0, warnings: 0 }
    }

    pub(super) fn files(&self) -> &'f Files {
        self.files
    }

    /// Something that the code's own severity judges.
    pub(super) fn add(&mut self, code: Code, at: Spot, message: impl Into<String>, remedy: impl Into<String>) {
        let count = match code.severity() {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count = count.saturating_add(1);
        if *count > MAX_TOLD {
            return;
        }
        let problem = problem(self.files, code, at, message.into(), remedy.into());
        if !self.found.iter().any(|(_, known)| *known == problem) {
            self.found.push((at, problem));
        }
    }

    /// How many errors there were so far.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// Errors and warnings, each in the order of the files.
    pub(super) fn into_parts(mut self) -> (Vec<Problem>, Vec<Problem>) {
        self.found.sort_by_key(|(at, _)| *at);
        self.found.into_iter().map(|(_, problem)| problem).partition(|p| p.severity == Severity::Error)
    }
}

fn problem(files: &Files, code: Code, at: Spot, message: String, remedy: String) -> Problem {
    let text = files.text_of(at.file);
    let range = at.range();
    let before = text.get(..range.start).unwrap_or(text);
    let begin = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
    let line = text.get(begin..).unwrap_or_default().lines().next().unwrap_or_default();
    let lead = before.get(begin..).unwrap_or_default();
    let piece = text.get(range.clone()).unwrap_or_default().lines().next().unwrap_or_default();
    Problem {
        code,
        severity: code.severity(),
        file: files.shown(files.path(at.file)),
        line: before.matches('\n').count().saturating_add(1),
        column: lead.chars().count().saturating_add(1),
        message,
        remedy,
        excerpt: (!line.trim().is_empty())
            .then(|| excerpt(line, lead.chars().count(), piece.trim_end().chars().count())),
    }
}

/// The part of `line` around the `len` characters from `at` on that fits a terminal.
fn excerpt(line: &str, at: usize, len: usize) -> Excerpt {
    let all = line.chars().count();
    let start = if all <= MAX_SHOWN { 0 } else { at.saturating_sub(MAX_SHOWN / 3) };
    let mut shown: Vec<char> = line.chars().skip(start).take(MAX_SHOWN).map(printable).collect();
    if let (Some(first), true) = (shown.first_mut(), start > 0) {
        *first = '…';
    }
    if let (Some(last), true) = (shown.last_mut(), start.saturating_add(MAX_SHOWN) < all) {
        *last = '…';
    }
    let lead = at.saturating_sub(start);
    let width = |chars: &[char]| chars.iter().map(|c| columns(*c)).sum::<usize>();
    let indent = " ".repeat(width(shown.get(..lead).unwrap_or(&shown)));
    let piece = shown.get(lead..).unwrap_or_default();
    let carets = width(piece.get(..len).unwrap_or(piece)).max(1);
    Excerpt { line: shown.into_iter().collect(), indent, carets }
}

/// Nothing that moves the cursor or turns the direction of writing.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// Columns of a terminal that a character takes: Chinese takes two.
fn columns(c: char) -> usize {
    let wide = matches!(u32::from(c),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60
        | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd);
    if wide { 2 } else { 1 }
}

/// `text` in back quotes, on one line and not too long.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_QUOTED).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        shown.push('…');
    }
    format!("`{}`", shown.replace("\\'", "'").replace("\\\"", "\""))
}

/// The known name that `name` is most likely a slip of.
pub(super) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let name: String = name.chars().take(MAX_QUOTED).collect();
    let alike = known.into_iter().map(|known| (strsim::normalized_damerau_levenshtein(&name, known), known));
    alike.filter(|(score, _)| *score >= ALIKE).max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, name)| name)
}

/// "did you mean …", or else `otherwise`.
pub fn did_you_mean<'k>(name: &str, known: impl IntoIterator<Item = &'k str>, otherwise: &str) -> String {
    match nearest(name, known) {
        Some(known) => format!("did you mean `{known}`?"),
        None => otherwise.to_owned(),
    }
}
