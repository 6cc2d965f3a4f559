//! What a policy asks of the store for one event, and which answer is which.

use super::ask::{Amount, CounterAsk, ListAsk, Measure};
use super::ask::{Answers, Asks, Counted};
use super::expr::{Asked, Env, EvalError, ListUse};
use super::policy::Judge;
use super::schema::{Fact, Facts};
use super::set::{Counter, RuleSet, Stored, member};
use crate::clock::UnixTime;

/// The asks for one event, with the plan by which their answers are read.
#[derive(Clone, Debug, Default)]
pub struct Inquiry {
    asks: Asks,
    /// For every counter of every set, in order.
    slots: Vec<Slot>,
    /// For every list asked: by which set, and about what.
    uses: Vec<(usize, ListUse)>,
}

/// Where a counter's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// No rule reads it.
    Unwanted,
    /// The answer of that index.
    Asked(usize),
    /// Nothing has been counted for a key that this event does not have.
    Nothing,
    /// It waits for the order.
    Late,
    /// Its own expressions failed.
    Failed,
}

impl Inquiry {
    /// What travels with the claim.
    pub fn asks(&self) -> &Asks {
        &self.asks
    }

    /// Whether counters wait for the order, so that a second round trip is needed.
    pub fn is_waiting(&self) -> bool {
        self.slots.contains(&Slot::Late)
    }

    /// Asks for the registered order, if the event names one.
    pub(super) fn want_order(&mut self, out_trade_no: Option<&str>) {
        self.asks.order = out_trade_no.map(str::to_owned);
    }

    /// Asks for one set.
    pub(super) fn ask(&mut self, number: usize, judge: &Judge, facts: &Facts<'_>, now: UnixTime) {
        for used in &judge.wants().lists {
            let name = judge.set.lists.get(used.list);
            if let (Some(name), Fact::Text(value) | Fact::Member(_, value)) = (name, facts.get(used.field)) {
                self.asks.lists.push(ListAsk { list: name.clone(), value: value.to_owned() });
                self.uses.push((number, *used));
            }
        }
        let env = Env { facts, counters: &[], lists: &judge.members, asked: &[] };
        for (index, counter) in judge.set.counters.iter().enumerate() {
            let slot = match &counter.stored {
                None => Slot::Unwanted, // a ratio is made of two others
                Some(_) if judge.wants().counters.binary_search(&index).is_err() => Slot::Unwanted,
                Some(stored) if stored.is_late => Slot::Late,
                Some(stored) => count(stored, &env, now, &mut self.asks.counters),
            };
            self.slots.push(slot);
        }
    }

