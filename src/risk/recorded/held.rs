//! A held event as an event to judge: what `wxgate held show --json` prints. It has no counters, lists or address, and
//! unless it was revealed what names a person is masked.

use core::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use super::{Entry, Persons, Recorded};
use crate::clock::UnixTime;
use crate::event::Event;
use crate::risk::ask::Answers;
use crate::risk::file::Action;
use crate::risk::inquiry::Inquiry;
use crate::risk::policy::Policy;
use crate::risk::schema::{Around, Facts};

/// Reads a shown row. None: this is no row.
pub fn read_held(row: &Value) -> Option<Entry> {
    let head = row.get("row")?;
    let mut told = row.get("event")?.clone();
    for moment in ["time", "success_time"] {
        if let Some(value) = told.get_mut(moment) {
            *value = value.as_str().and_then(time).map_or(Value::Null, |at| Value::from(at.millis()));
        }
    }
    let event: Event = serde_json::from_value(told).ok()?;
    let text = |of: &Value, member: &str| of.get(member).and_then(Value::as_str).map(str::to_owned);
    let signed = row.get("signed");
    let (endpoint, received_at) = (text(head, "endpoint")?, text(head, "received_at").as_deref().and_then(time)?);
    let serial = signed.and_then(|signed| text(signed, "by"));
    let around = Around {
        serial: serial.as_deref(),
        signed_at: signed.and_then(|signed| text(signed, "at")).as_deref().and_then(time),
        ..Around::new(received_at, IpAddr::from([0, 0, 0, 0]), &endpoint)
    };
    let facts = Facts::from_event(&event, &around);
    let mut recorded = Policy::default().record(&facts, &Inquiry::default(), &Answers::default(), Persons::Plain);
    recorded.forget("client.ip");
    let action = row.pointer("/verdict/action").and_then(Value::as_str).and_then(Action::named);
    Some(Entry { recorded, family: None, action })
}

fn time(text: &str) -> Option<UnixTime> {
    text.parse::<Timestamp>().ok().map(|at| UnixTime::from_millis(at.as_millisecond()))
}

impl Recorded {
    /// Takes a fact away that is not known.
    fn forget(&mut self, path: &str) {
        self.facts.retain(|(id, _)| id.field().path != path);
    }
}
