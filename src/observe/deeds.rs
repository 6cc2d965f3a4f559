//! What is audited beside callbacks: deliveries out of the queues, and what people do over the admin API. Their lines have a
//! member `record` that tells them apart: `delivery`, `action`.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::Observe;
use super::metrics::EndpointMetrics;
use super::record::{MAX_DETAIL, MAX_WORD, micros, printable, timestamp};
use crate::clock::Clock;
use crate::reason::Reason;

/// How an attempt at a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// The upstream took it.
    Delivered,
    /// It failed and is tried again.
    Postponed,
    /// It failed and was given up.
    Dead,
}

impl DeliveryEnd {
    pub(super) const ALL: [Self; 3] = [Self::Delivered, Self::Postponed, Self::Dead];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Postponed => "postponed",
            Self::Dead => "dead",
        }
    }
}

/// One attempt at a delivery out of a queue.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The row's id.
    pub row: String,
    /// WeChat's id of the event.
    pub event: String,
    /// Its type.
    pub kind: String,
    /// What it is about.
    pub subject: Option<String>,
    /// How often it was handed to the upstream, this time included.
    pub attempt: u32,
    /// What the upstream answered, if it did.
    pub upstream_status: Option<u16>,
    /// From the first byte out to the last byte in.
    pub took: Duration,
    /// What came of it.
    pub end: DeliveryEnd,
    /// In the words of callbacks.
    pub reason: Reason,
    /// For the operator.
    pub detail: String,
}

/// Something that a person did or saw, or that was done since no person did.
#[derive(Clone, Debug)]
pub struct Action<'a> {
    /// Where it came from; none: from the gateway itself.
    pub peer: Option<IpAddr>,
    /// By what right: `admin.token`, `loopback` where none is asked for, `hold_for` where a rule gave it a time.
    pub by: &'static str,
    /// What was done: `show`, `reveal`, `release`, `drop`, `redrive`, `put`, `add`, `remove`, `lift`.
    pub what: &'static str,
    /// To which queue, list or table.
    pub of: &'a str,
    /// To which entry of it; empty: to all that the detail names.
    pub id: &'a str,
    /// The stable code of how it ended: `done`, or the error's.
    pub result: &'a str,
    /// For the reader.
    pub detail: &'a str,
}

#[derive(Serialize)]
struct DeliveryLine<'a> {
    record: &'static str,
    time: String,
    endpoint: &'a str,
    outcome: &'static str,
    reason: &'static str,
    end: &'static str,
    row: &'a str,
    event: EventTold,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    total_us: u64,
}

#[derive(Serialize)]
struct EventTold {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
}

#[derive(Serialize)]
struct ActionLine<'a> {
    record: &'static str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    by: &'static str,
    action: &'static str,
    of: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    result: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl Observe {
    /// An attempt at a delivery ended: counted and audited.
    pub fn delivery(&self, endpoint: &EndpointMetrics, delivery: &Delivery) {
        endpoint.upstream(delivery.upstream_status);
        endpoint.forwarded_within(delivery.took.as_secs_f64());
        endpoint.delivery(delivery.end);
        self.write_line(|| DeliveryLine {
            record: "delivery",
            time: timestamp(Clock::System.now()),
            endpoint: endpoint.name(),
            outcome: delivery.reason.outcome().code(),
            reason: delivery.reason.code(),
            end: delivery.end.name(),
            row: &delivery.row,
            event: EventTold {
                id: printable(&delivery.event, MAX_WORD),
                kind: printable(&delivery.kind, MAX_WORD),
                subject: delivery.subject.as_deref().map(|subject| printable(subject, MAX_WORD)),
            },
            attempt: delivery.attempt,
            upstream_status: delivery.upstream_status,
            detail: printable(&delivery.detail, MAX_DETAIL),
            total_us: micros(delivery.took),
        });
    }

    /// A person did or saw something: audited.
    pub fn action(&self, action: &Action<'_>) {
        self.write_line(|| ActionLine {
            record: "action",
            time: timestamp(Clock::System.now()),
            client: action.peer.map(|peer| peer.to_canonical()),
            by: action.by,
            action: action.what,
            of: printable(action.of, MAX_WORD),
            id: printable(action.id, MAX_WORD),
            result: action.result,
            detail: printable(action.detail, MAX_DETAIL),
        });
    }
}
