//! The document as it is written, each comment at the entry that it belongs to.

use std::ops::Range;

use super::super::yaml::{Kind, Node};
use super::comments::{self, Block, Comment, is_apart, line_begin};

/// An entry of a mapping or an item of a sequence.
#[derive(Debug)]
pub(super) struct Entry {
    /// Comments before it, each with whether an empty line is before it.
    pub(super) lead: Vec<(bool, String)>,
    /// Whether an empty line is before it, or before the first of its comments.
    pub(super) is_apart: bool,
    /// The key as it is written, with its quotes.
    pub(super) key: Option<String>,
    pub(super) value: Value,
    /// The comment that ends its first line.
    pub(super) trail: Option<String>,
}

/// A value as it is written.
#[derive(Debug)]
pub(super) enum Value {
    /// The lines of a text, with its quotes.
    Text(Vec<String>),
    /// A block text: its header, and its lines without their indent.
    Block(String, Vec<String>),
    Collection(Collection),
}

#[derive(Debug)]
pub(super) struct Collection {
    pub(super) is_mapping: bool,
    /// In braces or brackets.
    pub(super) is_flow: bool,
    pub(super) entries: Vec<Entry>,
    /// Comments behind the last entry.
    pub(super) tail: Vec<(bool, String)>,
}

/// What may stand between a key or dash and the comment on its line.
const HEAD: &str = ":-|>+0123456789";

/// Gives each comment to its entry.
pub(super) fn attach(text: &str, root: &Node) -> Collection {
    let mut attaching = Attaching { text, comments: comments::find(text, root), next: 0 };
    let mut collection = match attaching.value(root, 0) {
        Value::Collection(collection) => collection,
        value @ (Value::Text(_) | Value::Block(..)) => Collection {
            is_mapping: false,
            is_flow: false,
            entries: vec![Entry { lead: Vec::new(), is_apart: false, key: None, value, trail: None }],
            tail: Vec::new(),
        },
    };
    collection.tail.extend(attaching.until(usize::MAX));
    collection
}

struct Attaching<'t> {
    text: &'t str,
    comments: Vec<Comment>,
    /// The first comment that is not given yet.
    next: usize,
}

