//! The policy of an endpoint: its rule sets together. It says what to ask of the store for an event, judges by the answers,
//! and alone makes a [`Cleared`].

use std::sync::{Arc, LazyLock};

use super::ask::{Answers, Asks};
use super::cleared::{Cleared, Decided};
use super::expr::{Env, Members};
use super::file::Action;
use super::inquiry::Inquiry;
use super::judge::{self, Moment};
use super::schema::{Fact, Facts, FieldId, field};
use super::set::{RuleSet, Wants};
use super::snooze::Snooze;
use super::verdict::{SetStamp, Verdict};
use crate::clock::UnixTime;

/// The rules that an endpoint judges by; none: everything is cleared. Cloned cheaply.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    judges: Arc<[Judge]>,
}

/// A rule set at work.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    pub(super) set: Arc<RuleSet>,
    /// The members of its lists, by index.
    pub(super) members: Vec<Arc<Members>>,
    /// Whether rules that are off are asked for as well, as their tests need it.
    pub(super) all: bool,
}

impl Judge {
    pub(super) fn wants(&self) -> &Wants {
        if self.all { &self.set.wants_of_all } else { &self.set.wants }
    }
}

impl Policy {
    /// A policy of these sets.
    pub fn new(sets: impl IntoIterator<Item = Arc<RuleSet>>) -> Self {
        let judge = |set: Arc<RuleSet>| Judge { members: set.members.clone(), set, all: false };
        Self { judges: sets.into_iter().map(judge).collect() }
    }

    /// A policy of one set as its tests want it.
    pub(super) fn of(judge: Judge) -> Self {
        Self { judges: Arc::from([judge]) }
    }

    /// The same, with this set in it and its rules that are off asked for as well: to explain one of them.
    pub(super) fn with_rules_off(&self, set: &Arc<RuleSet>) -> Self {
        let others = self.judges.iter().filter(|judge| judge.set.name != set.name).cloned();
        let judge = Judge { members: set.members.clone(), set: Arc::clone(set), all: true };
        Self { judges: others.chain([judge]).collect() }
    }

    /// The sets.
    pub fn sets(&self) -> impl Iterator<Item = &Arc<RuleSet>> {
        self.judges.iter().map(|judge| &judge.set)
    }

    /// Whether it has no rules, so that nothing needs to be asked or judged.
    pub fn is_empty(&self) -> bool {
        self.judges.is_empty()
    }

    /// What to ask of the store for an event.
    pub fn ask(&self, facts: &Facts<'_>) -> Inquiry {
        let mut inquiry = Inquiry::default();
        if self.judges.is_empty() {
            return inquiry;
        }
        let now = received_at(facts);
        for (number, judge) in self.judges.iter().enumerate() {
            let facts = judge.localized(facts, now);
            inquiry.ask(number, judge, facts.get(), now);
        }
        if self.judges.iter().any(|judge| judge.wants().order) {
            inquiry.want_order(out_trade_no(facts));
        }
        inquiry
    }

    /// What to ask once the order is known, if the inquiry [is waiting](Inquiry::is_waiting) for it. The answers are to be
    /// put behind those of the first round trip.
    pub fn ask_late(&self, facts: &Facts<'_>, inquiry: &mut Inquiry, answers: &Answers) -> Asks {
        let now = received_at(facts);
        let mut facts = facts.clone();
        bind_order(&mut facts, answers);
        let localized: Vec<Facts<'_>> =
            self.judges.iter().map(|judge| judge.localized(&facts, now).get().clone()).collect();
        inquiry.ask_late(&self.judges, &localized, answers, now)
    }

    /// Judges an event by what the store answered. The same facts and answers give the same verdict.
    pub fn judge(&self, facts: &Facts<'_>, inquiry: &Inquiry, answers: &Answers, snoozes: &[Snooze]) -> Verdict {
        let mut verdict = Verdict::clear();
        if self.judges.is_empty() {
            return verdict;
        }
        verdict.degraded = answers.is_local && *inquiry.asks() != Asks::default();
        let moment = Moment { now: received_at(facts), event_id: event_id(facts), snoozes };
        self.each(facts, inquiry, answers, |judge, env, missing| {
            verdict.degraded |= missing;
            judge::judge(&judge.set, env, &moment, &mut verdict);
            verdict.sets.push(SetStamp { name: Arc::clone(judge.set.name()), digest: Arc::clone(judge.set.digest()) });
        });
        verdict
    }

