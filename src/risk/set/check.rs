//! What the parts of a rule set say together: thresholds, budget, and the warnings.

use std::collections::HashMap;

use super::rule::end_of;
use super::{Rule, RuleSet};
use crate::clock::UnixTime;
use crate::risk::code::Code;
use crate::risk::file::{Action, Document, Mode, RuleDef};
use crate::risk::problem::Findings;

/// How long before its end an exception is worth a word, in days.
const SOON_DAYS: u64 = 14;

pub(super) fn check(document: &Document, defs: &[RuleDef], set: &RuleSet, now: UnixTime, findings: &mut Findings<'_>) {
    thresholds(document, findings);
    scores(document, set, findings);
    unused(document, set, findings);
    twins(defs, findings);
    for (def, rule) in defs.iter().zip(&set.rules) {
        condition(def, rule, findings);
        tested(def, rule, findings);
        expiries(def, set, now, findings);
    }
    for def in &document.counters {
        let counter = set.counters.iter().find(|counter| counter.name == def.name.value);
        if counter.and_then(|counter| counter.stored.as_ref()).is_some_and(|stored| stored.is_late) {
            let message = format!("counter {} waits for the order: a second round trip to the store", def.name.value);
            let remedy = "key and filter it by fields of the event, if that says the same";
            findings.add(Code::SecondTrip, def.name.at, message, remedy);
        }
    }
}

fn thresholds(document: &Document, findings: &mut Findings<'_>) {
    let score = &document.score;
    let steps = [("flag", &score.flag), ("hold", &score.hold), ("reject", &score.reject)];
    let given: Vec<_> = steps.iter().filter_map(|(name, step)| step.as_ref().map(|step| (*name, step))).collect();
    for pair in given.windows(2) {
        let [(lower, low), (upper, high)] = pair else { continue };
        if low.value >= high.value {
            let message =
                format!("threshold {lower} is {}, {upper} is {}: {lower} is never reached", low.value, high.value);
            findings.add(Code::Thresholds, high.at, message, format!("make `{upper}` larger than `{lower}`"));
        }
    }
}

fn scores(document: &Document, set: &RuleSet, findings: &mut Findings<'_>) {
    let mut reach: HashMap<&str, i64> = HashMap::new();
    for rule in &set.rules {
        let sum = reach.entry(rule.category.as_deref().unwrap_or_default()).or_default();
        *sum = sum.saturating_add(rule.score.max(0));
    }
    for (category, most) in &set.caps {
        if let Some(sum) = reach.get_mut(&**category) {
            *sum = (*sum).min(*most);
        }
    }
    for (category, _) in &document.score.caps {
        if !set.rules.iter().any(|rule| rule.category.as_deref() == Some(category.value.as_str())) {
            let message = format!("no rule is of the category `{}`", category.value);
            findings.add(Code::Unused, category.at, message, "remove the cap, or mend its name");
        }
    }
    let most = reach.values().fold(0_i64, |sum, part| sum.saturating_add(*part));
    let thresholds = set.thresholds;
    let lowest = thresholds.flag.or(thresholds.hold).or(thresholds.reject);
    let first = document.rules.iter().find_map(|rule| rule.score.as_ref().filter(|score| score.value > 0));
    let Some(first) = first else { return };
    match lowest {
        None => {
            let message = "rules of this set score, but it has no thresholds, so scores never act";
            findings.add(Code::NoThreshold, first.at, message, "add `score: { thresholds: { flag: 30, hold: 60 } }`");
        }
        Some(lowest) if most < lowest => {
            let message = format!("all scores of this set together are {most}, its lowest threshold is {lowest}");
            findings.add(Code::NoThreshold, first.at, message, "lower the threshold, or raise scores");
        }
        Some(_) => {}
    }
}