impl Attaching<'_> {
    /// The comments before a place.
    fn until(&mut self, place: usize) -> Vec<(bool, String)> {
        let mut taken = Vec::new();
        while let Some(comment) = self.comments.get(self.next).filter(|comment| comment.at < place) {
            taken.push((comment.is_apart && comment.is_alone, comment.text.clone()));
            self.next = self.next.saturating_add(1);
        }
        taken
    }

    /// The comment that ends the line of a place, if nothing but these characters and blanks stand between.
    fn trail(&mut self, place: usize, passed: &str) -> Option<String> {
        let comment = self.comments.get(self.next).filter(|comment| !comment.is_alone && comment.at >= place)?;
        let between = self.text.get(place..comment.at)?;
        if between.chars().any(|c| c != ' ' && c != '\t' && !passed.contains(c)) {
            return None;
        }
        self.next = self.next.saturating_add(1);
        Some(comment.text.clone())
    }

    fn value(&mut self, node: &Node, after: usize) -> Value {
        let mut range = node.at.range();
        let is_flow = self.is_flow(node);
        if is_flow {
            range.end = self.end_of(node);
        }
        match &node.kind {
            Kind::Scalar(_) => self.scalar(after, &range),
            Kind::Sequence(items) => {
                let mut collection = self.open(false, is_flow, &range);
                let column = self.dash_column(items, after);
                // The place of a sequence without an indent of its own is behind its first dash.
                let mut after = if is_flow { range.start } else { after };
                for item in items {
                    let entry = self.item(item, after, is_flow);
                    collection.entries.push(entry);
                    after = self.end_of(item);
                }
                self.close(collection, is_flow, &range, column)
            }
            Kind::Mapping(entries) => {
                let mut collection = self.open(true, is_flow, &range);
                for (number, (key, value)) in entries.iter().enumerate() {
                    let at = key.at.range();
                    let lead = self.until(at.start);
                    // The line of an item's dash is the item's matter.
                    let is_apart = (number > 0 || after == 0) && is_apart(self.text, at.start);
                    let written = self.text.get(at.clone()).unwrap_or_default().to_owned();
                    let entry = self.entry(lead, is_apart, Some(written), value, at.end);
                    collection.entries.push(entry);
                }
                let column = entries.first().map_or(0, |(key, _)| self.column(key.at.range().start));
                self.close(collection, is_flow, &range, column)
            }
        }
    }

    fn item(&mut self, item: &Node, after: usize, is_flow: bool) -> Entry {
        let start = item.at.range().start;
        let dash = self.dash(after, start).filter(|_| !is_flow);
        let first = dash.map_or(start, |dash| dash.saturating_add(1));
        let is_apart = is_apart(self.text, first);
        let block = matches!(item.kind, Kind::Scalar(_)) && Block::of(self.text, first, &item.at.range()).is_some();
        // A comment on the header's line of a block text ends its first line.
        let lead = self.until(if block { first } else { start });
        self.entry(lead, is_apart, None, item, first)
    }

    fn entry(
        &mut self,
        lead: Vec<(bool, String)>,
        is_apart: bool,
        key: Option<String>,
        value: &Node,
        after: usize,
    ) -> Entry {
        let range = value.at.range();
        let is_scalar = matches!(value.kind, Kind::Scalar(_));
        let is_block = if is_scalar { Block::of(self.text, after, &range).is_some() } else { !self.is_flow(value) };
        // What stands on lines of its own leaves the line of its key to a comment.
        let mut trail = None;
        if is_block && (key.is_some() || is_scalar) {
            trail = self.trail(after, HEAD);
        }
        let told = self.value(value, after);
        if !is_block {
            let passed = if range.is_empty() { HEAD } else { "," };
            trail = self.trail(self.end_of(value).max(after), passed);
        }
        Entry { lead, is_apart, key, value: told, trail }
    }

    fn scalar(&self, after: usize, range: &Range<usize>) -> Value {
        let Some(block) = Block::of(self.text, after, range) else {
            let raw = self.text.get(range.clone()).unwrap_or_default();
            return Value::Text(raw.split('\n').map(|line| line.trim().to_owned()).collect());
        };
        let lines = self.text.get(block.lines).unwrap_or_default().split('\n');
        let without = |line: &str| {
            let rest = line.char_indices().nth(block.indent).map_or("", |(at, _)| line.get(at..).unwrap_or_default());
            if line.trim().is_empty() { String::new() } else { rest.to_owned() }
        };
        Value::Block(block.header, lines.map(without).collect())
    }

    fn open(&self, is_mapping: bool, is_flow: bool, range: &Range<usize>) -> Collection {
        // A line comment has no place in braces: they are written as lines then.
        let has_comments = self.comments.get(self.next..).unwrap_or_default().iter();
        let has_comments = has_comments.clone().any(|comment| range.contains(&comment.at));
        Collection { is_mapping, is_flow: is_flow && !has_comments, entries: Vec::new(), tail: Vec::new() }
    }

    fn close(&mut self, mut collection: Collection, was_flow: bool, range: &Range<usize>, column: usize) -> Value {
        while let Some(comment) = self.comments.get(self.next) {
            let is_inside = if was_flow { comment.at < range.end } else { comment.is_alone && column > 0 };
            if !is_inside || comment.at >= range.end || (!was_flow && comment.column < column) {
                break;
            }
            collection.tail.push((comment.is_apart, comment.text.clone()));
            self.next = self.next.saturating_add(1);
        }
        Value::Collection(collection)
    }

    /// The end of what a value itself takes. What the reader says of collections reaches to whatever follows them.
    fn end_of(&self, node: &Node) -> usize {
        let range = node.at.range();
        let last = match &node.kind {
            Kind::Scalar(_) => return range.end,
            Kind::Sequence(items) => items.last().map(|item| self.end_of(item)),
            Kind::Mapping(entries) => entries.last().map(|(key, value)| self.end_of(value).max(key.at.range().end)),
        };
        if !self.is_flow(node) {
            return last.unwrap_or(range.start);
        }
        // Behind the last value there are commas, blanks and comments before the bracket.
        let mut at = last.unwrap_or_else(|| range.start.saturating_add(1));
        for line in self.text.get(at..).unwrap_or_default().split_inclusive('\n') {
            let code = line.split_once('#').map_or(line, |(code, _)| code);
            if let Some(close) = code.find(['}', ']']) {
                return at.saturating_add(close).saturating_add(1);
            }
            at = at.saturating_add(line.len());
        }
        range.end
    }

    /// Whether a collection is in braces or brackets. A sequence without an indent of its own begins where its first item
    /// does, which may be a bracket.
    fn is_flow(&self, node: &Node) -> bool {
        let start = node.at.range().start;
        let begins = self.text.get(start..).unwrap_or_default();
        match &node.kind {
            Kind::Scalar(_) => false,
            Kind::Sequence(items) => {
                begins.starts_with('[') && items.first().is_none_or(|item| item.at.range().start != start)
            }
            Kind::Mapping(_) => begins.starts_with('{'),
        }
    }

    /// The dash of an item: the first one before it that is in no comment.
    fn dash(&self, after: usize, start: usize) -> Option<usize> {
        let gap = self.text.get(after..start)?;
        let mut at = after;
        for line in gap.split_inclusive('\n') {
            let code = line.split_once('#').map_or(line, |(code, _)| code);
            if let Some(dash) = code.find('-') {
                return Some(at.saturating_add(dash));
            }
            at = at.saturating_add(line.len());
        }
        None
    }

    fn dash_column(&self, items: &[Node], after: usize) -> usize {
        let first = items.first().map_or(after, |item| item.at.range().start);
        self.dash(after, first).map_or(0, |dash| self.column(dash))
    }

    fn column(&self, at: usize) -> usize {
        self.text.get(line_begin(self.text, at)..at).unwrap_or_default().chars().count()
    }
}