    /// Shows each set what its expressions are evaluated on, and whether a counter of it could not be had.
    pub(super) fn each(
        &self,
        facts: &Facts<'_>,
        inquiry: &Inquiry,
        answers: &Answers,
        mut look: impl FnMut(&Judge, &Env<'_>, bool),
    ) {
        let mut facts = facts.clone();
        bind_order(&mut facts, answers);
        let now = received_at(&facts);
        let mut first = 0_usize;
        for (number, judge) in self.judges.iter().enumerate() {
            let localized = judge.localized(&facts, now);
            let (counters, missing) = inquiry.counters(first, &judge.set.counters, answers);
            let asked = inquiry.asked(number, answers);
            first = first.saturating_add(counters.len());
            let env = Env { facts: localized.get(), counters: &counters, lists: &judge.members, asked: &asked };
            look(judge, &env, missing);
        }
    }

    /// Acts on a verdict: the only way to a [`Cleared`].
    pub fn conclude<T>(&self, subject: T, verdict: Verdict) -> Decided<T> {
        match verdict.action() {
            Action::Allow | Action::Flag => Decided::Cleared(Cleared::new(subject, verdict)),
            Action::Hold => Decided::Held { subject, verdict },
            Action::Reject => Decided::Rejected { subject, verdict },
        }
    }

    /// Clears `subject` as a policy without rules does.
    pub fn decide<T>(&self, subject: T) -> Cleared<T> {
        Cleared::new(subject, Verdict::clear())
    }
}

/// Facts as they are, or with the local time of a set.
pub(super) enum Localized<'f, 'e> {
    Same(&'f Facts<'e>),
    Own(Box<Facts<'e>>),
}

impl<'e> Localized<'_, 'e> {
    pub(super) fn get(&self) -> &Facts<'e> {
        match self {
            Self::Same(facts) => facts,
            Self::Own(facts) => facts,
        }
    }
}

impl Judge {
    pub(super) fn localized<'f, 'e>(&self, facts: &'f Facts<'e>, now: UnixTime) -> Localized<'f, 'e> {
        if !self.wants().local {
            return Localized::Same(facts);
        }
        let mut own = Box::new(facts.clone());
        own.set_zone(now, &self.set.zone);
        Localized::Own(own)
    }
}

/// Fields that a policy itself reads, found once.
static NOW: LazyLock<Option<FieldId>> = LazyLock::new(|| field("now"));
static EVENT_ID: LazyLock<Option<FieldId>> = LazyLock::new(|| field("event.id"));
static OUT_TRADE_NO: LazyLock<Option<FieldId>> = LazyLock::new(|| field("event.out_trade_no"));

/// When the event was received.
pub(super) fn received_at(facts: &Facts<'_>) -> UnixTime {
    match NOW.map(|now| facts.get(now)) {
        Some(Fact::Int(millis)) => UnixTime::from_millis(millis),
        _ => UnixTime::default(),
    }
}

fn bind_order<'e>(facts: &mut Facts<'e>, answers: &'e Answers) {
    if answers.is_local {
        facts.set_order_unknown();
    } else {
        facts.set_order(answers.order.as_ref());
    }
}

/// The event's id.
pub(super) fn event_id<'e>(facts: &Facts<'e>) -> &'e str {
    EVENT_ID.and_then(|id| text_of(facts, id)).unwrap_or_default()
}

/// The number of the event's order.
pub(super) fn out_trade_no<'e>(facts: &Facts<'e>) -> Option<&'e str> {
    text_of(facts, (*OUT_TRADE_NO)?)
}

/// The text of a field.
pub(super) fn text_of<'e>(facts: &Facts<'e>, field: FieldId) -> Option<&'e str> {
    match facts.get(field) {
        Fact::Text(text) | Fact::Member(_, text) => Some(text),
        Fact::Absent | Fact::Int(_) | Fact::Ip(_) | Fact::Texts(_) | Fact::There | Fact::Unknown => None,
    }
}
