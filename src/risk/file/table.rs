//! A mapping that is emptied key by key. What nobody has asked for when it is finished is unknown: so a key cannot be known
//! and yet be ignored.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::yaml::{Key, Kind, Node};
use crate::risk::code::Code;
use crate::risk::files::{Spanned, Spot};
use crate::risk::problem::{Findings, did_you_mean, quoted};

/// Longest text that is no expression, in characters.
const MAX_TEXT: usize = 4000;
/// Units of durations in milliseconds, the largest first.
const SPANS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SCHEMA_HINT: &str = "`wxgate rules schema` prints what each part takes";

/// One mapping of the document.
pub(in crate::risk) struct Table<'n> {
    /// What it is, for messages: `rule WXP-1001`.
    what: String,
    at: Spot,
    left: Vec<&'n (Key, Node)>,
    asked: Vec<&'static str>,
}

/// One value with the key that leads to it.
#[derive(Clone, Copy)]
pub(in crate::risk) struct Value<'n> {
    name: &'n str,
    key_at: Spot,
    node: &'n Node,
}

impl<'n> Table<'n> {
    /// The mapping that `node` is, if it is one.
    pub(in crate::risk) fn of(node: &'n Node, what: &str, findings: &mut Findings<'_>) -> Option<Self> {
        let Kind::Mapping(entries) = &node.kind else {
            let message = format!("{what} is {}, expected a mapping", kind(node));
            findings.add(Code::WrongKind, node.at, message, "write `key: value`, one a line");
            return None;
        };
        // The first key is where a person looks for the mapping.
        let at = entries.first().map_or(node.at, |(key, _)| key.at);
        Some(Self { what: what.to_owned(), at, left: entries.iter().collect(), asked: Vec::new() })
    }

    /// Where the mapping begins.
    pub(in crate::risk) fn at(&self) -> Spot {
        self.at
    }

    /// Names the mapping for messages once its own name is known.
    pub(in crate::risk) fn call(&mut self, what: String) {
        self.what = what;
    }

    /// What messages call it.
    pub(in crate::risk) fn what(&self) -> &str {
        &self.what
    }

    /// Whether a key is there that was not taken yet.
    pub(in crate::risk) fn has(&self, key: &str) -> bool {
        self.left.iter().any(|(known, _)| known.name == key)
    }

