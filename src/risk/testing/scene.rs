//! Setting up a test: an event of its kind with the fields that the test gives, the order, lists, and what counters have
//! counted before; and playing it.

use std::sync::Arc;
use std::time::Duration;

use super::cover::{self, Values};
use super::fixture::{self, Given, NOON};
use crate::clock::UnixTime;
use crate::event::Event;
use crate::risk::ask::{Amount, Asks, CounterAsk, Measure};
use crate::risk::code::Code;
use crate::risk::expr::{Env, Expr, Members, Value};
use crate::risk::file::yaml::{Kind as NodeKind, Node};
use crate::risk::file::{Action, HistoryDef, ListType, Seen, TestDef, Text};
use crate::risk::files::Spanned;
use crate::risk::judge::{Outcome, on_error, outcome};
use crate::risk::model::Model;
use crate::risk::policy::{Judge, Policy, event_id, out_trade_no};
use crate::risk::problem::{Findings, did_you_mean, quoted};
use crate::risk::schema::{Around, Facts, Type};
use crate::risk::set::{Rule, RuleSet, Stored, member, read_members};

/// Everything that a test says, read.
pub(super) struct Scene {
    at: UnixTime,
    event: Event,
    given: Vec<Given>,
    policy: Policy,
    model: Model,
}

/// What happened.
pub(super) struct Played {
    pub(super) fires: bool,
    /// What the rule wants done, or its `on_error`.
    pub(super) action: Option<Action>,
    pub(super) score: i64,
    pub(super) degraded: bool,
    pub(super) message: Option<String>,
    pub(super) excepted_by: Option<String>,
    /// Counters that rules read, with this event.
    pub(super) counters: Vec<(String, Option<i64>)>,
    saw: Vec<String>,
    /// The values of the parts of its conditions.
    pub(super) branches: Vec<Values>,
}

impl Scene {
    /// Reads a test. None: it cannot be run, which has been said.
    pub(super) fn read(set: &Arc<RuleSet>, test: &TestDef, findings: &mut Findings<'_>) -> Option<Self> {
        let errors = findings.errors();
        let at = match &test.at {
            None => NOON,
            Some(written) => moment(written, findings)?,
        };
        let kind = fixture::kind(test.event.as_ref(), set.family(), findings)?;
        let parts = [("event", &test.event), ("http", &test.http), ("client", &test.client), ("route", &test.route)];
        let parts = parts.into_iter().chain([("verify", &test.verify)]);
        let given = parts.filter_map(|(path, node)| Some((path, node.as_ref()?)));
        let given = given.flat_map(|(path, node)| fixture::fields(path, node, findings)).collect();
        let mut model = Model::default();
        let event = fixture::event(kind, at);
        let mut judge = Judge { set: Arc::clone(set), members: set.members.clone(), all: true };
        if let Some(node) = &test.lists {
            lists(node, &mut judge, &mut model, findings);
        }
        let mut scene = Self { at, event, given, policy: Policy::of(judge), model };
        if let Some(order) = test.order.as_ref().and_then(|node| fixture::order(node, at, findings)) {
            let number = out_trade_no(&scene.facts()).unwrap_or_default().to_owned();
            scene.model.put_order(&number, order);
        }
        for history in &test.history {
            scene.remember(set, history, findings);
        }
        scene.model.set_down(test.store_is_down);
        (findings.errors() == errors).then_some(scene)
    }

