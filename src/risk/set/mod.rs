//! A rule set ready to judge by: what a file says, with every expression typed and every name resolved.

mod build;
mod check;
mod counter;
mod digest;
mod expression;
mod lists;
mod message;
mod overrides;
mod rule;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::ask::Measure;
use super::expr::{Env, Expr, ListUse, Members, Openings, Scope, Seen};
use super::file::{Action, Importance, Mode, OnError, OnExpiry, RejectAnswer};
use super::schema::{Family, FieldId};
use crate::clock::UnixTime;

pub(super) use build::build;
pub(super) use digest::{hex, member, of_parts, percentile};
pub(super) use lists::read as read_members;
pub(super) use message::Message;
pub(super) use overrides::check as check_overrides;

/// A rule set, checked.
#[derive(Debug)]
pub struct RuleSet {
    pub(super) name: Arc<str>,
    pub(super) version: i64,
    pub(super) family: Family,
    pub(super) zone: TimeZone,
    /// The names that its expressions may use.
    pub(super) scope: Scope,
    /// What it was made of, as 16 hexadecimal digits.
    pub(super) digest: Arc<str>,
    /// Names of lists by index.
    pub(super) lists: Vec<String>,
    /// How many entries of each were read, in the same order; none: it is kept in the store.
    pub(super) entries: Vec<Option<usize>>,
    /// Their members, in the same order.
    pub(super) members: Vec<Arc<Members>>,
    pub(super) counters: Vec<Counter>,
    pub(super) rules: Vec<Rule>,
    /// What several conditions of rules begin with.
    pub(super) openings: Openings,
    pub(super) thresholds: Thresholds,
    pub(super) caps: Vec<(Arc<str>, i64)>,
    pub(super) on_error: OnError,
    /// What rules that are not off ask for.
    pub(super) wants: Wants,
    /// What all rules ask for, for their tests.
    pub(super) wants_of_all: Wants,
}

/// What has to be asked for rules to be judged.
#[derive(Clone, Debug, Default)]
pub(super) struct Wants {
    /// Counters by index.
    pub(super) counters: Vec<usize>,
    /// Lists of the store with what is looked for.
    pub(super) lists: Vec<ListUse>,
    /// Whether anything reads the registered order.
    pub(super) order: bool,
    /// Whether anything reads the local time.
    pub(super) local: bool,
}

/// A list with its members, if they are kept in memory.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) name: String,
    /// How many entries were read, repeated ones too; none: it is kept in the store.
    pub(super) entries: Option<usize>,
    pub(super) members: Arc<Members>,
}

/// From which sum of scores on what happens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Thresholds {
    pub(super) flag: Option<i64>,
    pub(super) hold: Option<i64>,
    pub(super) reject: Option<i64>,
}

/// A counter.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) name: String,
    /// None: a ratio, which is made of two others and not stored.
    pub(super) stored: Option<Stored>,
    pub(super) on_error: Option<OnError>,
}

/// How a counter is kept.
#[derive(Debug)]
pub(super) struct Stored {
    /// A digest of the definition.
    pub(super) seed: [u8; 16],
    pub(super) measure: Measure,
    /// What an event adds; none: one.
    pub(super) add: Option<Expr>,
    pub(super) when: Option<Expr>,
    pub(super) key: Vec<Expr>,
    pub(super) window: Duration,
    pub(super) slice: Duration,
    /// Where an event lies in time; none: at its receipt.
    pub(super) by: Option<Expr>,
    /// Whether it reads what is known only after the claim: the order, or a list of the store.
    pub(super) is_late: bool,
}

/// A rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: Arc<str>,
    pub(super) title: String,
    pub(super) category: Option<Arc<str>>,
    pub(super) importance: Importance,
    pub(super) mode: Mode,
    pub(super) when: Expr,
    pub(super) action: Option<Action>,
    pub(super) only: Vec<Arc<str>>,
    pub(super) answer: RejectAnswer,
    pub(super) hold_for: Option<Duration>,
    pub(super) on_expiry: Option<OnExpiry>,
    pub(super) score: i64,
    pub(super) reason: Arc<str>,
    pub(super) message: Option<Message>,
    pub(super) on_error: Option<OnError>,
    pub(super) exceptions: Vec<Exception>,
}