    /// Asks for what waited for the order. Answers go behind those of the first round trip, so `answers` is how many
    /// those were.
    pub(super) fn ask_late(&mut self, judges: &[Judge], facts: &[Facts<'_>], answers: &Answers, now: UnixTime) -> Asks {
        let mut asks = Asks::default();
        let mut slots = std::mem::take(&mut self.slots);
        let mut left = slots.iter_mut();
        for (number, (judge, facts)) in judges.iter().zip(facts).enumerate() {
            let asked = self.asked(number, answers);
            let env = Env { facts, counters: &[], lists: &judge.members, asked: &asked };
            for counter in &judge.set.counters {
                let (Some(slot), stored) = (left.next(), &counter.stored) else { break };
                if let (Slot::Late, Some(stored)) = (*slot, stored) {
                    *slot = count(stored, &env, now, &mut asks.counters);
                    if let Slot::Asked(at) = slot {
                        *at = at.saturating_add(self.asks.counters.len());
                    }
                }
            }
        }
        self.slots = slots;
        asks
    }

    /// The counters of a set whose first slot is `first`, and whether one of them is missing.
    pub(super) fn counters(
        &self,
        first: usize,
        counters: &[Counter],
        answers: &Answers,
    ) -> (Vec<Option<Counted>>, bool) {
        let mut missing = false;
        let slots = self.slots.iter().skip(first).take(counters.len());
        let values = slots.map(|slot| match slot {
            Slot::Asked(at) => {
                let answer = answers.counters.get(*at).copied().flatten();
                missing |= answer.is_none();
                answer
            }
            Slot::Nothing | Slot::Unwanted => Some(Counted::default()),
            Slot::Late => {
                missing = true;
                None
            }
            Slot::Failed => None,
        });
        (values.collect(), missing)
    }

    /// What the store said about lists: the number of the set that asked, what it asked, and whether the value was there.
    pub(super) fn listed(&self, answers: &Answers) -> impl Iterator<Item = (usize, ListUse, bool)> {
        self.uses.iter().zip(&answers.lists).map(|((set, used), listed)| (*set, *used, *listed))
    }

    /// Takes back what is asked about lists where `is_known` is false: what reads them fails then, as if the store had not
    /// answered.
    pub(super) fn retain_lists(&mut self, is_known: impl Fn(&ListAsk) -> bool) {
        let mut known = self.asks.lists.iter().map(&is_known).collect::<Vec<_>>().into_iter();
        self.uses.retain(|_| known.next().unwrap_or(false));
        self.asks.lists.retain(is_known);
    }

    /// Puts other answers in the place of those of counters, where `told` knows them. `sets` are those of the policy.
    pub(super) fn overlay<'s>(
        &self,
        sets: impl Iterator<Item = &'s RuleSet>,
        answers: &mut Answers,
        told: impl Fn(&RuleSet, &Counter) -> Option<Counted>,
    ) {
        let counters = sets.flat_map(|set| set.counters.iter().map(move |counter| (set, counter)));
        for (slot, (set, counter)) in self.slots.iter().zip(counters) {
            let Slot::Asked(at) = slot else { continue };
            if let (Some(answer), Some(known)) = (answers.counters.get_mut(*at), told(set, counter)) {
                *answer = Some(known);
            }
        }
    }

    /// The lists that a set asked for.
    pub(super) fn asked(&self, number: usize, answers: &Answers) -> Vec<Asked> {
        let uses = self.uses.iter().zip(&answers.lists).filter(|((set, _), _)| *set == number);
        uses.map(|((_, ask), listed)| Asked { ask: *ask, listed: *listed }).collect()
    }
}

/// Adds the ask of one counter.
fn count(stored: &Stored, env: &Env<'_>, now: UnixTime, asks: &mut Vec<CounterAsk>) -> Slot {
    match ask(stored, env, now) {
        Ok(Some(ask)) => {
            asks.push(ask);
            Slot::Asked(asks.len().saturating_sub(1))
        }
        Ok(None) => Slot::Nothing,
        Err(_) => Slot::Failed,
    }
}

/// The ask of a counter for an event. None: the event does not count and has no key either.
pub(super) fn ask(stored: &Stored, env: &Env<'_>, now: UnixTime) -> Result<Option<CounterAsk>, EvalError> {
    let counts = stored.when.as_ref().map_or(Ok(true), |when| when.holds(env))?;
    let id = match stored.id(env) {
        Ok(id) => id,
        Err(error) if counts => return Err(error),
        Err(_) => return Ok(None),
    };
    let add = if counts { Some(amount(stored, env)?) } else { None };
    let at = match &stored.by {
        Some(by) if counts => UnixTime::from_millis(by.number(env)?).min(now),
        Some(_) | None => now,
    };
    Ok(Some(CounterAsk { id, measure: stored.measure, add, window: stored.window, slice: stored.slice, at }))
}

fn amount(stored: &Stored, env: &Env<'_>) -> Result<Amount, EvalError> {
    match (&stored.add, stored.measure) {
        (None, _) => Ok(Amount::Number(1)),
        (Some(expr), Measure::Distinct { .. }) => Ok(Amount::Member(member(&expr.value(env)?))),
        (Some(expr), Measure::Count | Measure::Sum | Measure::Last | Measure::FirstSeen) => {
            Ok(Amount::Number(expr.number(env)?))
        }
    }
}
