//! One event, one rule, step by step: what each part of its condition saw, which counters it read, which exception applied,
//! and how the score came about. What names a person is masked.

use std::sync::Arc;

use serde::Serialize;

use super::report::{mode, rfc3339};
use super::{Put, Trial};
use crate::clock::UnixTime;
use crate::risk::ask::Counted;
use crate::risk::expr::{Env, Seen};
use crate::risk::file::{Action, Mode};
use crate::risk::judge::{Outcome, on_error, outcome};
use crate::risk::policy::Policy;
use crate::risk::recorded::{Entry, Recorded};
use crate::risk::set::{Counter, Rule, RuleSet, percentile};
use crate::risk::verdict::{Hit, Verdict};

/// A rule's judgement of an event, in steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The rule.
    pub rule: Arc<str>,
    /// Its set.
    pub set: Arc<str>,
    /// In a few words.
    pub title: String,
    /// `enforce`, `enforce 10%`, `shadow` or `off`.
    pub mode: String,
    /// Whether it acts on this event: a percentage is by event.
    pub enforced: bool,
    /// WeChat's id of the event.
    pub event: String,
    /// What it is about.
    pub subject: Option<String>,
    /// When it was received.
    pub at: String,
    /// `fires`, `quiet`, `excepted` or `failed`.
    pub outcome: &'static str,
    /// Why it failed.
    pub error: Option<String>,
    /// What it wants done: its action, or if it failed its `on_error`.
    pub action: Option<&'static str>,
    /// What it adds to the score if it fires.
    pub score: i64,
    /// Its message.
    pub message: Option<String>,
    /// Its condition, a whole before its parts.
    pub parts: Vec<PartSeen>,
    /// The counters that it reads.
    pub counters: Vec<CounterSeen>,
    /// Its exceptions.
    pub exceptions: Vec<ExceptionSeen>,
    /// How the whole verdict comes about, in words.
    pub steps: Vec<String>,
    /// What becomes of the event by all sets.
    pub verdict: &'static str,
    /// What is not known of this event.
    pub notes: Vec<String>,
}

/// A part of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartSeen {
    /// How deep it stands in the whole.
    pub depth: usize,
    /// As it is written.
    pub text: String,
    /// Its value; none: it has none.
    pub value: Option<String>,
    /// Why it has none.
    pub error: Option<String>,
}

/// A counter that a rule reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CounterSeen {
    /// Its name.
    pub counter: String,
    /// Its value without this event.
    pub before: Option<i64>,
    /// And with it.
    pub after: Option<i64>,
    /// Where it is from: `recorded` with the event, or `counted` from the events that were given.
    pub from: &'static str,
}

/// An exception of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExceptionSeen {
    /// Its name.
    pub exception: Arc<str>,
    /// Whether its condition holds; none: it cannot be had.
    pub holds: Option<bool>,
    /// Whether it had expired when the event came.
    pub expired: bool,
    /// Its condition, a whole before its parts.
    pub parts: Vec<PartSeen>,
}

/// What is explained of which rule.
struct Look<'l> {
    rule: &'l Rule,
    entry: &'l Entry,
    now: UnixTime,
    is_recorded: bool,
}

impl Trial {
    /// Whether there is a rule of that id.
    pub fn has_rule(&self, id: &str) -> bool {
        self.sets.iter().any(|set| set.rules.iter().any(|rule| *rule.id == *id))
    }

