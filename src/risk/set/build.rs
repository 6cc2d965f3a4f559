//! From what files say to a rule set.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::digest::{hex, of_parts};
use super::{Counter, List, Rule, RuleSet, Thresholds, Wants, check, counter, expression, lists, overrides, rule};
use crate::clock::UnixTime;
use crate::risk::code::Code;
use crate::risk::expr::{Openings, Scope, check_macro};
use crate::risk::file::{Document, ListSource, MacroDef, OverrideDef, RuleDef, resolve};
use crate::risk::files::Files;
use crate::risk::problem::{Findings, did_you_mean, quoted};
use crate::risk::schema::Family;

/// The most that the expressions of a set cost together, in steps of a few nanoseconds.
const MAX_COST: u64 = 50_000;
/// Most counters of a set: each event may move all of them.
const MAX_COUNTERS: usize = 100;
/// Most macros of a set.
const MAX_MACROS: usize = 500;

/// The zone of a set that names none: WeChat's own.
const ZONE: &str = "Asia/Shanghai";

/// A rule set and what its rules were made of, in the same order, for their tests.
pub(in crate::risk) struct Built {
    pub(in crate::risk) set: RuleSet,
    pub(in crate::risk) defs: Vec<RuleDef>,
}

/// Makes a rule set of a document, what it includes, and overrides of its rules. None: what is wrong has been said.
pub(in crate::risk) fn build(
    document: &Document,
    included: &[&Document],
    overrides: &[OverrideDef],
    now: UnixTime,
    findings: &mut Findings<'_>,
) -> Option<Built> {
    let errors = findings.errors();
    let family = family(document, findings)?;
    let zone = zone(document, findings)?;
    let defs = overrides::apply(document, overrides, findings);
    let mut scope = Scope::new(family);
    bounds(document, included, findings)?;
    let all = || included.iter().copied().chain([document]);
    let lists = lists::add(all().flat_map(|document| &document.lists), &mut scope, findings);
    let macros = add_macros(all().flat_map(|document| &document.macros), &mut scope, findings);
    let counters = counter::add(&document.name.value, &document.counters, &mut scope, findings);
    for (index, def) in macros {
        if let Err(problems) = check_macro(index, &scope) {
            expression::tell(&def.expr, &problems, findings);
        }
    }
    let rules = build_rules(document, &defs, (&scope, &zone), &counters, findings);
    rule::check_only(&defs, findings);
    let digest = digest(findings.files(), document, included, overrides);
    let set = assemble(document, scope, zone, digest, (lists, counters, rules));
    if set.rules.len() == defs.len() {
        check::check(document, &defs, &set, now, findings);
    }
    (findings.errors() == errors).then_some(Built { set, defs })
}

fn assemble(
    document: &Document,
    scope: Scope,
    zone: TimeZone,
    digest: String,
    (lists, counters, mut rules): (Vec<List>, Vec<Counter>, Vec<Rule>),
) -> RuleSet {
    let (flag, hold, reject) = (&document.score.flag, &document.score.hold, &document.score.reject);
    let value = |threshold: &Option<crate::risk::files::Spanned<i64>>| threshold.as_ref().map(|it| it.value);
    let caps = document.score.caps.iter().map(|(category, most)| (Arc::from(category.value.as_str()), *most)).collect();
    let openings = Openings::share(&mut rules.iter_mut().map(|rule| &mut rule.when).collect::<Vec<_>>());
    RuleSet {
        openings,
        name: Arc::from(document.name.value.as_str()),
        version: document.version,
        family: scope.family(),
        zone,
        scope,
        digest: Arc::from(digest),
        wants: wants(&rules, &counters, |rule| rule.mode != crate::risk::file::Mode::Off),
        wants_of_all: wants(&rules, &counters, |_| true),
        members: lists.iter().map(|list| Arc::clone(&list.members)).collect(),
        entries: lists.iter().map(|list| list.entries).collect(),
        lists: lists.into_iter().map(|list| list.name).collect(),
        counters,
        rules,
        thresholds: Thresholds { flag: value(flag), hold: value(hold), reject: value(reject) },
        caps,
        on_error: document.on_error.unwrap_or_default(),
    }
}

