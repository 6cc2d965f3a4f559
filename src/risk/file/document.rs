//! One file: `apiVersion`, `kind`, and the parts that its kind takes.

use super::table::{Table, Value};
use super::yaml::{self, Node};
use super::{Document, DocumentKind, MacroDef, Mode, OnError, ScoreDef, Text, counter, list, rule};
use crate::risk::code::Code;
use crate::risk::files::{FileId, MAX_RULE_FILE, Spanned, Spot};
use crate::risk::problem::{Findings, quoted};

const API_VERSION: &str = "wxgate.rules/v1";
const KINDS: [(&str, DocumentKind); 4] = [
    ("RuleSet", DocumentKind::RuleSet),
    ("Lists", DocumentKind::Lists),
    ("Macros", DocumentKind::Macros),
    ("Overrides", DocumentKind::Overrides),
];
pub(super) const ON_ERROR: [(&str, OnError); 4] =
    [("ignore", OnError::Ignore), ("flag", OnError::Flag), ("hold", OnError::Hold), ("reject", OnError::Reject)];
/// Scores of one rule.
pub(super) const SCORES: std::ops::RangeInclusive<i64> = -100..=100;

/// Reads one file. None: what is wrong has been found and said.
pub(in crate::risk) fn read(file: FileId, findings: &mut Findings<'_>) -> Option<Document> {
    let whole = Spot::new(file, &(0..0));
    if findings.files().text_of(file).len() > MAX_RULE_FILE {
        let message = format!("larger than {MAX_RULE_FILE} bytes");
        findings.add(Code::Bound, whole, message, "move long lists to text files, and rules to another set");
        return None;
    }
    let root = yaml::read(file, findings)?;
    let mut table = Table::of(&root, "the file", findings)?;
    let version = table.require("apiVersion", findings)?;
    if version.node().as_scalar().is_none_or(|scalar| scalar.text != API_VERSION) {
        let found = version.node().as_scalar().map_or_else(|| "a collection".to_owned(), |scalar| quoted(&scalar.text));
        let message = format!("apiVersion is {found}; this version reads `{API_VERSION}`");
        findings.add(Code::Document, version.at(), message, format!("write `apiVersion: {API_VERSION}`"));
        return None;
    }
    let kind = table.require("kind", findings)?.choice(findings, &KINDS)?.value;
    let document = parts(file, kind, &mut table, findings);
    table.finish(findings);
    Some(document)
}

fn parts(file: FileId, kind: DocumentKind, table: &mut Table<'_>, findings: &mut Findings<'_>) -> Document {
    let mut document = head(file, kind, table, findings);
    match kind {
        DocumentKind::RuleSet => {
            (document.mode, document.on_error) = defaults(table, findings);
            document.include = table.texts("include", findings);
            document.lists = table.each("lists", findings, list::read);
            document.macros = table.each("macros", findings, read_macro);
            document.counters = table.each("counters", findings, counter::read);
            document.score = score(table, findings);
            document.rules = required(table, "rules", findings, rule::read);
        }
        DocumentKind::Lists => {
            document.include = table.texts("include", findings);
            document.lists = table.each("lists", findings, list::read);
        }
        DocumentKind::Macros => {
            document.include = table.texts("include", findings);
            document.macros = table.each("macros", findings, read_macro);
        }
        DocumentKind::Overrides => document.overrides = required(table, "overrides", findings, rule::read_override),
    }
    document
}

/// What `read` makes of each item of a sequence that has to be there with an item at least.
fn required<'n, T>(
    table: &mut Table<'n>,
    key: &'static str,
    findings: &mut Findings<'_>,
    mut read: impl FnMut(&'n Node, &mut Findings<'_>) -> Option<T>,
) -> Vec<T> {
    let Some(value) = table.require(key, findings) else { return Vec::new() };
    let errors = findings.errors();
    let items = value.items(findings);
    if items.is_empty() && findings.errors() == errors {
        findings.add(Code::MissingKey, value.at(), format!("`{key}` is empty"), "add one, or remove the file");
    }
    items.into_iter().filter_map(|item| read(item.node(), findings)).collect()
}