fn unused(document: &Document, set: &RuleSet, findings: &mut Findings<'_>) {
    let wants = &set.wants_of_all;
    let mut lists: Vec<usize> = Vec::new();
    let mut macros: Vec<String> = Vec::new();
    let mut texts: Vec<&str> = Vec::new();
    let exceptions =
        |rule: &'_ Rule| rule.exceptions.iter().map(|exception| exception.when.text().to_owned()).collect::<Vec<_>>();
    for rule in &set.rules {
        lists.extend(&rule.when.reads().lists);
        rule.exceptions.iter().for_each(|exception| lists.extend(&exception.when.reads().lists));
        texts.push(rule.when.text());
        macros.extend(exceptions(rule));
    }
    for stored in set.counters.iter().filter_map(|counter| counter.stored.as_ref()) {
        for expr in stored.when.iter().chain(&stored.add).chain(&stored.key) {
            lists.extend(&expr.reads().lists);
            texts.push(expr.text());
        }
    }
    texts.extend(document.macros.iter().map(|def| def.expr.value.as_str()));
    texts.extend(macros.iter().map(String::as_str));
    for def in &document.macros {
        if !texts.iter().any(|text| names(text, &def.name.value)) {
            findings.add(Code::Unused, def.name.at, format!("nothing uses macro `{}`", def.name.value), "remove it");
        }
    }
    for def in &document.lists {
        let at = set.lists.iter().position(|list| *list == def.name.value);
        if at.is_some_and(|at| !lists.contains(&at)) {
            findings.add(Code::Unused, def.name.at, format!("nothing reads list `{}`", def.name.value), "remove it");
        }
    }
    for def in &document.counters {
        let at = set.counters.iter().position(|counter| counter.name == def.name.value);
        if at.is_some_and(|at| !wants.counters.contains(&at)) {
            findings.add(Code::Unused, def.name.at, format!("no rule reads counter `{}`", def.name.value), "remove it");
        }
    }
}

/// Whether an expression has this word in it.
fn names(text: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_word(c)).any(|piece| piece == word)
}

fn twins(defs: &[RuleDef], findings: &mut Findings<'_>) {
    let mut known: HashMap<String, &str> = HashMap::new();
    for def in defs {
        let normal: String = def.when.value.chars().filter(|c| !c.is_whitespace()).collect();
        if let Some(twin) = known.insert(normal, &def.id.value) {
            let message = format!("rules {twin} and {} have one condition", def.id.value);
            findings.add(Code::Twins, def.when.at, message, "make one rule of them");
        }
    }
}

fn condition(def: &RuleDef, rule: &Rule, findings: &mut Findings<'_>) {
    match rule.when.constant() {
        Some(true) => {
            let message = format!("the condition of {} holds for every event", def.id.value);
            findings.add(Code::Constant, def.when.at, message, "let it ask something of the event");
        }
        Some(false) => {
            let message = format!("the condition of {} never holds", def.id.value);
            findings.add(Code::NeverFires, def.when.at, message, "two of its parts contradict each other");
        }
        None => {}
    }
    let reads_state = rule.when.reads().fields.iter().any(|field| field.field().path == "event.trade_state");
    if let (Some(action), true) = (&def.action, reads_state)
        && action.value == Action::Reject
    {
        let message = format!("{} rejects a paid order", def.id.value);
        findings.add(Code::RejectPayment, action.at, message, "write `action: hold`: a person can release it");
    }
}

fn tested(def: &RuleDef, rule: &Rule, findings: &mut Findings<'_>) {
    if !matches!(rule.mode, Mode::Enforce | Mode::Percent(_)) {
        return;
    }
    let has = |fires: bool| {
        def.tests.iter().any(|test| test.expect.fires.as_ref().is_some_and(|expected| expected.value == fires))
    };
    let missing = match (has(true), has(false)) {
        (true, true) => return,
        (true, false) => "no test in which it does not fire",
        (false, true) => "no test in which it fires",
        (false, false) => "no test in which it fires, and none in which it does not",
    };
    let remedy = "add `tests:`; a rule in `mode: shadow` may wait for them";
    findings.add(Code::Untested, def.id.at, format!("{} is enforced and has {missing}", def.id.value), remedy);
}

fn expiries(def: &RuleDef, set: &RuleSet, now: UnixTime, findings: &mut Findings<'_>) {
    for exception in &def.exceptions {
        let left = end_of(exception, &set.zone).millis().saturating_sub(now.millis());
        let days = u64::try_from(left).map(|left| left.div_ceil(24 * 3_600_000));
        let name = &exception.name.value;
        match days {
            Err(_) | Ok(0) => {
                let message = format!("exception \"{name}\" of {} has expired", def.id.value);
                findings.add(Code::Expiry, exception.expires.at, message, "remove it, or renew it with its reason");
            }
            Ok(days @ 1..=SOON_DAYS) => {
                let message = format!("exception \"{name}\" of {} expires in {days} days", def.id.value);
                findings.add(Code::Expiry, exception.expires.at, message, "remove it, or renew it with its reason");
            }
            Ok(_) => {}
        }
    }
}
