//! The counters of a rule set.

use std::time::Duration;

use super::digest::{Digest, of_parts};
use super::{Counter, Stored, expression, is_of_order};
use crate::risk::ask::{CounterId, Measure};
use crate::risk::code::Code;
use crate::risk::expr::{self, CounterType, Env, EvalError, Expr, Scope, Want, compile_given};
use crate::risk::file::table::show_duration;
use crate::risk::file::{CounterDef, MeasureDef, Text};
use crate::risk::problem::{Findings, did_you_mean};
use crate::risk::schema::Type;

/// Most slices of a window.
const MOST_SLICES: u128 = 120;
/// How many slices a window has unless `resolution` is given.
const SLICES: u32 = 60;
/// What a counter keeps for each slice or value, in bytes.
const ENTRY_BYTES: u32 = 16;
/// From how many bytes for each value of its key a counter is worth a word.
const MUCH_MEMORY: u32 = 4096;

/// Adds counters to the scope; their order is that of their indices there. They are compiled in the scope as it is: of
/// lists and macros, not of each other.
pub(super) fn add(set: &str, defs: &[CounterDef], scope: &mut Scope, findings: &mut Findings<'_>) -> Vec<Counter> {
    let before = scope.clone();
    let mut counters = Vec::new();
    let is_ratio = |def: &&CounterDef| matches!(def.measure, MeasureDef::Ratio { .. });
    for def in defs.iter().filter(|def| !is_ratio(def)) {
        let stored = stored(set, def, &before, findings);
        let ty = stored.as_ref().map_or(guess(&def.measure), |stored| counter_type(&def.measure, stored));
        enter(def, ty, stored, scope, &mut counters, findings);
    }
    for def in defs.iter().filter(is_ratio) {
        if let Some(ty) = ratio(def, defs, scope, findings) {
            enter(def, ty, None, scope, &mut counters, findings);
        }
    }
    counters
}

fn enter(
    def: &CounterDef,
    ty: CounterType,
    stored: Option<Stored>,
    scope: &mut Scope,
    counters: &mut Vec<Counter>,
    findings: &mut Findings<'_>,
) {
    match scope.add_counter(&def.name.value, ty) {
        Ok(_) => counters.push(Counter { name: def.name.value.clone(), stored, on_error: def.on_error }),
        Err(problem) if matches!(ty, CounterType::Ratio { .. }) => {
            findings.add(Code::Type, def.name.at, problem.message, "a ratio is of two counts, sums or distinct counts");
        }
        Err(problem) => findings.add(Code::Duplicate, def.name.at, problem.message, "give one of them another name"),
    }
}

/// What the type of a counter that has problems would most likely be, so that they are not told again where it is used.
fn guess(measure: &MeasureDef) -> CounterType {
    match measure {
        MeasureDef::Sum(_) => CounterType::Sum(Type::Fen),
        MeasureDef::Last(_) => CounterType::Last(Type::Fen),
        MeasureDef::FirstSeen => CounterType::FirstSeen,
        MeasureDef::Distinct(..) => CounterType::Distinct,
        MeasureDef::Count | MeasureDef::Ratio { .. } => CounterType::Count,
    }
}

fn counter_type(measure: &MeasureDef, stored: &Stored) -> CounterType {
    let ty = stored.add.as_ref().map_or(Type::Int, Expr::ty);
    match measure {
        MeasureDef::Sum(_) => CounterType::Sum(ty),
        MeasureDef::Last(_) => CounterType::Last(ty),
        MeasureDef::Count | MeasureDef::Distinct(..) | MeasureDef::FirstSeen | MeasureDef::Ratio { .. } => {
            guess(measure)
        }
    }
}

fn stored(set: &str, def: &CounterDef, scope: &Scope, findings: &mut Findings<'_>) -> Option<Stored> {
    let (window, slice) = window(def, findings)?;
    let when = match &def.when {
        Some(when) => Some(expression::compile(when, scope, Want::Condition, &[], findings)?),
        None => None,
    };
    let given: Vec<&Expr> = when.iter().collect();
    let add = match &def.measure {
        MeasureDef::Sum(text) | MeasureDef::Last(text) => {
            Some(expression::compile(text, scope, Want::Number, &given, findings)?)
        }
        MeasureDef::Distinct(text, _) => Some(expression::compile(text, scope, Want::Key, &given, findings)?),
        MeasureDef::Count | MeasureDef::FirstSeen | MeasureDef::Ratio { .. } => None,
    };
    let key: Vec<Option<Expr>> = def.key.iter().map(|key| self::key(def, key, scope, &given, findings)).collect();
    let key: Vec<Expr> = key.into_iter().collect::<Option<_>>()?;
    let by = match &def.by {
        Some(by) => Some(moment(by, scope, &given, findings)?),
        None => None,
    };
    let all: Vec<&Expr> = when.iter().chain(&add).chain(&key).chain(&by).collect();
    let is_late = all.iter().any(|expr| {
        let reads = expr.reads();
        !reads.asks.is_empty() || reads.fields.iter().any(|field| is_of_order(*field))
    });
    let measure = measure(&def.measure, def, findings);
    let macros = all.iter().flat_map(|expr| &expr.reads().macros).filter_map(|at| scope.macro_text(*at));
    let texts = all.iter().map(|expr| expr.text()).chain(macros);
    let shape = format!("{} {measure:?} {window:?} {slice:?}", def.key.len());
    let parts = [set, &def.name.value, &shape].into_iter().chain(texts).map(str::as_bytes);
    let seed = of_parts(parts);
    Some(Stored { seed, measure, add, when, key, window, slice, by, is_late })
}

