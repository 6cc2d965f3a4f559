//! One rule set judges one event. Every rule is evaluated, none hides another; a rule that does not hit allocates nothing.

use std::sync::Arc;

use super::expr::{Env, EvalError, Opened};
use super::file::{Action, Mode, OnError, RejectAnswer};
use super::set::{Exception, Rule, RuleSet, percentile};
use super::snooze::Snooze;
use super::verdict::{Excepted, Hit, HoldTerms, RuleError, Verdict};
use crate::clock::UnixTime;

/// What is the same for all sets that judge an event.
pub(super) struct Moment<'m> {
    pub(super) now: UnixTime,
    pub(super) event_id: &'m str,
    pub(super) snoozes: &'m [Snooze],
}

/// What came of one rule, whatever its mode.
pub(super) enum Outcome<'r> {
    /// Its condition does not hold.
    Quiet,
    /// It does.
    Fires,
    /// It does, and an exception applies.
    Excepted(&'r Exception),
    /// It could not be had.
    Failed(EvalError),
}

/// Evaluates one rule, whose set's openings are `opened`.
pub(super) fn outcome<'r>(rule: &'r Rule, opened: Opened, env: &Env<'_>, now: UnixTime) -> Outcome<'r> {
    match rule.when.holds_after(opened, env) {
        Ok(false) => return Outcome::Quiet,
        Err(error) => return Outcome::Failed(error),
        Ok(true) => {}
    }
    let live = rule.exceptions.iter().filter(|exception| now < exception.until);
    // An exception that cannot be had does not apply: the rule stays on the safe side.
    match live.into_iter().find(|exception| exception.when.holds(env) == Ok(true)) {
        Some(exception) => Outcome::Excepted(exception),
        None => Outcome::Fires,
    }
}

/// What happens if a rule fails: what it says itself, or the strictest of the counters that it reads, or the set.
pub(super) fn on_error(set: &RuleSet, rule: &Rule, error: &EvalError) -> OnError {
    let counters = rule.when.reads().counters.iter().filter_map(|at| set.counters.get(*at)?.on_error);
    let of_counters = if error.reason.is_outage() { counters.max() } else { None };
    rule.on_error.or(of_counters).unwrap_or(set.on_error)
}

/// Adds what `set` makes of the event to the verdict.
pub(super) fn judge(set: &RuleSet, env: &Env<'_>, moment: &Moment<'_>, verdict: &mut Verdict) {
    let first = verdict.hits.len();
    let opened = set.openings.look(env);
    for rule in &set.rules {
        let enforced = match rule.mode {
            Mode::Off => continue,
            Mode::Enforce => true,
            Mode::Shadow => false,
            Mode::Percent(part) => percentile(&rule.id, moment.event_id) < part,
        };
        match outcome(rule, opened, env, moment.now) {
            Outcome::Quiet => {}
            Outcome::Excepted(exception) => {
                verdict.excepted.push(Excepted { rule: Arc::clone(&rule.id), exception: Arc::clone(&exception.name) });
            }
            Outcome::Failed(error) => failed(set, rule, &error, enforced, verdict),
            Outcome::Fires if moment.snoozes.iter().any(|snooze| snooze.covers(&rule.id, env.facts, moment.now)) => {
                verdict.snoozed.push(Arc::clone(&rule.id));
            }
            Outcome::Fires => verdict.hits.push(hit(set, rule, env, enforced)),
        }
    }
    let hits = verdict.hits.get_mut(first..).unwrap_or_default();
    if hits.is_empty() {
        return;
    }
    allow(set, hits);
    tally(set, first, verdict);
}

fn hit(set: &RuleSet, rule: &Rule, env: &Env<'_>, enforced: bool) -> Hit {
    Hit {
        rule: Arc::clone(&rule.id),
        set: Arc::clone(&set.name),
        enforced,
        score: rule.score,
        action: rule.action,
        reason: Arc::clone(&rule.reason),
        category: rule.category.clone(),
        importance: rule.importance,
        message: rule.message.as_ref().map(|message| message.write(env, &set.zone)),
        saw: rule.saw(&set.scope, env),
        allowed_by: None,
    }
}

