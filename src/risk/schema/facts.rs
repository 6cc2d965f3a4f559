//! An event and what surrounds it, as typed slots that expressions read without knowing a name.

use core::net::IpAddr;

use jiff::tz::TimeZone;

use super::{EnumType, FIELD_COUNT, FIELDS, FieldId, Source};
use crate::clock::UnixTime;
use crate::event::Event;
use crate::risk::ask::Order;

/// What the gateway knows beside the event.
#[derive(Clone, Copy, Debug)]
pub struct Around<'e> {
    /// When the callback was received.
    pub received_at: UnixTime,
    /// Who sent it: the peer, or whom a trusted proxy names.
    pub client_ip: IpAddr,
    /// The endpoint's name.
    pub route: &'e str,
    /// Ways to pay that the endpoint allows; none: all of them.
    pub allowed_trade_types: Option<&'e [String]>,
    /// The request's method.
    pub method: &'e str,
    /// The request's path, without the query.
    pub path: &'e str,
    /// How the callback was signed, for one `WECHATPAY2-SHA256-RSA2048`.
    pub scheme: Option<&'e str>,
    /// The serial number or id of the key that the signature was verified with.
    pub serial: Option<&'e str>,
    /// When it was signed, as its header says.
    pub signed_at: Option<UnixTime>,
}

impl<'e> Around<'e> {
    /// What is known at least: when, from where, by which endpoint. The request is a `POST` of `/`, its signature
    /// unknown.
    pub fn new(received_at: UnixTime, client_ip: IpAddr, route: &'e str) -> Self {
        Self {
            received_at,
            client_ip,
            route,
            allowed_trade_types: None,
            method: "POST",
            path: "/",
            scheme: None,
            serial: None,
            signed_at: None,
        }
    }
}

/// The value of one field for one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fact<'e> {
    /// The event does not have it.
    #[default]
    Absent,
    /// A number, an amount in fen, a time or duration in milliseconds, a date as 20260301, a truth as 1 or 0.
    Int(i64),
    /// A text.
    Text(&'e str),
    /// The code of a member, or 255, and the word itself.
    Member(u8, &'e str),
    /// An address.
    Ip(IpAddr),
    /// Texts to look into; none: every text is in it.
    Texts(Option<&'e [String]>),
    /// A group of fields is there.
    There,
    /// Whether it is there could not be found out.
    Unknown,
}

impl<'e> Fact<'e> {
    /// The text or the word, if it is one.
    #[inline]
    pub fn as_text(self) -> Option<&'e str> {
        match self {
            Self::Text(text) | Self::Member(_, text) => Some(text),
            Self::Absent | Self::Int(_) | Self::Ip(_) | Self::Texts(_) | Self::There | Self::Unknown => None,
        }
    }

    pub(super) fn text(text: Option<&'e str>) -> Self {
        text.map_or(Self::Absent, Self::Text)
    }

    pub(super) fn int(number: Option<i64>) -> Self {
        number.map_or(Self::Absent, Self::Int)
    }

    pub(super) fn time(time: Option<UnixTime>) -> Self {
        time.map_or(Self::Absent, |time| Self::Int(time.millis()))
    }

    pub(super) fn member(of: EnumType, word: Option<&'e str>) -> Self {
        word.map_or(Self::Absent, |word| Self::Member(of.code(word), word))
    }

    /// An address, whose IPv4 form counts if it has one.
    pub(super) fn ip(ip: IpAddr) -> Self {
        Self::Ip(ip.to_canonical())
    }
}

/// The values of all fields for one event. Borrows the event and what surrounds it; copies no text.
#[derive(Clone, Debug)]
pub struct Facts<'e> {
    values: [Fact<'e>; FIELD_COUNT],
}

impl<'e> Facts<'e> {
    /// Binds an event: the one place where values come from. Without an order and a local time, which
    /// [`Facts::set_order`] and [`Facts::set_zone`] add.
    pub fn from_event(event: &'e Event, around: &Around<'e>) -> Self {
        let mut values = [Fact::Absent; FIELD_COUNT];
        for (value, field) in values.iter_mut().zip(&FIELDS) {
            match field.source {
                Source::Event(take) => *value = take(event),
                Source::Around(take) => *value = take(around),
                Source::Order(_) | Source::Local(_) => {}
            }
        }
        Self { values }
    }

    /// Of nothing: every field is absent until it is [set](Facts::set).
    pub fn none() -> Self {
        Self { values: [Fact::Absent; FIELD_COUNT] }
    }

    /// Adds the registered order, or takes it away.
    pub fn set_order(&mut self, order: Option<&'e Order>) {
        for (value, field) in self.values.iter_mut().zip(&FIELDS) {
            if let Source::Order(take) = field.source {
                *value = order.map_or(Fact::Absent, take);
            }
        }
    }

    /// The store could not tell whether an order is registered: no rule may take that for no order.
    pub fn set_order_unknown(&mut self) {
        for (value, field) in self.values.iter_mut().zip(&FIELDS) {
            if matches!(field.source, Source::Order(_)) {
                *value = Fact::Unknown;
            }
        }
    }

    /// Sets `local.…`: what the clock of `zone` showed when the callback was received.
    pub fn set_zone(&mut self, received_at: UnixTime, zone: &TimeZone) {
        let local = jiff::Timestamp::from_millisecond(received_at.millis()).ok().map(|at| zone.to_datetime(at));
        for (value, field) in self.values.iter_mut().zip(&FIELDS) {
            if let Source::Local(take) = field.source {
                *value = Fact::int(local.as_ref().map(take));
            }
        }
    }

    /// Sets one field, for tests of rules and for trials. The value must be of the field's type.
    pub fn set(&mut self, field: FieldId, value: Fact<'e>) {
        if let Some(slot) = self.values.get_mut(usize::from(field.0)) {
            *slot = value;
        }
    }

    /// The value of a field.
    #[inline]
    pub fn get(&self, field: FieldId) -> Fact<'e> {
        self.values.get(usize::from(field.0)).copied().unwrap_or_default()
    }
}