/// One part of the key: it has to be there whenever the counter's `when` holds.
fn key(def: &CounterDef, text: &Text, scope: &Scope, given: &[&Expr], findings: &mut Findings<'_>) -> Option<Expr> {
    match compile_given(&text.value, scope, Want::Key, given) {
        Ok(expr) => Some(expr),
        Err(problems) => {
            for problem in problems {
                if matches!(problem.code, expr::Code::Unguarded | expr::Code::NeverPresent) {
                    let at = expression::place(findings, text, problem.span);
                    let message = format!("the key of counter {} can be absent: {}", def.name.value, problem.message);
                    let piece = problem.span.of(&text.value).to_owned();
                    let remedy =
                        format!("let its `when` make sure of it: `when: {}has({piece})`", and(def.when.as_ref()));
                    findings.add(Code::CounterKey, at, message, remedy);
                } else {
                    expression::tell(text, &[problem], findings);
                }
            }
            None
        }
    }
}

fn and(when: Option<&Text>) -> String {
    when.map_or_else(String::new, |when| format!("{} && ", when.value))
}

fn moment(text: &Text, scope: &Scope, given: &[&Expr], findings: &mut Findings<'_>) -> Option<Expr> {
    let expr = expression::compile(text, scope, Want::Any, given, findings)?;
    if expr.ty() != Type::Time {
        let message = format!("`by` is {}, expected a Time", expr.ty().name());
        findings.add(
            Code::Type,
            text.at,
            message,
            "a moment such as `event.success_time`; without `by` it is the receipt",
        );
        return None;
    }
    Some(expr)
}

fn window(def: &CounterDef, findings: &mut Findings<'_>) -> Option<(Duration, Duration)> {
    let window = def.window.value;
    let finest = |slices: u128| {
        let seconds = window.as_millis().div_ceil(slices.saturating_mul(1000)).max(1);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
    };
    let Some(resolution) = &def.resolution else {
        return Some((window, finest(u128::from(SLICES)).min(window)));
    };
    let slice = resolution.value;
    if matches!(def.measure, MeasureDef::Last(_) | MeasureDef::FirstSeen) {
        findings.add(
            Code::NoEffect,
            resolution.at,
            "`resolution` does nothing here",
            "remove it: there are no slices to cut",
        );
    }
    let (shown_window, shown) = (show_duration(window), show_duration(slice));
    if slice > window {
        let message = format!("counter {}: window {shown_window} is shorter than resolution {shown}", def.name.value);
        findings.add(Code::Resolution, resolution.at, message, "make the resolution a part of the window");
        return None;
    }
    if window.as_millis().div_ceil(slice.as_millis().max(1)) > MOST_SLICES {
        let message =
            format!("counter {}: {shown_window} has more than {MOST_SLICES} slices of {shown}", def.name.value);
        let remedy = format!("write `resolution: {}` or more", show_duration(finest(MOST_SLICES)));
        findings.add(Code::Resolution, resolution.at, message, remedy);
        return None;
    }
    Some((window, slice))
}

fn measure(measure: &MeasureDef, def: &CounterDef, findings: &mut Findings<'_>) -> Measure {
    match measure {
        MeasureDef::Sum(_) => Measure::Sum,
        MeasureDef::Last(_) => Measure::Last,
        MeasureDef::FirstSeen => Measure::FirstSeen,
        MeasureDef::Distinct(text, exact_up_to) => {
            let bytes = u32::from(*exact_up_to).saturating_mul(ENTRY_BYTES);
            if bytes > MUCH_MEMORY {
                let message = format!("counter {} takes up to {bytes} bytes for each value of its key", def.name.value);
                let remedy = "lower `exact_up_to` to a little above what rules compare it with";
                findings.add(Code::Memory, text.at, message, remedy);
            }
            Measure::Distinct { exact_up_to: *exact_up_to }
        }
        MeasureDef::Count | MeasureDef::Ratio { .. } => Measure::Count,
    }
}

/// A ratio has no key and window of its own: where they are given, they have to be those of its counters.
fn ratio(def: &CounterDef, defs: &[CounterDef], scope: &Scope, findings: &mut Findings<'_>) -> Option<CounterType> {
    let MeasureDef::Ratio { of, to, at_least } = &def.measure else { return None };
    let index = |name: &Text, findings: &mut Findings<'_>| {
        let index = scope.counter(&name.value);
        if index.is_none() {
            let known = defs.iter().map(|def| def.name.value.as_str());
            let remedy = did_you_mean(&name.value, known, "a ratio is of two counters of this set");
            findings.add(Code::UnknownRule, name.at, format!("there is no counter `{}`", name.value), remedy);
        }
        index
    };
    let indices = (index(of, findings), index(to, findings));
    let named = |name: &Text| defs.iter().find(|def| def.name.value == name.value);
    for side in [named(of), named(to)].into_iter().flatten() {
        let keys = |def: &CounterDef| def.key.iter().map(|key| key.value.clone()).collect::<Vec<_>>();
        if side.window.value != def.window.value || (!def.key.is_empty() && keys(side) != keys(def)) {
            let message =
                format!("ratio {} has another key or window than its counter {}", def.name.value, side.name.value);
            let remedy = "give the ratio and both of its counters one key and one window";
            findings.add(Code::Resolution, def.name.at, message, remedy);
            return None;
        }
    }
    Some(CounterType::Ratio { of: indices.0?, to: indices.1?, at_least: *at_least })
}

impl Stored {
    /// Which counter, of which key: the same for every event with this key.
    pub(in crate::risk) fn id(&self, env: &Env<'_>) -> Result<CounterId, EvalError> {
        let mut digest = Digest::new();
        digest.part(&self.seed);
        for key in &self.key {
            digest.value(&key.value(env)?);
        }
        Ok(digest.finish())
    }
}
