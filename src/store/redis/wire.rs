//! What the engine's scripts take and give, byte by byte. The other side of each is the head of its file in `lua/`.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else Redis answers is strange alike")]

use std::fmt::Display;

use redis::Value;

use super::order;
use super::script::{Script, Times};
use crate::clock::UnixTime;
use crate::risk::ask::{Amount, Answers, Counted, CounterAsk, LONGEST_WINDOW, MOST_DISTINCT, Measure, Order};
use crate::store::StoreError;
use crate::store::engine::{Ask, CountAsk, End, Lease, NonceUse, PutOrder, Reply, Settlement};

macro_rules! script {
    ($name:literal, $($part:literal),+) => {
        Script::new($name, concat!(include_str!("lua/clock.lua"), $(include_str!(concat!("lua/", $part, ".lua"))),+))
    };
}

pub(super) static CLAIM: Script = script!("claim", "table", "events", "claim", "counters", "claim_counting");
pub(super) static COUNT: Script = script!("count", "table", "events", "counters", "count");
pub(super) static SETTLE: Script = script!("settle", "table", "events", "settle");
pub(super) static PUT_ORDERS: Script = script!("put-orders", "put_orders");
pub(super) static ORDER: Script = script!("order", "order");
pub(super) static LIST_ADD: Script = script!("list-add", "lists", "list_add");
pub(super) static LIST_REMOVE: Script = script!("list-remove", "lists", "list_remove");
pub(super) static LIST_SHOW: Script = script!("list-show", "lists", "list_show");
pub(super) static LISTED: Script = script!("listed", "listed");

/// Nonces of so many seconds of signing share a table, which expires as a whole.
const SLOT_SECS: i64 = 60;

/// What Lua counts exactly to; sums end there.
const LARGEST: i64 = 1 << 53;

/// Arguments of a script, one behind the other in one piece of memory.
#[derive(Default)]
pub(super) struct Arguments {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Arguments {
    pub(super) fn at(times: Times, now: UnixTime) -> Self {
        let mut arguments = Self { bytes: Vec::with_capacity(256), ends: Vec::with_capacity(16) };
        arguments.push(times.argument(now));
        arguments
    }

    pub(super) fn push(&mut self, argument: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(argument.as_ref());
        self.ends.push(self.bytes.len());
    }

    fn push_number(&mut self, number: impl Display) {
        self.push(number.to_string());
    }