    fn facts(&self) -> Facts<'_> {
        let client = core::net::IpAddr::from([203, 0, 113, 1]);
        let mut facts = Facts::from_event(&self.event, &Around::new(self.at, client, "test"));
        self.given.iter().for_each(|given| given.set(&mut facts));
        facts
    }

    /// Lets a counter have counted.
    fn remember(&mut self, set: &RuleSet, history: &HistoryDef, findings: &mut Findings<'_>) {
        let name = &history.counter;
        let counter = set.counters.iter().find(|counter| counter.name == name.value);
        let Some(stored) = counter.and_then(|counter| counter.stored.as_ref()) else {
            let stored = set.counters.iter().filter(|counter| counter.stored.is_some());
            let remedy = did_you_mean(
                &name.value,
                stored.map(|counter| counter.name.as_str()),
                "name a counter of this set; of a \
                                       ratio its two counters",
            );
            findings.add(
                Code::TestSetup,
                name.at,
                format!("no counter {} can have a history", quoted(&name.value)),
                remedy,
            );
            return;
        };
        let Some(amounts) = amounts(stored, history, findings) else { return };
        let mut seeded = std::mem::take(&mut self.model);
        let order = Asks { order: self.policy.ask(&self.facts()).asks().order.clone(), ..Asks::default() };
        let order = seeded.claim("", &order, self.at).order;
        let mut facts = self.facts();
        facts.set_order(order.as_ref());
        let env = Env { facts: &facts, counters: &[], lists: &set.members, asked: &[] };
        let earlier = stored.window.checked_div(2).unwrap_or_default().min(Duration::from_secs(1));
        match stored.id(&env) {
            Ok(id) => {
                let (measure, window, slice) = (stored.measure, stored.window, stored.slice);
                let ask = CounterAsk { id, measure, add: None, window, slice, at: self.at.minus(earlier) };
                for amount in amounts {
                    seeded.add(&ask, amount, self.at);
                }
            }
            Err(error) => {
                let message = format!("counter {} has no key for this event: {}", quoted(&name.value), error.reason);
                findings.add(Code::TestSetup, name.at, message, "give the event the fields of the counter's key");
            }
        }
        self.model = seeded;
    }

    /// Lets the event come so many times, and says what the rule made of it the last time.
    pub(super) fn play(&mut self, rule: &Rule, times: i64) -> Played {
        let mut model = std::mem::take(&mut self.model);
        let facts = self.facts();
        let id = event_id(&facts);
        let mut inquiry = self.policy.ask(&facts);
        let mut answers = model.claim(id, inquiry.asks(), self.at);
        for _ in 1..times {
            answers = model.claim(id, inquiry.asks(), self.at);
        }
        if inquiry.is_waiting() {
            let late = self.policy.ask_late(&facts, &mut inquiry, &answers);
            for _ in 1..times {
                model.claim(id, &late, self.at);
            }
            answers.counters.extend(model.claim(id, &late, self.at).counters);
        }
        let mut played = Played::nothing();
        self.policy.each(&facts, &inquiry, &answers, |judge, env, missing| {
            played.degraded = missing;
            played.look(&judge.set, rule, env, self.at);
        });
        self.model = model;
        played
    }
}

impl Played {
    fn nothing() -> Self {
        Self {
            fires: false,
            action: None,
            score: 0,
            degraded: false,
            message: None,
            excepted_by: None,
            counters: Vec::new(),
            saw: Vec::new(),
            branches: Vec::new(),
        }
    }

    fn look(&mut self, set: &RuleSet, rule: &Rule, env: &Env<'_>, now: UnixTime) {
        let wanted = set.wants_of_all.counters.iter().filter_map(|at| Some((*at, set.counters.get(*at)?)));
        let stored = wanted.filter(|(_, counter)| counter.stored.is_some());
        let after = |at: usize| env.counters.get(at).copied().flatten().map(|counted| counted.after);
        self.counters = stored.map(|(at, counter)| (counter.name.clone(), after(at))).collect();
        self.saw = rule.saw(&set.scope, env).into_iter().map(|(part, value)| format!("{part} = {value}")).collect();
        self.branches = cover::values(rule, env);
        match outcome(rule, set.openings.look(env), env, now) {
            Outcome::Quiet => {}
            Outcome::Excepted(exception) => self.excepted_by = Some(exception.name.to_string()),
            Outcome::Failed(error) => {
                self.degraded |= error.reason.is_outage();
                self.action = Some(Action::from(on_error(set, rule, &error)));
            }
            Outcome::Fires => {
                self.fires = true;
                (self.action, self.score) = (rule.action, rule.score);
                self.message = rule.message.as_ref().map(|message| message.write(env, &set.zone));
            }
        }
    }

