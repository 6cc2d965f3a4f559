//! Writing a document in its canonical form.

use super::attached::{Collection, Entry, Value};

/// Widest line that braces are kept on, in characters.
const WIDTH: usize = 120;

/// Keys in their order, by the list whose items they are keys of; of the file itself, none. Others follow as they stand.
const ORDERS: [(&str, &[&str]); 8] = [
    (
        "",
        &[
            "apiVersion",
            "kind",
            "name",
            "version",
            "owner",
            "description",
            "schema",
            "timezone",
            "defaults",
            "include",
            "lists",
            "macros",
            "counters",
            "score",
            "rules",
            "overrides",
        ],
    ),
    (
        "rules",
        &[
            "id",
            "title",
            "description",
            "category",
            "severity",
            "status",
            "since",
            "owner",
            "tags",
            "mode",
            "when",
            "action",
            "only",
            "answer",
            "hold_for",
            "on_expiry",
            "score",
            "on_error",
            "reason",
            "message",
            "false_positives",
            "tuning",
            "runbook",
            "references",
            "exceptions",
            "tests",
        ],
    ),
    ("lists", &["name", "type", "source", "empty"]),
    ("macros", &["name", "description", "expr"]),
    (
        "counters",
        &[
            "name",
            "description",
            "count",
            "sum",
            "distinct",
            "last",
            "first_seen",
            "ratio",
            "when",
            "key",
            "window",
            "resolution",
            "exact_up_to",
            "by",
            "on_error",
        ],
    ),
    ("exceptions", &["name", "when", "owner", "expires", "why"]),
    (
        "tests",
        &[
            "name", "at", "store", "repeat", "history", "lists", "http", "client", "route", "verify", "event", "order",
            "expect",
        ],
    ),
    ("overrides", &["id", "of_version", "set", "why"]),
];

/// Writes a document.
pub(super) fn write(root: &Collection) -> String {
    let mut writing = Writing { out: String::new() };
    writing.document(root);
    writing.out
}

struct Writing {
    out: String,
}

impl Writing {
    fn document(&mut self, root: &Collection) {
        if let Some(flow) = fits(root, 0, Some("")) {
            self.line(0, &flow);
            return;
        }
        // What the file begins with stays there, whichever key comes first.
        let first = root.entries.first();
        if let Some(first) = first {
            self.lead(first, 0);
        }
        for (number, entry) in in_order(root, Some("")).into_iter().enumerate() {
            let is_first = first.is_some_and(|first| std::ptr::eq(first, entry));
            if !is_first {
                self.gap(entry, number);
                self.lead(entry, 0);
            }
            self.entry(entry, 0, root.is_mapping, None, false);
        }
        self.tail(&root.tail, 0);
    }

    /// The entries of a collection on lines of their own. `of`: the list whose item it is, or whose items it holds.
    /// `is_begun`: the first line is begun by the dash of an item.
    fn entries(&mut self, collection: &Collection, indent: usize, of: Option<&str>, is_begun: bool) {
        for (number, entry) in in_order(collection, of).into_iter().enumerate() {
            let is_begun = is_begun && number == 0;
            if !is_begun {
                self.gap(entry, number);
                self.lead(entry, indent);
            }
            let of = of.filter(|_| !collection.is_mapping);
            self.entry(entry, indent, collection.is_mapping, of, is_begun);
        }
        self.tail(&collection.tail, indent);
    }

    /// The empty line before an entry and its comments.
    fn gap(&mut self, entry: &Entry, number: usize) {
        let is_apart = entry.lead.first().map_or(entry.is_apart, |(is_apart, _)| *is_apart);
        if number > 0 && is_apart {
            self.out.push('\n');
        }
    }

    /// The comments before an entry; those of the first line of an item stand before its dash.
    fn lead(&mut self, entry: &Entry, indent: usize) {
        self.comments(&entry.lead, indent);
        if !entry.lead.is_empty() && entry.is_apart {
            self.out.push('\n');
        }
    }

    fn tail(&mut self, tail: &[(bool, String)], indent: usize) {
        for (is_apart, text) in tail {
            if *is_apart && !self.out.is_empty() {
                self.out.push('\n');
            }
            self.line(indent, text);
        }
    }

    fn comments(&mut self, lead: &[(bool, String)], indent: usize) {
        for (number, (is_apart, text)) in lead.iter().enumerate() {
            if number > 0 && *is_apart {
                self.out.push('\n');
            }
            self.line(indent, text);
        }
    }

    fn entry(&mut self, entry: &Entry, indent: usize, is_mapping: bool, of: Option<&str>, is_begun: bool) {
        let key = entry.key.as_deref().filter(|_| is_mapping);
        let used = key.map_or(1, |key| key.chars().count().saturating_add(1)).saturating_add(1);
        let inner = match &entry.value {
            Value::Collection(inner) => Some(inner),
            Value::Text(_) | Value::Block(..) => None,
        };
        // A list's name says what its items are; of a mapping nobody knows the order.
        let of = key.filter(|_| inner.is_some_and(|inner| !inner.is_mapping)).or(of);
        let flow = inner.and_then(|inner| fits(inner, indent.saturating_add(used), of));
        if !is_begun {
            self.hoist(entry, indent, indent, of);
            self.indent(indent);
        }
        self.out.push_str(key.unwrap_or("-"));
        self.out.push_str(if key.is_some() { ":" } else { "" });
        let inside = indent.saturating_add(2);
        match (&entry.value, flow) {
            (Value::Text(lines), _) => self.text(lines, inside, entry),
            (Value::Block(header, lines), _) => self.block(header, lines, inside, entry),
            (Value::Collection(_), Some(flow)) => {
                self.out.push(' ');
                self.out.push_str(&flow);
                self.trail(entry);
            }
            (Value::Collection(inner), None) if key.is_some() => {
                self.trail(entry);
                self.entries(inner, inside, of, false);
            }
            (Value::Collection(inner), None) => {
                // The first entry of an item stands behind its dash.
                self.out.push(' ');
                self.entries(inner, inside, of, true);
            }
        }
    }