/// An exception of a rule.
#[derive(Debug)]
pub(super) struct Exception {
    pub(super) name: Arc<str>,
    pub(super) when: Expr,
    /// When it stops working: the end of its last day in the set's zone.
    pub(super) until: UnixTime,
}

impl RuleSet {
    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its version, as its author counts.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Which events it is written for.
    pub fn family(&self) -> Family {
        self.family
    }

    /// What it was made of, over all bytes that matter to it: its file, what it includes, its lists and overrides.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// Its lists by name, each with how many entries were read; none: it is kept in the store.
    pub fn lists(&self) -> impl Iterator<Item = (&str, Option<usize>)> {
        self.lists.iter().map(String::as_str).zip(self.entries.iter().copied())
    }

    /// Id, title, importance and mode of each rule.
    pub fn rules(&self) -> impl Iterator<Item = RuleInfo<'_>> {
        self.rules.iter().map(|rule| RuleInfo {
            id: &rule.id,
            title: &rule.title,
            category: rule.category.as_deref(),
            importance: rule.importance,
            mode: rule.mode,
        })
    }
}

impl Counter {
    /// What its expressions cost, in steps of a few nanoseconds.
    pub(super) fn cost(&self) -> u64 {
        let exprs = self.stored.iter().flat_map(Stored::expressions);
        exprs.map(|expr| u64::from(expr.cost())).fold(0, u64::saturating_add)
    }
}

impl Stored {
    /// All of its expressions.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.when.iter().chain(&self.add).chain(&self.key).chain(&self.by)
    }
}

impl Rule {
    /// What its condition and exceptions cost, in steps of a few nanoseconds.
    pub(super) fn cost(&self) -> u64 {
        let exprs = self.exceptions.iter().map(|exception| &exception.when).chain([&self.when]);
        exprs.map(|expr| u64::from(expr.cost())).fold(0, u64::saturating_add)
    }

    /// What the smallest parts of its condition evaluated to, as written and as a person reads it; of macros that it uses
    /// too.
    pub(super) fn saw(&self, scope: &Scope, env: &Env<'_>) -> Vec<(String, String)> {
        let parts = self.when.explain(scope, env);
        let is_within = |part: &Seen, other: &Seen| {
            part.inside == other.inside
                && part.span != other.span
                && other.span.start <= part.span.start
                && part.span.end <= other.span.end
        };
        let leaves = parts.iter().filter(|other| !parts.iter().any(|part| is_within(part, other)));
        let told = leaves.map(|leaf| {
            let value = leaf.value.clone().unwrap_or_else(|error| format!("nothing: {}", error.reason));
            (leaf.text.split_whitespace().collect::<Vec<_>>().join(" "), value)
        });
        told.collect()
    }
}

/// What a person sees of a rule in lists.
#[derive(Clone, Copy, Debug)]
pub struct RuleInfo<'a> {
    /// `WXP-1001`.
    pub id: &'a Arc<str>,
    /// In a few words.
    pub title: &'a str,
    /// What sort of cause it looks for.
    pub category: Option<&'a str>,
    /// How much a hit matters.
    pub importance: Importance,
    /// Whether it acts.
    pub mode: Mode,
}

impl Thresholds {
    /// What a sum of scores leads to.
    pub(super) fn action(self, score: i64) -> Action {
        let reached = |threshold: Option<i64>| threshold.is_some_and(|threshold| score >= threshold);
        if reached(self.reject) {
            Action::Reject
        } else if reached(self.hold) {
            Action::Hold
        } else if reached(self.flag) {
            Action::Flag
        } else {
            Action::Allow
        }
    }
}

impl Wants {
    /// Adds what an expression reads.
    pub(super) fn add(&mut self, expr: &Expr) {
        let reads = expr.reads();
        self.counters.extend(&reads.counters);
        self.lists.extend(&reads.asks);
        self.order |= reads.fields.iter().any(|field| is_of_order(*field));
        self.local |= reads.fields.iter().any(|field| field.field().path.starts_with("local."));
    }

    pub(super) fn settle(&mut self) {
        self.counters.sort_unstable();
        self.counters.dedup();
        self.lists.sort_unstable();
        self.lists.dedup();
    }
}

/// Whether a field is known only once the order is.
pub(super) fn is_of_order(field: FieldId) -> bool {
    let path = field.field().path;
    path == "order" || path.starts_with("order.")
}

/// A piece of a text, of bytes.
pub(super) type Piece = Range<usize>;