fn head(file: FileId, kind: DocumentKind, table: &mut Table<'_>, findings: &mut Findings<'_>) -> Document {
    let name = table.require("name", findings).and_then(|name| {
        let remedy = "small letters, digits and `-`, beginning with a letter, 2 to 63 of them";
        name.parsed(findings, "a name", remedy, |text| is_name(text, '-').then(|| text.to_owned()))
    });
    let version = table.require("version", findings).and_then(|version| version.int(findings, 1..=1_000_000));
    drop(table.text("owner", findings));
    drop(table.text("description", findings));
    let (schema, timezone) = match kind {
        DocumentKind::RuleSet => {
            let schema = table.require_text("schema", findings);
            (schema, table.text("timezone", findings))
        }
        DocumentKind::Lists | DocumentKind::Macros | DocumentKind::Overrides => (None, None),
    };
    Document {
        file,
        kind,
        name: name.unwrap_or_else(|| Text::new("?".to_owned(), table.at())),
        version: version.map_or(1, |version| version.value),
        schema,
        timezone,
        mode: None,
        on_error: None,
        include: Vec::new(),
        lists: Vec::new(),
        macros: Vec::new(),
        counters: Vec::new(),
        score: ScoreDef::default(),
        rules: Vec::new(),
        overrides: Vec::new(),
    }
}

/// Small letters, digits and `joint`, beginning with a letter.
pub(super) fn is_name(text: &str, joint: char) -> bool {
    let rest = text.strip_prefix(|c: char| c.is_ascii_lowercase());
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == joint;
    text.len() <= 63 && rest.is_some_and(|rest| rest.chars().all(fits))
}

/// A name that expressions can use.
pub(super) fn ident(value: Value<'_>, findings: &mut Findings<'_>) -> Option<Text> {
    let remedy = "small letters, digits and `_`, beginning with a letter, at most 63 of them";
    value.parsed(findings, "a name", remedy, |text| is_name(text, '_').then(|| text.to_owned()))
}

pub(super) fn on_error(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<OnError> {
    table.take("on_error")?.choice(findings, &ON_ERROR).map(|chosen| chosen.value)
}

fn defaults(table: &mut Table<'_>, findings: &mut Findings<'_>) -> (Option<Mode>, Option<OnError>) {
    let Some(mut table) = table.take("defaults").and_then(|value| value.table("defaults", findings)) else {
        return (None, None);
    };
    let mode = table.take("mode").and_then(|value| rule::mode(value, findings)).map(|mode| mode.value);
    let on_error = on_error(&mut table, findings);
    table.finish(findings);
    (mode, on_error)
}

fn read_macro(node: &Node, findings: &mut Findings<'_>) -> Option<MacroDef> {
    let mut table = Table::of(node, "a macro", findings)?;
    let name = table.require("name", findings).and_then(|name| ident(name, findings));
    if let Some(name) = &name {
        table.call(format!("macro {}", name.value));
    }
    let expr = table.require_text("expr", findings);
    drop(table.text("description", findings));
    table.finish(findings);
    Some(MacroDef { name: name?, expr: expr? })
}

fn score(table: &mut Table<'_>, findings: &mut Findings<'_>) -> ScoreDef {
    let mut score = ScoreDef::default();
    let Some(mut table) = table.take("score").and_then(|value| value.table("score", findings)) else {
        return score;
    };
    if let Some(mut table) = table.take("thresholds").and_then(|value| value.table("thresholds", findings)) {
        let mut threshold = |key| table.take(key).and_then(|value| value.int(findings, 1..=100_000));
        (score.flag, score.hold, score.reject) = (threshold("flag"), threshold("hold"), threshold("reject"));
        table.finish(findings);
    }
    if let Some(caps) = table.take("cap_per_category").and_then(|value| value.table("cap_per_category", findings)) {
        for cap in caps.into_entries() {
            if let Some(most) = cap.int(findings, 0..=100_000) {
                score.caps.push((Spanned::new(cap.name().to_owned(), cap.key_at()), most.value));
            }
        }
    }
    table.finish(findings);
    score
}