fn failed(set: &RuleSet, rule: &Rule, error: &EvalError, enforced: bool, verdict: &mut Verdict) {
    let action = Action::from(on_error(set, rule, error));
    verdict.degraded |= error.reason.is_outage();
    verdict.shadow_action = verdict.shadow_action.max(action);
    if enforced {
        verdict.action = verdict.action.max(action);
        verdict.stays_held |= action == Action::Hold;
    }
    verdict.errors.push(RuleError {
        rule: Arc::clone(&rule.id),
        set: Arc::clone(&set.name),
        error: error.reason.to_string(),
        action,
        enforced,
    });
}

/// Whether the allowing rule of that hit names the other.
fn names(set: &RuleSet, allowing: &Hit, other: &Hit) -> bool {
    let rule = set.rules.iter().find(|rule| rule.id == allowing.rule);
    let named = |only: &Arc<str>| *only == other.rule || Some(only) == other.category.as_ref();
    allowing.action == Some(Action::Allow)
        && other.action != Some(Action::Allow)
        && rule.is_some_and(|rule| rule.only.iter().any(named))
}

/// Marks the hits that an enforced rule allows.
fn allow(set: &RuleSet, hits: &mut [Hit]) {
    let allowing: Vec<Hit> =
        hits.iter().filter(|hit| hit.enforced && hit.action == Some(Action::Allow)).cloned().collect();
    for hit in hits {
        hit.allowed_by = allowing.iter().find(|by| names(set, by, hit)).map(|by| Arc::clone(&by.rule));
    }
}

/// Scores and actions of the set's hits: of those that act, and of all as if they did.
fn tally(set: &RuleSet, first: usize, verdict: &mut Verdict) {
    let hits = verdict.hits.get(first..).unwrap_or_default();
    let real: Vec<&Hit> = hits.iter().filter(|hit| hit.enforced && hit.allowed_by.is_none()).collect();
    let all: Vec<&Hit> = hits.iter().filter(|hit| !hits.iter().any(|by| names(set, by, hit))).collect();
    let (score, shadow_score) = (score(set, &real), score(set, &all));
    let strongest = |hits: &[&Hit]| hits.iter().filter_map(|hit| hit.action).max().unwrap_or_default();
    let action = set.thresholds.action(score).max(strongest(&real));
    let shadow_action = set.thresholds.action(shadow_score).max(strongest(&all));
    let terms = |wanted: Action| {
        let hit = real.iter().find(|hit| hit.action == Some(wanted))?;
        set.rules.iter().find(|rule| rule.id == hit.rule)
    };
    if verdict.answer == RejectAnswer::Retry {
        verdict.answer = terms(Action::Reject).map(|rule| rule.answer).unwrap_or_default();
    }
    let (stays_held, hold) = held(set, &real, score);
    verdict.stays_held |= stays_held;
    verdict.hold = verdict.hold.into_iter().chain(hold).reduce(HoldTerms::and);
    verdict.score = verdict.score.saturating_add(score);
    verdict.shadow_score = verdict.shadow_score.saturating_add(shadow_score);
    verdict.action = verdict.action.max(action);
    verdict.shadow_action = verdict.shadow_action.max(shadow_action);
}

/// Whether something of the set holds the event without end, and for how long the rest does.
fn held(set: &RuleSet, hits: &[&Hit], score: i64) -> (bool, Option<HoldTerms>) {
    let mut stays = set.thresholds.action(score) == Action::Hold;
    let mut terms = None;
    for hit in hits.iter().filter(|hit| hit.action == Some(Action::Hold)) {
        let rule = set.rules.iter().find(|rule| rule.id == hit.rule);
        match rule.and_then(|rule| Some(HoldTerms { hold_for: rule.hold_for?, on_expiry: rule.on_expiry? })) {
            Some(own) => terms = terms.into_iter().chain([own]).reduce(HoldTerms::and),
            None => stays = true,
        }
    }
    (stays, terms)
}

/// The sum of scores, each category up to its cap.
fn score(set: &RuleSet, hits: &[&Hit]) -> i64 {
    let mut sums: Vec<(Option<&Arc<str>>, i64)> = Vec::new();
    for hit in hits {
        let category = hit.category.as_ref();
        match sums.iter_mut().find(|(known, _)| *known == category) {
            Some((_, sum)) => *sum = sum.saturating_add(hit.score),
            None => sums.push((category, hit.score)),
        }
    }
    let cap = |category: Option<&Arc<str>>| set.caps.iter().find(|(of, _)| Some(of) == category).map(|(_, most)| *most);
    sums.into_iter()
        .fold(0_i64, |total, (category, sum)| total.saturating_add(cap(category).map_or(sum, |most| sum.min(most))))
}