/// The rules, as far as they go without an error and within the budget.
fn build_rules(
    document: &Document,
    defs: &[RuleDef],
    (scope, zone): (&Scope, &TimeZone),
    counters: &[Counter],
    findings: &mut Findings<'_>,
) -> Vec<Rule> {
    let mode = document.mode.unwrap_or_default();
    let mut cost = counters.iter().map(Counter::cost).fold(0, u64::saturating_add);
    let mut rules = Vec::with_capacity(defs.len());
    for def in defs {
        if cost > MAX_COST {
            let name = &document.name;
            let message = format!("the expressions of {} cost more than {MAX_COST} steps together", name.value);
            findings.add(Code::Budget, name.at, message, "split the set, and name in each endpoint those it needs");
            break;
        }
        if let Some(rule) = rule::build(def, mode, scope, zone, findings) {
            cost = cost.saturating_add(rule.cost());
            rules.push(rule);
        }
    }
    rules
}

/// What the rules that `counts` ask for, and what the counters that they read ask for.
fn wants(rules: &[Rule], counters: &[Counter], counts: impl Fn(&Rule) -> bool) -> Wants {
    let mut wants = Wants::default();
    for rule in rules.iter().filter(|rule| counts(rule)) {
        wants.add(&rule.when);
        rule.exceptions.iter().for_each(|exception| wants.add(&exception.when));
        rule.message.iter().flat_map(super::Message::expressions).for_each(|expr| wants.add(expr));
    }
    wants.settle();
    for index in wants.counters.clone() {
        let Some(stored) = counters.get(index).and_then(|counter| counter.stored.as_ref()) else { continue };
        stored.expressions().for_each(|expr| wants.add(expr));
    }
    wants.settle();
    wants
}

fn add_macros<'d>(
    defs: impl IntoIterator<Item = &'d MacroDef>,
    scope: &mut Scope,
    findings: &mut Findings<'_>,
) -> Vec<(usize, &'d MacroDef)> {
    let mut added = Vec::new();
    for def in defs {
        match scope.add_macro(&def.name.value, &def.expr.value) {
            Ok(index) => added.push((index, def)),
            Err(problems) => {
                for problem in problems {
                    if problem.code == crate::risk::expr::Code::Definition {
                        findings.add(Code::Duplicate, def.name.at, problem.message, "give one of them another name");
                    } else {
                        expression::tell(&def.expr, &[problem], findings);
                    }
                }
            }
        }
    }
    added
}

fn bounds(document: &Document, included: &[&Document], findings: &mut Findings<'_>) -> Option<()> {
    let macros =
        included.iter().map(|included| included.macros.len()).fold(document.macros.len(), usize::saturating_add);
    for (what, count, most) in [("counters", document.counters.len(), MAX_COUNTERS), ("macros", macros, MAX_MACROS)] {
        if count > most {
            let message = format!("{} has {count} {what}, at most {most} are allowed", document.name.value);
            findings.add(Code::Bound, document.name.at, message, "split the set");
            return None;
        }
    }
    Some(())
}

fn family(document: &Document, findings: &mut Findings<'_>) -> Option<Family> {
    let schema = document.schema.as_ref()?;
    let family = Family::named(&schema.value);
    if family.is_none() {
        let names = Family::ALL.map(Family::name);
        let remedy = did_you_mean(&schema.value, names, &format!("one of {}", names.join(", ")));
        findings.add(Code::WrongValue, schema.at, format!("there is no schema {}", quoted(&schema.value)), remedy);
    }
    family
}

fn zone(document: &Document, findings: &mut Findings<'_>) -> Option<TimeZone> {
    let name = document.timezone.as_ref().map_or(ZONE, |zone| zone.value.as_str());
    let zone = TimeZone::get(name).ok();
    if let (None, Some(written)) = (&zone, &document.timezone) {
        let remedy = "a name of the IANA time zone database, such as Asia/Shanghai";
        findings.add(Code::WrongValue, written.at, format!("there is no time zone {}", quoted(name)), remedy);
    }
    zone
}

/// A digest over everything that a set is made of.
fn digest(files: &Files, document: &Document, included: &[&Document], overrides: &[OverrideDef]) -> String {
    let mut parts: Vec<String> = vec![env!("CARGO_PKG_VERSION").to_owned()];
    for document in [document].into_iter().chain(included.iter().copied()) {
        parts.push(files.path(document.file).to_owned());
        parts.push(files.text_of(document.file).to_owned());
        for list in &document.lists {
            if let ListSource::File(path) = &list.source {
                let path = resolve(files.path(path.at.file), &path.value).unwrap_or_default();
                parts.push(files.text(&path).unwrap_or_default().to_owned());
                parts.push(path);
            }
        }
    }
    let here: Vec<&OverrideDef> =
        overrides.iter().filter(|change| document.rules.iter().any(|rule| rule.id.value == change.id.value)).collect();
    parts.push(format!("{here:?}"));
    hex(&of_parts(parts.iter().map(String::as_bytes))).chars().take(16).collect()
}