    /// Explains what a rule makes of an event. Counters are as the record tells them, or else as they were counted here
    /// before. None: there is no such rule.
    pub fn explain(&mut self, id: &str, entry: &Entry) -> Option<Explained> {
        let of = self.sets.iter().find(|set| set.rules.iter().any(|rule| *rule.id == *id)).map(Arc::clone)?;
        let rule = of.rules.iter().find(|rule| *rule.id == *id)?;
        let policy = self.policy(entry).with_rules_off(&of);
        let Put { facts, inquiry, mut answers, misses_lists } = self.put(&policy, entry);
        let recorded = &entry.recorded;
        let is_recorded = !recorded.counters().is_empty();
        inquiry.overlay(policy.sets().map(|set| &**set), &mut answers, |set, counter| told(recorded, set, counter));
        let look = Look { rule, entry, now: recorded.received_at(), is_recorded };
        let mut explained = None;
        policy.each(&facts, &inquiry, &answers, |judge, env, _| {
            if judge.set.name == of.name {
                explained = Some(look.explained(&judge.set, env));
            }
        });
        let mut explained = explained?;
        let verdict = policy.judge(&facts, &inquiry, &answers, &[]);
        explained.steps = steps(policy.sets().map(|set| &**set), &verdict);
        explained.verdict = verdict.action().name();
        explained.notes = notes(&look, &policy, inquiry.asks().order.is_some(), misses_lists);
        Some(explained)
    }
}

fn told(recorded: &Recorded, set: &RuleSet, counter: &Counter) -> Option<Counted> {
    let known = recorded.counters().iter().find(|it| it.set == *set.name && it.counter == counter.name);
    known.map(|it| it.counted)
}

impl Look<'_> {
    fn explained(&self, set: &RuleSet, env: &Env<'_>) -> Explained {
        let Self { rule, entry, now, .. } = self;
        let enforced = match rule.mode {
            Mode::Enforce => true,
            Mode::Shadow | Mode::Off => false,
            Mode::Percent(part) => percentile(&rule.id, entry.recorded.id()) < part,
        };
        let mut explained = Explained {
            rule: Arc::clone(&rule.id),
            set: Arc::clone(&set.name),
            title: rule.title.clone(),
            mode: mode(rule.mode),
            enforced,
            event: entry.recorded.id().to_owned(),
            subject: entry.recorded.subject().map(str::to_owned),
            at: rfc3339(*now),
            outcome: "quiet",
            error: None,
            action: None,
            score: 0,
            message: None,
            parts: parts(&rule.when.explain(&set.scope, env)),
            counters: self.counters(set, env),
            exceptions: self.exceptions(set, env),
            steps: Vec::new(),
            verdict: "",
            notes: Vec::new(),
        };
        match outcome(rule, set.openings.look(env), env, *now) {
            Outcome::Quiet => {}
            Outcome::Excepted(_) => explained.outcome = "excepted",
            Outcome::Failed(error) => {
                explained.outcome = "failed";
                explained.error = Some(error.reason.to_string());
                explained.action = Some(Action::from(on_error(set, rule, &error)).name());
            }
            Outcome::Fires => {
                explained.outcome = "fires";
                (explained.action, explained.score) = (rule.action.map(Action::name), rule.score);
                explained.message = rule.message.as_ref().map(|message| message.write(env, &set.zone));
            }
        }
        explained
    }

    fn counters(&self, set: &RuleSet, env: &Env<'_>) -> Vec<CounterSeen> {
        let reads = self.rule.when.reads().counters.iter();
        let exceptions = self.rule.exceptions.iter().flat_map(|exception| &exception.when.reads().counters);
        let mut indices: Vec<usize> = reads.chain(exceptions).copied().collect();
        indices.sort_unstable();
        indices.dedup();
        let counter = |at: usize| {
            let counter = set.counters.get(at).filter(|counter| counter.stored.is_some())?;
            let value = env.counters.get(at).copied().flatten();
            let is_told = self.is_recorded && told(&self.entry.recorded, set, counter).is_some();
            Some(CounterSeen {
                counter: counter.name.clone(),
                before: value.map(|value| value.before),
                after: value.map(|value| value.after),
                from: if is_told { "recorded" } else { "counted" },
            })
        };
        indices.into_iter().filter_map(counter).collect()
    }

    fn exceptions(&self, set: &RuleSet, env: &Env<'_>) -> Vec<ExceptionSeen> {
        let seen = self.rule.exceptions.iter().map(|exception| ExceptionSeen {
            exception: Arc::clone(&exception.name),
            holds: exception.when.holds(env).ok(),
            expired: self.now >= exception.until,
            parts: parts(&exception.when.explain(&set.scope, env)),
        });
        seen.collect()
    }
}

