//! The names that a rule set gives to its expressions: counters, lists and macros, over the fields of the schema.

use super::parse::{self, Node};
use super::{Code, ExprProblem, Span};
use crate::risk::schema::{Element, Family, Type};

/// What a counter's value is, by how it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterType {
    /// Events: `Int`.
    Count,
    /// A sum of values of this type: `Int`, `Fen` or `Duration`.
    Sum(Type),
    /// Different values: `Int`.
    Distinct,
    /// The newest value, of this type: `Int`, `Fen`, `Duration` or `Time`.
    Last(Type),
    /// When the key was first seen; it has `.is_first` and `.first_seen` and no value of its own.
    FirstSeen,
    /// The ratio of two counters of the scope, by index. Of less than `at_least` in the second one no comparison holds.
    Ratio {
        /// The counter above the line.
        of: usize,
        /// The counter below it.
        to: usize,
        /// How many there must be below the line for the ratio to mean anything; at least 1.
        at_least: i64,
    },
}

/// Where a list is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In memory: `Env::lists` has its members.
    InMemory,
    /// In the store: it is asked for each event, and only about fields known before the claim.
    InStore,
}

#[derive(Clone, Debug)]
pub(super) struct Counter {
    pub(super) name: String,
    pub(super) ty: CounterType,
}

#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) name: String,
    pub(super) element: Element,
    pub(super) kept: Kept,
}

#[derive(Clone, Debug)]
pub(super) struct Macro {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) body: Node,
}

/// What expressions may name. Counters, lists and macros are known by their index, in the order in which they were
/// added.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub(super) family: Family,
    pub(super) counters: Vec<Counter>,
    pub(super) lists: Vec<List>,
    pub(super) macros: Vec<Macro>,
}

/// Names with a meaning of their own, which no macro may take.
pub(super) const ROOTS: [&str; 10] =
    ["event", "order", "client", "http", "verify", "route", "local", "now", "counter", "list"];

impl Scope {
    /// A scope with the fields of `family` and nothing else.
    pub fn new(family: Family) -> Self {
        Self { family, ..Self::default() }
    }

    /// The family of events.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Adds a counter, `counter.NAME`, and gives its index. Refuses a name that is none or is taken.
    pub fn add_counter(&mut self, name: &str, ty: CounterType) -> Result<usize, ExprProblem> {
        free(name, "counter", self.counters.iter().map(|counter| counter.name.as_str()))?;
        if let CounterType::Ratio { of, to, .. } = ty {
            let whole = |at: usize| {
                let ty = self.counters.get(at).map(|counter| counter.ty);
                matches!(ty, Some(CounterType::Count | CounterType::Sum(_) | CounterType::Distinct))
            };
            if !whole(of) || !whole(to) {
                let message =
                    format!("counter `{name}` is a ratio of counters that are no counts, sums or distinct counts");
                return Err(ExprProblem::new(Code::Definition, Span::default(), message));
            }
        }
        self.counters.push(Counter { name: name.to_owned(), ty });
        Ok(self.counters.len().saturating_sub(1))
    }

    /// Adds a list, `list.NAME`, and gives its index. Refuses a name that is none or is taken.
    pub fn add_list(&mut self, name: &str, element: Element, kept: Kept) -> Result<usize, ExprProblem> {
        free(name, "list", self.lists.iter().map(|list| list.name.as_str()))?;
        self.lists.push(List { name: name.to_owned(), element, kept });
        Ok(self.lists.len().saturating_sub(1))
    }

    /// Adds a macro, an expression that others use by its name, and gives its index. Only its syntax is checked here: it
    /// may use macros added later. [`check_macro`](super::check_macro) checks the rest.
    pub fn add_macro(&mut self, name: &str, text: &str) -> Result<usize, Vec<ExprProblem>> {
        free(name, "macro", self.macros.iter().map(|known| known.name.as_str())).map_err(|problem| vec![problem])?;
        if ROOTS.contains(&name) {
            let message = format!("`{name}` has a meaning already, a macro needs another name");
            return Err(vec![ExprProblem::new(Code::Definition, Span::default(), message)]);
        }
        let body = parse::parse(text)?;
        self.macros.push(Macro { name: name.to_owned(), text: text.to_owned(), body });
        Ok(self.macros.len().saturating_sub(1))
    }

    /// The index of a counter.
    pub fn counter(&self, name: &str) -> Option<usize> {
        self.counters.iter().position(|counter| counter.name == name)
    }

    /// The index of a list.
    pub fn list(&self, name: &str) -> Option<usize> {
        self.lists.iter().position(|list| list.name == name)
    }

    /// The index of a macro.
    pub fn macro_named(&self, name: &str) -> Option<usize> {
        self.macros.iter().position(|known| known.name == name)
    }

    /// The text of a macro by its index, for what [`Seen`](super::Seen) points into.
    pub fn macro_text(&self, index: usize) -> Option<&str> {
        self.macros.get(index).map(|known| known.text.as_str())
    }
}

fn free<'a>(name: &str, what: &str, mut taken: impl Iterator<Item = &'a str>) -> Result<(), ExprProblem> {
    let problem = |message| Err(ExprProblem::new(Code::Definition, Span::default(), message));
    let head = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    let rest = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !head || !rest || name.len() > 63 {
        return problem(format!(
            "`{name}` is no name for a {what}: write a small letter, then small letters, digits or `_`, at most 63"
        ));
    }
    if taken.any(|known| known == name) {
        return problem(format!("there are two {what}s of the name `{name}`"));
    }
    Ok(())
}