    /// The value of a key, if it is there.
    pub(in crate::risk) fn take(&mut self, key: &'static str) -> Option<Value<'n>> {
        self.asked.push(key);
        let at = self.left.iter().position(|(known, _)| known.name == key)?;
        Some(Value::new(self.left.remove(at)))
    }

    /// The value of a key that has to be there.
    pub(in crate::risk) fn require(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Value<'n>> {
        let value = self.take(key);
        if value.is_none() {
            let message = format!("{} has no `{key}`", self.what);
            findings.add(Code::MissingKey, self.at, message, format!("add `{key}: …`; {SCHEMA_HINT}"));
        }
        value
    }

    /// A short text, if the key is there.
    pub(in crate::risk) fn text(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Spanned<String>> {
        self.take(key)?.text(findings)
    }

    /// A short text that has to be there.
    pub(in crate::risk) fn require_text(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Spanned<String>> {
        self.require(key, findings)?.text(findings)
    }

    /// A sequence of short texts; empty if the key is not there.
    pub(in crate::risk) fn texts(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Vec<Spanned<String>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        value.items(findings).into_iter().filter_map(|item| item.text(findings)).collect()
    }

    /// What `read` makes of each item of a sequence; empty if the key is not there.
    pub(in crate::risk) fn each<T>(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
        mut read: impl FnMut(&'n Node, &mut Findings<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.take(key) else { return Vec::new() };
        value.items(findings).into_iter().filter_map(|item| read(item.node, findings)).collect()
    }

    /// What is left, under names that the author chose.
    pub(in crate::risk) fn into_entries(self) -> Vec<Value<'n>> {
        self.left.into_iter().map(Value::new).collect()
    }

    /// What is left is unknown.
    pub(in crate::risk) fn finish(self, findings: &mut Findings<'_>) {
        for (key, _) in self.left {
            let name = quoted(&key.name);
            if key.bare {
                let message = format!(
                    "{name} is a key without a value in {}: a comma in braces ended the value before it",
                    self.what
                );
                findings.add(Code::FlowComma, key.at, message, "quote the value that has a comma in it: '…, …'");
                continue;
            }
            let known = self.asked.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            let remedy = did_you_mean(&key.name, self.asked.iter().copied(), &format!("it takes {known}"));
            findings.add(Code::UnknownKey, key.at, format!("{} has no key {name}", self.what), remedy);
        }
    }
}

impl<'n> Value<'n> {
    fn new((key, node): &'n (Key, Node)) -> Self {
        Self { name: &key.name, key_at: key.at, node }
    }

    /// Where the value stands; its key if the value is empty.
    pub(in crate::risk) fn at(&self) -> Spot {
        if self.node.at.range().is_empty() { self.key_at } else { self.node.at }
    }

    /// The key.
    pub(in crate::risk) fn name(&self) -> &'n str {
        self.name
    }

    /// Where its key stands.
    pub(in crate::risk) fn key_at(&self) -> Spot {
        self.key_at
    }

    /// The value as it was read.
    pub(in crate::risk) fn node(&self) -> &'n Node {
        self.node
    }

    /// Says what was expected instead of what is there.
    pub(in crate::risk) fn expected(&self, findings: &mut Findings<'_>, what: &str, remedy: impl Into<String>) {
        let (code, found) = match self.node.as_scalar() {
            Some(scalar) if !scalar.is_null() => (Code::WrongValue, quoted(&scalar.text)),
            _ => (Code::WrongKind, kind(self.node).to_owned()),
        };
        findings.add(code, self.at(), format!("`{}` is {found}, expected {what}", self.name), remedy);
    }

    /// Says that something of another kind is there: a text for a sequence, a number for a text.
    fn other_kind(&self, findings: &mut Findings<'_>, what: &str, remedy: impl Into<String>) {
        let found = kind(self.node);
        let found = self.node.as_scalar().filter(|it| !it.is_null()).map_or(found.to_owned(), |it| quoted(&it.text));
        let message = format!("`{}` is {found}, expected {what}", self.name);
        findings.add(Code::WrongKind, self.at(), message, remedy);
    }

    /// A text; a number or a truth is one only in quotes, so that `0123` cannot lose its zero.
    pub(in crate::risk) fn text(&self, findings: &mut Findings<'_>) -> Option<Spanned<String>> {
        let Some(scalar) = self.node.as_scalar().filter(|scalar| !scalar.is_null()) else {
            self.other_kind(findings, "a text", "write a text, in quotes if it has `: `, `#` or a brace in it");
            return None;
        };
        if scalar.as_bool().is_some() || scalar.is_number() {
            self.other_kind(findings, "a text", format!("put it in quotes: \"{}\"", scalar.text));
            return None;
        }
        if scalar.text.chars().count() > MAX_TEXT {
            let message = format!("`{}` is longer than {MAX_TEXT} characters", self.name);
            findings.add(Code::Bound, self.at(), message, "make it shorter");
            return None;
        }
        Some(Spanned::new(scalar.text.clone(), self.node.at))
    }

    /// A text that `parse` takes.
    pub(in crate::risk) fn parsed<T>(
        &self,
        findings: &mut Findings<'_>,
        what: &str,
        remedy: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Spanned<T>> {
        let parsed = self.node.as_scalar().and_then(|scalar| parse(&scalar.text));
        if parsed.is_none() {
            self.expected(findings, what, remedy);
        }
        parsed.map(|value| Spanned::new(value, self.node.at))
    }

    /// `true` or `false`.
    pub(in crate::risk) fn truth(&self, findings: &mut Findings<'_>) -> Option<bool> {
        let truth = self.node.as_scalar().and_then(super::yaml::Scalar::as_bool);
        if truth.is_none() {
            self.other_kind(findings, "true or false", "YAML 1.2 knows no other truths: `yes` and `on` are texts");
        }
        truth
    }

    /// A whole number within bounds.
    pub(in crate::risk) fn int(
        &self,
        findings: &mut Findings<'_>,
        bounds: RangeInclusive<i64>,
    ) -> Option<Spanned<i64>> {
        let number = self.node.as_scalar().and_then(super::yaml::Scalar::as_int).filter(|n| bounds.contains(n));
        if number.is_none() {
            let what = format!("a whole number from {} to {}", bounds.start(), bounds.end());
            self.expected(findings, &what, "write it in digits, without quotes");
        }
        number.map(|number| Spanned::new(number, self.node.at))
    }

    /// A duration within bounds.
    pub(in crate::risk) fn duration(
        &self,
        findings: &mut Findings<'_>,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Spanned<Duration>> {
        let what = format!("a duration from {} to {}", show_duration(*bounds.start()), show_duration(*bounds.end()));
        let remedy = "a duration is a whole number with a unit, `ms`, `s`, `m`, `h` or `d`: 10m";
        self.parsed(findings, &what, remedy, |text| duration(text).filter(|span| bounds.contains(span)))
    }

    /// One of several words.
    pub(in crate::risk) fn choice<T: Copy>(
        &self,
        findings: &mut Findings<'_>,
        choices: &[(&str, T)],
    ) -> Option<Spanned<T>> {
        let text = self.node.as_scalar().map_or("", |scalar| scalar.text.as_str());
        let chosen = choices.iter().find(|(word, _)| *word == text);
        if chosen.is_none() {
            let words = choices.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>();
            let words = words.join(" or ");
            let remedy = did_you_mean(text, choices.iter().map(|(word, _)| *word), SCHEMA_HINT);
            self.expected(findings, &words, remedy);
        }
        chosen.map(|(_, value)| Spanned::new(*value, self.node.at))
    }

    /// The items of a sequence.
    pub(in crate::risk) fn items(&self, findings: &mut Findings<'_>) -> Vec<Self> {
        if let Kind::Sequence(items) = &self.node.kind {
            return items.iter().map(|node| Self { name: self.name, key_at: node.at, node }).collect();
        }
        self.other_kind(findings, "a sequence", "write one item a line, each behind `- `, or `[one, two]`");
        Vec::new()
    }

    /// The items of a sequence, or the one value that stands for a sequence of it.
    pub(in crate::risk) fn one_or_more(&self) -> Vec<Self> {
        match &self.node.kind {
            Kind::Sequence(items) => items.iter().map(|node| Self { name: self.name, key_at: node.at, node }).collect(),
            Kind::Scalar(_) | Kind::Mapping(_) => vec![*self],
        }
    }

    /// A mapping.
    pub(in crate::risk) fn table(&self, what: &str, findings: &mut Findings<'_>) -> Option<Table<'n>> {
        Table::of(self.node, what, findings)
    }
}

fn kind(node: &Node) -> &'static str {
    match &node.kind {
        Kind::Scalar(scalar) if scalar.is_null() => "empty",
        Kind::Scalar(scalar) if scalar.as_bool().is_some() => "a truth",
        Kind::Scalar(scalar) if scalar.is_number() => "a number",
        Kind::Scalar(_) => "a text",
        Kind::Sequence(_) => "a sequence",
        Kind::Mapping(_) => "a mapping",
    }
}

/// `10m`: a whole number and a unit.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = SPANS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor).map(Duration::from_millis)
}

/// The inverse of [`duration`].
pub(in crate::risk) fn show_duration(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let whole = SPANS.iter().find(|(_, factor)| millis > 0 && millis.checked_rem(*factor) == Some(0));
    whole
        .map_or_else(|| "0s".to_owned(), |(name, factor)| format!("{}{name}", millis.checked_div(*factor).unwrap_or(0)))
}