    /// As a script takes them.
    pub(super) fn parts(&self) -> Vec<&[u8]> {
        let from = std::iter::once(0).chain(self.ends.iter().copied());
        from.zip(&self.ends).filter_map(|(from, to)| self.bytes.get(from..*to)).collect()
    }
}

/// `lists`: the keys of the lists asked, if they lie where the claim's keys do.
pub(super) fn claim(ask: &Ask<'_>, lease: Lease, lists: &[String], times: Times) -> Arguments {
    let mut arguments = Arguments::at(times, ask.now);
    arguments.push(lease.0.to_be_bytes());
    arguments.push_number(u64::try_from(ask.lease.as_millis()).unwrap_or(u64::MAX));
    arguments.push_number(ask.retention.as_secs());
    arguments.push(ask.event);
    arguments.push(ask.content);
    match ask.nonce {
        Some(NonceUse { digest, signed_at, until }) => {
            let until_secs = secs_up(until);
            arguments.push(digest);
            arguments.push_number(signed_at.secs().div_euclid(SLOT_SECS));
            arguments.push_number(until_secs);
            arguments.push_number(until_secs.saturating_sub(signed_at.secs()));
        }
        None => (0..4).for_each(|_| arguments.push("")),
    }
    arguments.push(ask.order.map_or_else(Vec::new, |order| order.to_vec()));
    arguments.push_number(lists.len());
    for (key, list) in lists.iter().zip(ask.lists) {
        arguments.push(key);
        arguments.push(&list.value);
    }
    ask.counters.iter().for_each(|counter| arguments.push(self::counter(counter)));
    arguments
}

pub(super) fn count(ask: &CountAsk<'_>, times: Times) -> Arguments {
    let mut arguments = Arguments::at(times, ask.now);
    arguments.push(ask.event);
    ask.counters.iter().for_each(|counter| arguments.push(self::counter(counter)));
    arguments
}

pub(super) fn settle(settlement: &Settlement<'_>, times: Times) -> Arguments {
    let mut arguments = Arguments::at(times, settlement.now);
    arguments.push(settlement.event);
    arguments.push(settlement.content);
    arguments.push(settlement.lease.0.to_be_bytes());
    arguments.push(match settlement.end {
        End::Done => "done",
        End::Released => "released",
    });
    arguments.push_number(settlement.retention.as_secs());
    arguments
}

pub(super) fn put_orders(orders: &[PutOrder], now: UnixTime, times: Times) -> Arguments {
    let mut arguments = Arguments::at(times, now);
    for PutOrder { order, says, until } in orders {
        arguments.push(order);
        arguments.push_number(secs_up(*until));
        arguments.push(order::encode(says));
    }
    arguments
}

/// Seconds since the epoch, never earlier than `time`; until 2106, since 4 bytes keep them.
pub(super) fn secs_up(time: UnixTime) -> i64 {
    time.millis().saturating_add(999).div_euclid(1000).clamp(0, i64::from(u32::MAX))
}

fn counter(ask: &CounterAsk) -> Vec<u8> {
    let (letter, exact_up_to) = match ask.measure {
        Measure::Count => (b'C', 0),
        Measure::Sum => (b'S', 0),
        Measure::Distinct { exact_up_to } => (b'D', exact_up_to.min(MOST_DISTINCT)),
        Measure::Last => (b'L', 0),
        Measure::FirstSeen => (b'F', 0),
    };
    let is_distinct = letter == b'D';
    let (kind, amount) = match ask.add {
        None => (b'-', [0; 8]),
        Some(Amount::Number(number)) if !is_distinct => (b'n', number.clamp(-LARGEST, LARGEST).to_be_bytes()),
        Some(Amount::Member(member)) if is_distinct => (b'm', member),
        Some(Amount::Number(_) | Amount::Member(_)) => (b'x', [0; 8]),
    };
    const { assert!(LONGEST_WINDOW.as_millis() < u32::MAX as u128, "windows and slices have 4 bytes") };
    let mut bytes = Vec::with_capacity(44);
    bytes.push(letter);
    bytes.extend(ask.id);
    bytes.extend(ask.window_millis().to_be_bytes());
    bytes.extend(ask.slice_millis().to_be_bytes());
    bytes.extend(ask.at.millis().clamp(-LARGEST, LARGEST).to_be_bytes());
    bytes.extend(exact_up_to.to_be_bytes());
    bytes.push(kind);
    bytes.extend(amount);
    bytes
}

/// What a claim was answered. Lists may come from elsewhere.
pub(super) fn reply(value: Value, lease: Lease, counters: usize) -> Result<Reply, StoreError> {
    match value {
        Value::Int(1) => Ok(Reply::Replayed),
        Value::Int(2) => Ok(Reply::Duplicate),
        Value::Int(3) => Ok(Reply::InFlight),
        Value::Int(4) => Ok(Reply::IdConflict),
        Value::Array(values) => {
            let mut values = values.into_iter();
            let attempt = values.next().as_ref().and_then(number).and_then(|attempt| u32::try_from(attempt).ok());
            let attempt = attempt.ok_or_else(strange)?;
            let order = order(values.next().ok_or_else(strange)?)?;
            let lists = listed(values.next().ok_or_else(strange)?)?;
            let counters = counted(values, counters)?;
            Ok(Reply::Claimed { attempt, lease, answers: Answers { counters, order, lists, is_local: false } })
        }
        _ => Err(strange()),
    }
}

/// Two numbers for each counter, or none twice.
pub(super) fn counted(
    mut values: impl Iterator<Item = Value>,
    counters: usize,
) -> Result<Vec<Option<Counted>>, StoreError> {
    let mut counted = Vec::with_capacity(counters);
    for _ in 0..counters {
        counted.push(match (values.next(), values.next()) {
            (Some(Value::Nil), Some(Value::Nil)) => None,
            (Some(before), Some(after)) => {
                let (before, after) = number(&before).zip(number(&after)).ok_or_else(strange)?;
                Some(Counted { before, after })
            }
            _ => return Err(strange()),
        });
    }
    Ok(counted)
}

/// A `0` or `1` for each list.
pub(super) fn listed(value: Value) -> Result<Vec<bool>, StoreError> {
    match value {
        Value::BulkString(digits) => Ok(digits.into_iter().map(|digit| digit == b'1').collect()),
        _ => Err(strange()),
    }
}

/// An order behind the 4 bytes of its end, or none.
pub(super) fn order(value: Value) -> Result<Option<Order>, StoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => bytes.get(4..).and_then(order::decode).map(Some).ok_or_else(strange),
        _ => Err(strange()),
    }
}

pub(super) fn number(value: &Value) -> Option<i64> {
    if let Value::Int(number) = value { Some(*number) } else { None }
}

pub(super) fn text(value: Value) -> Option<String> {
    if let Value::BulkString(bytes) = value { String::from_utf8(bytes).ok() } else { None }
}

/// An answer of another form than the script's: somebody else's keys, or another version's.
pub(super) fn strange() -> StoreError {
    StoreError::Refused { cause: "an answer of another form; does something else write under store.prefix?".into() }
}
