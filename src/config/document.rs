//! The TOML document as tables that are emptied key by key. What nobody has asked for when a table is finished is unknown:
//! so a key cannot be known and yet be ignored.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Findings;
use super::scalar;
use crate::limit::Rate;

/// Longest piece of the file that a message repeats, in characters.
const MAX_QUOTED: usize = 80;
/// How alike two names have to be for the one to be taken for a slip of the other; 1 is the same.
const ALIKE: f64 = 0.6;

pub(super) const DURATION_HINT: &str = "a duration is a whole number with a unit, `ms`, `s`, `m`, `h` or `d`: \"5s\"";
pub(super) const SIZE_HINT: &str = "a size is a whole number with a unit, `B`, `KiB`, `MiB` or `GiB`: \"1MiB\"";
const RATE_HINT: &str = "a rate is a whole number from 1 on, per `s`, `m` or `h`: \"100/s\"";

/// One table of the document.
pub(super) struct Table<'d> {
    /// Dotted, for messages; empty for the document itself.
    name: String,
    at: Range<usize>,
    left: BTreeMap<&'d str, Value<'d>>,
    asked: Vec<&'static str>,
}

/// One value of the document, with the key that leads to it.
#[derive(Clone)]
pub(super) struct Value<'d> {
    /// Dotted, for messages.
    name: String,
    key_at: Range<usize>,
    at: Range<usize>,
    written: &'d DeValue<'d>,
}

impl<'d> Table<'d> {
    /// The document itself.
    pub(super) fn root(table: &'d DeTable<'d>) -> Self {
        Self::new(String::new(), 0..0, table)
    }

    fn new(name: String, at: Range<usize>, table: &'d DeTable<'d>) -> Self {
        let left =
            table.iter().map(|(key, value)| (&**key.get_ref(), Value::new(&name, key.span(), key.get_ref(), value)));
        let left = left.collect();
        Self { name, at, left, asked: Vec::new() }
    }

    /// Where the table begins.
    pub(super) fn at(&self) -> &Range<usize> {
        &self.at
    }

    /// Where a key stands that was not taken yet; the table's own place if it is absent.
    pub(super) fn place_of(&self, key: &str) -> Range<usize> {
        self.left.get(key).map_or(&self.at, Value::key_at).clone()
    }

    /// `server.listen`, for messages.
    pub(super) fn name_of(&self, key: &str) -> String {
        join(&self.name, key)
    }

    /// The value of a key, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'d>> {
        self.asked.push(key);
        self.left.remove(key)
    }

    /// The value of a key read by `read`, or `default` if it is not there. What cannot be read is a problem already, so
    /// that it does not matter which value goes on.
    pub(super) fn take_or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'d>) -> Option<T>,
    ) -> T {
        self.take(key).as_ref().and_then(read).unwrap_or(default)
    }

    /// The value of a key that has to be there.
    pub(super) fn require(&mut self, key: &'static str, findings: &mut Findings<'_>, hint: &str) -> Option<Value<'d>> {
        let value = self.take(key);
        if value.is_none() {
            findings.problem(&self.at, format!("`{}` is missing", self.name_of(key)), hint);
        }
        value
    }

    /// A key that another version knows: never accepted in silence.
    pub(super) fn not_yet(&mut self, key: &'static str, findings: &mut Findings<'_>, hint: &str) {
        if let Some(value) = self.left.remove(key) {
            findings.problem(&value.key_at, format!("`{}` is not supported by this version", value.name), hint);
        }
    }

    /// Every entry, under names that the user chose, in the order of the file.
    pub(super) fn into_entries(self) -> Vec<(&'d str, Value<'d>)> {
        let mut entries: Vec<_> = self.left.into_iter().collect();
        entries.sort_by_key(|(_, value)| value.key_at.start);
        entries
    }

    /// What is left is unknown.
    pub(super) fn finish(self, findings: &mut Findings<'_>) {
        let known = self.asked.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        for (key, value) in &self.left {
            let message = format!("unknown key {}, expected one of {known}", quoted(key));
            let hint = match nearest(key, &self.asked) {
                Some(name) => format!("did you mean `{name}`?"),
                None => {
                    "docs/configuration.md describes every key; a key that is not known is never ignored".to_owned()
                }
            };
            findings.problem(&value.key_at, message, hint);
        }
    }
}

impl<'d> Value<'d> {
    fn new(table: &str, key_at: Range<usize>, key: &str, value: &'d Spanned<DeValue<'d>>) -> Self {
        Self { name: join(table, key), key_at, at: value.span(), written: value.get_ref() }
    }

    /// Where the value begins.
    pub(super) fn at(&self) -> &Range<usize> {
        &self.at
    }

    /// Where its key begins.
    pub(super) fn key_at(&self) -> &Range<usize> {
        &self.key_at
    }

    /// `server.listen`, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a table.
    pub(super) fn is_table(&self) -> bool {
        self.written.is_table()
    }

    /// Says what was expected instead of what is there.
    pub(super) fn expected(&self, findings: &mut Findings<'_>, what: &str, hint: impl Into<String>) {
        let found = match self.written {
            DeValue::String(text) => quoted(text),
            DeValue::Integer(number) => quoted(&number.to_string()),
            DeValue::Boolean(truth) => format!("`{truth}`"),
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => self.kind().to_owned(),
        };
        findings.problem(&self.at, format!("`{}` is {found}, expected {what}", self.name), hint);
    }