    /// What the condition saw, for whoever wonders why a test fails.
    pub(super) fn why(&self) -> String {
        if self.saw.is_empty() {
            return "mend the rule or the test".to_owned();
        }
        format!("its condition saw {}", self.saw.join(", "))
    }
}

fn moment(text: &Text, findings: &mut Findings<'_>) -> Option<UnixTime> {
    let at = fixture::moment(&text.value);
    if at.is_none() {
        let remedy = "a moment with its offset: \"2026-03-01T05:59:59+08:00\"";
        findings.add(Code::TestSetup, text.at, format!("{} is no moment", quoted(&text.value)), remedy);
    }
    at
}

/// Gives lists other values.
fn lists(node: &Node, judge: &mut Judge, model: &mut Model, findings: &mut Findings<'_>) {
    let NodeKind::Mapping(entries) = &node.kind else {
        findings.add(
            Code::WrongKind,
            node.at,
            "`lists` of a test is a mapping",
            "`lists: { our_mchids: [\"1900000001\"] }`",
        );
        return;
    };
    for (key, value) in entries {
        let at = judge.set.lists.iter().position(|list| *list == key.name);
        let members = at.and_then(|at| judge.members.get_mut(at));
        let (Some(members), NodeKind::Sequence(items)) = (members, &value.kind) else {
            let known = judge.set.lists.iter().map(String::as_str);
            let remedy = did_you_mean(&key.name, known, "name a list of this set, and its values as a sequence");
            findings.add(Code::TestSetup, key.at, format!("no list {} can be given", quoted(&key.name)), remedy);
            continue;
        };
        let values = items.iter().filter_map(|item| Some(Spanned::new(item.as_scalar()?.text.clone(), item.at)));
        let values: Vec<Text> = values.collect();
        let of = match &**members {
            Members::Text(_) => ListType::Text,
            Members::Int(_) => ListType::Int,
            Members::Cidr(_) => ListType::Cidr,
            Members::InStore => {
                for value in &values {
                    model.add_to_list(&key.name, &value.value);
                }
                continue;
            }
        };
        *members = Arc::new(read_members(of, &values, findings));
    }
}

fn amounts(stored: &Stored, history: &HistoryDef, findings: &mut Findings<'_>) -> Option<Vec<Amount>> {
    let is_distinct = matches!(stored.measure, Measure::Distinct { .. });
    let ty = stored.add.as_ref().map_or(Type::Int, Expr::ty);
    match &history.seen {
        Seen::Value(0) if !is_distinct => Some(Vec::new()),
        Seen::Value(_) if stored.measure == Measure::FirstSeen => Some(vec![Amount::Number(1)]),
        Seen::Value(number) if !is_distinct => Some(vec![Amount::Number(*number)]),
        Seen::Values(values) if is_distinct => {
            Some(values.iter().map(|value| Amount::Member(member(&typed(ty, &value.value)))).collect())
        }
        Seen::Count(count) if is_distinct => {
            let made_up = |n| Amount::Member(member(&Value::Text(format!("history-{n}").into())));
            Some((0..*count).map(made_up).collect())
        }
        Seen::Value(_) | Seen::Values(_) | Seen::Count(_) => {
            let remedy =
                if is_distinct { "`values: [T1]` or `count: 10`: it counts different values" } else { "`value: 5`" };
            let name = &history.counter;
            findings.add(
                Code::TestSetup,
                name.at,
                format!("counter {} has no such history", quoted(&name.value)),
                remedy,
            );
            None
        }
    }
}

/// A value of that type as a test writes it.
fn typed(ty: Type, text: &str) -> Value<'_> {
    let value = match ty {
        Type::Ip => text.parse().ok().map(Value::Ip),
        Type::Int => text.parse().ok().map(Value::Int),
        Type::Fen => text.parse().ok().map(Value::Fen),
        Type::Bool
        | Type::Text
        | Type::Time
        | Type::Duration
        | Type::Date
        | Type::Cidr
        | Type::Enum(_)
        | Type::Ratio
        | Type::List(_)
        | Type::Group => None,
    };
    value.unwrap_or_else(|| Value::Text(text.into()))
}