/// Parts with their depth: of those within one text how many hold the part, and those of a macro one deeper than its use.
fn parts(seen: &[Seen]) -> Vec<PartSeen> {
    let mut told: Vec<PartSeen> = Vec::with_capacity(seen.len());
    // The parts around the next one, and how deep each stands.
    let mut around: Vec<(&Seen, usize)> = Vec::new();
    for part in seen {
        let holds = |outer: &Seen| {
            outer.inside != part.inside || (outer.span.start <= part.span.start && part.span.end <= outer.span.end)
        };
        // Out of a macro, or out of a part: what does not hold the next one is behind it.
        while let Some((outer, _)) = around.last() {
            let left_macro = outer.inside != part.inside && around.iter().any(|(known, _)| known.inside == part.inside);
            if holds(outer) && !left_macro {
                break;
            }
            around.pop();
        }
        let depth = around.last().map_or(0, |(_, depth)| depth.saturating_add(1));
        around.push((part, depth));
        let (value, error) = match &part.value {
            Ok(value) => (Some(value.clone()), None),
            Err(error) => (None, Some(error.reason.to_string())),
        };
        let text = part.text.split_whitespace().collect::<Vec<_>>().join(" ");
        told.push(PartSeen { depth, text, value, error });
    }
    told
}

/// How the verdict comes about.
fn steps<'s>(sets: impl Iterator<Item = &'s RuleSet>, verdict: &Verdict) -> Vec<String> {
    let mut steps = Vec::new();
    for set in sets {
        let hits: Vec<&Hit> = verdict.hits().iter().filter(|hit| hit.set == set.name).collect();
        for hit in &hits {
            steps.push(step(hit));
        }
        let acting: Vec<&&Hit> = hits.iter().filter(|hit| hit.enforced && hit.allowed_by.is_none()).collect();
        for (category, most) in &set.caps {
            let scores = acting.iter().filter(|hit| hit.category.as_ref() == Some(category)).map(|hit| hit.score);
            let sum = scores.fold(0_i64, i64::saturating_add);
            if sum > *most {
                steps.push(format!("{}: category {category} adds up to {sum}, capped at {most}", set.name));
            }
        }
    }
    for excepted in verdict.excepted() {
        steps.push(format!("{} is kept from hitting by its exception \"{}\"", excepted.rule, excepted.exception));
    }
    for error in verdict.errors() {
        let acts = if error.enforced { "" } else { ", in shadow" };
        steps.push(format!("{} could not be had ({}): {}{acts}", error.rule, error.error, error.action.name()));
    }
    steps.push(format!("score {}, with rules in shadow {}", verdict.score(), verdict.shadow_score()));
    let (action, shadow) = (verdict.action().name(), verdict.shadow_action().name());
    steps.push(format!("the event becomes `{action}`, with rules in shadow `{shadow}`"));
    steps
}

fn step(hit: &Hit) -> String {
    let mut effect = Vec::new();
    if hit.score != 0 {
        effect.push(format!("{:+}", hit.score));
    }
    effect.extend(hit.action.map(|action| action.name().to_owned()));
    let state = match (&hit.allowed_by, hit.enforced) {
        (Some(by), _) => format!(", allowed by {by}"),
        (None, false) => ", in shadow".to_owned(),
        (None, true) => String::new(),
    };
    format!("{} hits: {}{state}", hit.rule, effect.join(", "))
}

fn notes(look: &Look<'_>, policy: &Policy, asks_order: bool, misses_lists: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let recorded = &look.entry.recorded;
    if asks_order && !recorded.knows_order() {
        notes.push("the order was not asked for when this event was recorded: rules see none".to_owned());
    }
    if misses_lists {
        notes
            .push("a list of the store was not asked when this event was recorded: rules that read it fail".to_owned());
    }
    if recorded.is_hashed() {
        notes.push("who paid is hashed in this record: lists of people say no".to_owned());
    }
    if !look.is_recorded && policy.sets().any(|set| !set.wants.counters.is_empty()) {
        notes.push("counters hold what the events that were given say, and this event".to_owned());
    }
    notes
}
