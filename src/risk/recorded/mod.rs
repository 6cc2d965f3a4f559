//! What is recorded of an event so that it can be judged again: the facts that rules saw, and what the store answered about
//! the order, lists and counters. The audit log carries it; backtests and `rules explain` read it.
//!
//! Its JSON form has the names of the schema's fields and a version (`docs/rules.md`, "Recorded events"). It holds no secret,
//! since no field does; what names a person can be hashed, which keeps counters right and lists not.

mod held;
mod line;
mod read;

use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};

use super::ask::{Answers, Counted, ListAsk, Order};
use super::inquiry::Inquiry;
use super::policy::{self, Policy};
use super::schema::{Fact, Facts, FieldId, Kind, OwnedFact, Source, Type, field, fields};
use super::set::{hex, is_of_order, of_parts};
use crate::clock::UnixTime;

pub use held::read_held;
pub use line::{Entry, LineError, read_line};

/// The version of the form.
pub const VERSION: u32 = 1;
/// Longest text that is recorded, in bytes; those of events are shorter by themselves.
const MAX_TEXT: usize = 1024;

/// What is recorded of what names a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Persons {
    /// All of it, so that lists of people can be judged again.
    #[default]
    Plain,
    /// A digest of it: what is the same stays the same, and nothing else can be told. The merchant's own words (`attach`)
    /// and the address that ordered are left out.
    Hashed,
}

/// An event as rules saw it, with what the store answered.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Recorded {
    facts: Vec<(FieldId, OwnedFact)>,
    /// Whether the order was asked for: if not, that there is none says nothing.
    asked_order: bool,
    lists: Vec<Listed>,
    counters: Vec<CounterTold>,
    is_hashed: bool,
}

/// What the store said about a list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    list: String,
    field: FieldId,
    is_on: bool,
}

/// What the store said about a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterTold {
    /// The rule set.
    pub set: String,
    /// The counter's name in it.
    pub counter: String,
    /// Its value.
    pub counted: Counted,
}

impl Policy {
    /// What to record of an event that was judged, or that would have been if there were rules.
    pub fn record(&self, facts: &Facts<'_>, inquiry: &Inquiry, answers: &Answers, persons: Persons) -> Recorded {
        let mut facts = facts.clone();
        facts.set_order(answers.order.as_ref());
        let mut recorded = Recorded {
            facts: Vec::with_capacity(32),
            asked_order: inquiry.asks().order.is_some(),
            is_hashed: persons == Persons::Hashed,
            ..Recorded::default()
        };
        for (id, field) in fields() {
            let fact = facts.get(id);
            if !matches!(fact, Fact::Absent | Fact::Unknown) && !matches!(field.source, Source::Local(_)) {
                recorded.facts.extend(owned(id, fact, persons).map(|owned| (id, owned)));
            }
        }
        for (set, used, is_on) in inquiry.listed(answers) {
            let list = self.sets().nth(set).and_then(|set| set.lists.get(used.list));
            let known = |list: &String| recorded.lists.iter().any(|it| it.list == *list && it.field == used.field);
            if let Some(list) = list.filter(|list| !known(list)) {
                recorded.lists.push(Listed { list: list.clone(), field: used.field, is_on });
            }
        }
        self.each(&facts, inquiry, answers, |judge, env, _| {
            for index in &judge.wants().counters {
                let counter = judge.set.counters.get(*index).filter(|counter| counter.stored.is_some());
                if let (Some(counter), Some(Some(value))) = (counter, env.counters.get(*index)) {
                    let (set, counter) = (judge.set.name.to_string(), counter.name.clone());
                    recorded.counters.push(CounterTold { set, counter, counted: *value });
                }
            }
        });
        recorded
    }
}

/// The value as it is recorded; none: it is left out.
fn owned(id: FieldId, fact: Fact<'_>, persons: Persons) -> Option<OwnedFact> {
    match (fact, persons) {
        (Fact::Text(text), Persons::Hashed) if id.field().masked => Some(OwnedFact::Text(hashed(text))),
        (_, Persons::Hashed) if matches!(id.field().path, "event.attach" | "order.client_ip") => None,
        (Fact::Text(text), _) => {
            Some(OwnedFact::Text(text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default().to_owned()))
        }
        (fact, _) => Some(OwnedFact::of(fact)),
    }
}

fn hashed(text: &str) -> String {
    format!("sha256:{}", hex(&of_parts([b"wxgate recorded person".as_slice(), text.as_bytes()])))
}