    /// Writes before a dash the comments of what stands behind it on its line: those of the first entry of an item, and of
    /// the first of that if it is an item itself.
    fn hoist(&mut self, entry: &Entry, to: usize, indent: usize, of: Option<&str>) {
        let Value::Collection(inner) = &entry.value else { return };
        if entry.key.is_some() || fits(inner, indent.saturating_add(2), of).is_some() {
            return;
        }
        entry.trail.iter().for_each(|comment| self.line(to, comment));
        if let Some(first) = in_order(inner, of).first() {
            self.comments(&first.lead, to);
            let of = of.filter(|_| !inner.is_mapping);
            self.hoist(first, to, indent.saturating_add(2), of);
        }
    }

    fn text(&mut self, lines: &[String], inside: usize, entry: &Entry) {
        let (first, rest) = lines.split_first().map_or(("", lines), |(first, rest)| (first.as_str(), rest));
        if !first.is_empty() || !rest.is_empty() {
            self.out.push(' ');
            self.out.push_str(first);
        }
        for line in rest {
            self.out.push('\n');
            if !line.is_empty() {
                self.indent(inside);
                self.out.push_str(line);
            }
        }
        self.trail(entry);
    }

    fn block(&mut self, header: &str, lines: &[String], inside: usize, entry: &Entry) {
        // An indent has to be told where the first line begins with a blank of its own.
        let told = lines.iter().find(|line| !line.is_empty()).is_some_and(|line| line.starts_with(' '));
        let bare: String = header.chars().filter(|c| !c.is_ascii_digit()).collect();
        let (sign, rest) = bare.split_at(bare.len().min(1));
        self.out.push(' ');
        self.out.push_str(sign);
        self.out.push_str(if told { "2" } else { "" });
        self.out.push_str(rest);
        self.trail(entry);
        for line in lines {
            if !line.is_empty() {
                self.indent(inside);
                self.out.push_str(line);
            }
            self.out.push('\n');
        }
    }

    /// The end of an entry's first line.
    fn trail(&mut self, entry: &Entry) {
        if let Some(comment) = &entry.trail {
            self.out.push_str("  ");
            self.out.push_str(comment);
        }
        self.out.push('\n');
    }

    fn line(&mut self, indent: usize, text: &str) {
        self.indent(indent);
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }
}

/// The entries of a collection in the order of their keys.
fn in_order<'c>(collection: &'c Collection, of: Option<&str>) -> Vec<&'c Entry> {
    let mut entries: Vec<&Entry> = collection.entries.iter().collect();
    let order = ORDERS.iter().find(|(list, _)| Some(*list) == of).map(|(_, order)| *order);
    if let (Some(order), true) = (order, collection.is_mapping) {
        let place = |entry: &&Entry| {
            let key = entry.key.as_deref().unwrap_or_default();
            order.iter().position(|known| *known == key).unwrap_or(order.len())
        };
        entries.sort_by_key(place);
    }
    entries
}

/// A collection in braces or brackets, if it is so, has no comments and fits behind so many characters.
fn fits(collection: &Collection, used: usize, of: Option<&str>) -> Option<String> {
    let flow = flow(collection, true, of)?;
    (collection.entries.is_empty() || used.saturating_add(flow.chars().count()) <= WIDTH).then_some(flow)
}

fn flow(collection: &Collection, is_outermost: bool, of: Option<&str>) -> Option<String> {
    if !collection.is_flow || !collection.tail.is_empty() {
        return None;
    }
    let parts = in_order(collection, of).into_iter().map(|entry| {
        if !entry.lead.is_empty() || entry.trail.is_some() {
            return None;
        }
        let value = match &entry.value {
            Value::Text(lines) => one_line(lines)?,
            Value::Block(..) => return None,
            Value::Collection(inner) => {
                let list = entry.key.as_deref().filter(|_| !inner.is_mapping);
                flow(inner, false, list.or(of.filter(|_| !collection.is_mapping)))?
            }
        };
        Some(match &entry.key {
            Some(key) if value.is_empty() => format!("{key}:"),
            Some(key) => format!("{key}: {value}"),
            None => value,
        })
    });
    let parts = parts.collect::<Option<Vec<String>>>()?.join(", ");
    Some(match (collection.is_mapping, parts.is_empty()) {
        (true, true) => "{}".to_owned(),
        (false, true) => "[]".to_owned(),
        (true, false) => format!("{{ {parts} }}"),
        (false, false) if is_outermost => format!("[ {parts} ]"),
        (false, false) => format!("[{parts}]"),
    })
}

/// A text of several lines on one: a line's end is a blank there, an empty line is not.
fn one_line(lines: &[String]) -> Option<String> {
    let is_folded = lines.len() > 1;
    let is_odd = is_folded && lines.iter().any(|line| line.is_empty() || line.ends_with('\\'));
    (!is_odd).then(|| lines.join(" "))
}