    /// The same for what may be a secret: its type is all that is said of it.
    pub(super) fn expected_secretly(&self, findings: &mut Findings<'_>, what: &str, hint: &str) {
        findings.problem(&self.at, format!("`{}` is {}, expected {what}", self.name, self.kind()), hint);
    }

    fn kind(&self) -> &'static str {
        match self.written {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        }
    }

    /// A string without further ado.
    pub(super) fn as_str(&self) -> Option<&'d str> {
        self.written.as_str()
    }

    /// A string that `parse` takes.
    pub(super) fn parsed<T>(
        &self,
        findings: &mut Findings<'_>,
        what: &str,
        hint: &str,
        parse: impl FnOnce(&'d str) -> Option<T>,
    ) -> Option<T> {
        let parsed = self.as_str().and_then(parse);
        if parsed.is_none() {
            self.expected(findings, what, hint);
        }
        parsed
    }

    /// A duration within bounds.
    pub(super) fn duration(
        &self,
        findings: &mut Findings<'_>,
        bounds: RangeInclusive<Duration>,
        hint: &str,
    ) -> Option<Duration> {
        let (from, to) = (scalar::show_duration(*bounds.start()), scalar::show_duration(*bounds.end()));
        let within = |text| scalar::duration(text).filter(|span| bounds.contains(span));
        self.parsed(findings, &format!("a duration from {from} to {to}"), hint, within)
    }

    /// A size within bounds, in bytes.
    pub(super) fn size(&self, findings: &mut Findings<'_>, bounds: RangeInclusive<u64>, hint: &str) -> Option<u64> {
        let (from, to) = (scalar::show_size(*bounds.start()), scalar::show_size(*bounds.end()));
        let within = |text| scalar::size(text).filter(|bytes| bounds.contains(bytes));
        self.parsed(findings, &format!("a size from {from} to {to}"), hint, within)
    }

    /// A rate.
    pub(super) fn rate(&self, findings: &mut Findings<'_>) -> Option<Rate> {
        self.parsed(findings, "a rate", RATE_HINT, scalar::rate)
    }

    /// A whole number within bounds.
    pub(super) fn count(
        &self,
        findings: &mut Findings<'_>,
        bounds: RangeInclusive<usize>,
        hint: &str,
    ) -> Option<usize> {
        let number = self.written.as_integer().and_then(|i| usize::from_str_radix(i.as_str(), i.radix()).ok());
        let within = number.filter(|number| bounds.contains(number));
        if within.is_none() {
            let what = format!("a whole number from {} to {}", bounds.start(), bounds.end());
            self.expected(findings, &what, hint);
        }
        within
    }

    /// True or false.
    pub(super) fn flag(&self, findings: &mut Findings<'_>, hint: &str) -> Option<bool> {
        let flag = self.written.as_bool();
        if flag.is_none() {
            self.expected(findings, "true or false", hint);
        }
        flag
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&self, findings: &mut Findings<'_>, choices: &[(&'static str, T)]) -> Option<T> {
        let words: Vec<&'static str> = choices.iter().map(|(word, _)| *word).collect();
        let chosen = self.as_str().and_then(|text| choices.iter().find(|(word, _)| *word == text));
        if chosen.is_none() {
            let what = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
            let hint = match self.as_str().and_then(|text| nearest(text, &words)) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => format!("docs/configuration.md says what `{}` does", self.name),
            };
            self.expected(findings, &what, hint);
        }
        chosen.map(|(_, value)| *value)
    }

    /// The items of an array.
    pub(super) fn items(&self, findings: &mut Findings<'_>, what: &str, hint: &str) -> Vec<Self> {
        match self.written {
            DeValue::Array(array) => array.iter().map(|item| self.item(item)).collect(),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Table(_) => {
                self.expected(findings, what, hint);
                Vec::new()
            }
        }
    }

    /// The items of an array, or the one value that stands for an array of it.
    pub(super) fn one_or_more(&self) -> Vec<Self> {
        match self.written.as_array() {
            Some(array) => array.iter().map(|item| self.item(item)).collect(),
            None => vec![self.clone()],
        }
    }

    fn item(&self, item: &'d Spanned<DeValue<'d>>) -> Self {
        Self { name: self.name.clone(), key_at: item.span(), at: item.span(), written: item.get_ref() }
    }

    /// A table.
    pub(super) fn table(&self, findings: &mut Findings<'_>, hint: &str) -> Option<Table<'d>> {
        let Some(table) = self.written.as_table() else {
            self.expected(findings, "a table", hint);
            return None;
        };
        Some(Table::new(self.name.clone(), self.key_at.clone(), table))
    }
}

/// `text` in back quotes, on one line and not too long.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_QUOTED).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

fn join(table: &str, key: &str) -> String {
    let key: String = key.chars().take(MAX_QUOTED).flat_map(char::escape_debug).collect();
    if table.is_empty() { key } else { format!("{table}.{key}") }
}

fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let name: String = name.chars().take(MAX_QUOTED).collect();
    let alike = known.iter().map(|known| (strsim::normalized_damerau_levenshtein(&name, known), *known));
    alike.filter(|(score, _)| *score >= ALIKE).max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_something_else_finds_none() {
        let known = ["path", "host", "window", "protocol"];
        assert_eq!(nearest("windw", &known), Some("window"));
        assert_eq!(nearest("Window", &known), Some("window"));
        assert_eq!(nearest("protocl", &known), Some("protocol"));
        assert_eq!(nearest("colour", &known), None);
    }

    #[test]
    fn what_is_quoted_stays_on_its_line() {
        assert_eq!(quoted("a\nb"), "`a\\nb`");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), MAX_QUOTED + 3);
    }
}