impl Recorded {
    /// The facts, without an order.
    pub fn facts(&self) -> Facts<'_> {
        let mut facts = Facts::none();
        for (id, fact) in self.facts.iter().filter(|(id, _)| !is_of_order(*id)) {
            facts.set(*id, fact.as_fact());
        }
        facts
    }

    /// The order as it was registered.
    pub fn order(&self) -> Option<Order> {
        let text = |path| self.text(path).map(str::to_owned);
        let time = |path| UnixTime::from_millis(self.int(path).unwrap_or_default());
        let client_ip = match self.fact("order.client_ip") {
            Some(OwnedFact::Ip(ip)) => Some(ip.to_string()),
            _ => None,
        };
        Some(Order {
            amount_total: self.int("order.amount_total")?,
            currency: text("order.currency").unwrap_or_else(|| "CNY".to_owned()),
            payer_openid: text("order.payer_openid"),
            client_ip,
            registered_at: time("order.registered_at"),
            expires_at: time("order.expires_at"),
        })
    }

    /// Whether it is known if there was an order.
    pub fn knows_order(&self) -> bool {
        self.asked_order
    }

    /// Whether a value was on a list; none: nobody asked.
    pub(super) fn listed(&self, ask: &ListAsk) -> Option<bool> {
        let facts = |id: FieldId| self.facts.iter().find(|(known, _)| *known == id).map(|(_, fact)| fact.as_fact());
        let asked = |it: &&Listed| it.list == ask.list && facts(it.field).and_then(Fact::as_text) == Some(&*ask.value);
        self.lists.iter().find(asked).map(|it| it.is_on)
    }

    /// What the store said of counters at the time.
    pub fn counters(&self) -> &[CounterTold] {
        &self.counters
    }

    /// Forgets what the store said of counters: they are counted anew.
    pub fn forget_counters(&mut self) {
        self.counters.clear();
    }

    /// Whether what names a person was hashed.
    pub fn is_hashed(&self) -> bool {
        self.is_hashed
    }

    /// When the event was received.
    pub fn received_at(&self) -> UnixTime {
        policy::received_at(&self.facts_of("now"))
    }

    /// WeChat's id of the event.
    pub fn id(&self) -> &str {
        self.text("event.id").unwrap_or_default()
    }

    /// What the event is about, in the merchant's own numbers.
    pub fn subject(&self) -> Option<&str> {
        self.text("event.subject").or_else(|| self.text("event.out_trade_no"))
    }

    /// The endpoint that it came to.
    pub fn endpoint(&self) -> &str {
        self.text("route.name").unwrap_or_default()
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        let name = self.text("event.kind").unwrap_or_default();
        Kind::ALL.into_iter().find(|kind| kind.name() == name).unwrap_or(Kind::Other)
    }

    fn facts_of(&self, path: &str) -> Facts<'_> {
        let mut facts = Facts::none();
        if let (Some(id), Some(fact)) = (field(path), self.fact(path)) {
            facts.set(id, fact.as_fact());
        }
        facts
    }

    fn fact(&self, path: &str) -> Option<&OwnedFact> {
        self.facts.iter().find(|(id, _)| id.field().path == path).map(|(_, fact)| fact)
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.fact(path).and_then(|fact| fact.as_fact().as_text())
    }

    fn int(&self, path: &str) -> Option<i64> {
        match self.fact(path) {
            Some(OwnedFact::Int(number)) => Some(*number),
            _ => None,
        }
    }
}

impl Serialize for Recorded {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("v", &VERSION)?;
        if self.is_hashed {
            map.serialize_entry("hashed", &true)?;
        }
        for (id, fact) in &self.facts {
            let path = id.field().path;
            match fact {
                OwnedFact::Absent => {}
                OwnedFact::Int(number) if id.field().ty == Type::Bool => map.serialize_entry(path, &(*number != 0))?,
                OwnedFact::Int(number) => map.serialize_entry(path, number)?,
                OwnedFact::Text(text) | OwnedFact::Member(_, text) => map.serialize_entry(path, text)?,
                OwnedFact::Ip(ip) => map.serialize_entry(path, ip)?,
                OwnedFact::Texts(texts) => map.serialize_entry(path, texts)?,
                OwnedFact::There => map.serialize_entry(path, &true)?,
            }
        }
        if self.asked_order && self.fact("order").is_none() {
            map.serialize_entry("order", &false)?;
        }
        if !self.lists.is_empty() {
            let lists = self.lists.iter().map(|it| (&*it.list, it.field.field().path, it.is_on));
            map.serialize_entry("lists", &Nested(lists.collect()))?;
        }
        if !self.counters.is_empty() {
            let counters = self.counters.iter().map(|it| {
                let Counted { before, after } = it.counted;
                (&*it.set, &*it.counter, [before, after])
            });
            map.serialize_entry("counters", &Nested(counters.collect()))?;
        }
        map.end()
    }
}

/// Values under two names, those of one outer name together.
struct Nested<'a, T>(Vec<(&'a str, &'a str, T)>);

impl<T: Serialize> Serialize for Nested<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        struct Inner<'a, T>(&'a [(&'a str, &'a str, T)], &'a str);
        impl<T: Serialize> Serialize for Inner<'_, T> {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_map(self.0.iter().filter(|(of, ..)| *of == self.1).map(|(_, name, value)| (name, value)))
            }
        }
        let mut outer: Vec<&str> = Vec::new();
        for (name, ..) in &self.0 {
            if !outer.contains(name) {
                outer.push(name);
            }
        }
        to.collect_map(outer.into_iter().map(|name| (name, Inner(&self.0, name))))
    }
}

impl<'de> Deserialize<'de> for Recorded {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        read::recorded(from)
    }
}

#[cfg(test)]
mod tests;
