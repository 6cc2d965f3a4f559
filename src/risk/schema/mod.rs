//! What expressions can speak of: the fields of an event and of what surrounds it, as data.
//!
//! One table, [`FIELDS`], is the source of everything that knows a field by name: the checker (`risk::expr`), the
//! binding of an event to typed slots ([`Facts`]), the reference in `docs/expressions.md` and the completion of editors. A
//! field that is not in it does not exist; one that is there has a type, says when it is present, and has one line of
//! code that takes it from where it comes.

mod enums;
mod facts;
mod fields;
mod owned;
#[cfg(test)]
mod tests;

pub use enums::{EnumType, Kind, Kinds};
pub use facts::{Around, Fact, Facts};
pub use fields::{FIELD_COUNT, FIELDS, field, fields};
pub use owned::OwnedFact;

use crate::event::Event;
use crate::risk::ask::Order;

/// The type of a value. Values of different types are never compared, added or mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number of 64 bits.
    Int,
    /// Money in fen: a whole number, but never compared with or added to a bare one.
    Fen,
    /// Text, compared byte for byte as received.
    Text,
    /// A moment, in milliseconds since the epoch.
    Time,
    /// A length of time, in milliseconds.
    Duration,
    /// A day of the calendar, written as the text `"2026-03-01"`.
    Date,
    /// An address; an IPv4 address mapped into IPv6 is the IPv4 address.
    Ip,
    /// A block of addresses, `cidr("203.0.113.0/24")`.
    Cidr,
    /// One of the members of an enum, or a word that WeChat made up since.
    Enum(EnumType),
    /// A fraction of two whole numbers, compared by cross multiplication.
    Ratio,
    /// Several values of a type, to look into by `in`.
    List(Element),
    /// A group of fields that is there or not as a whole, only good for `has(…)`.
    Group,
}

/// What the elements of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// Texts; members of enums are looked for by their text.
    Text,
    /// Whole numbers; money is looked for by its fen.
    Int,
    /// Blocks of addresses.
    Cidr,
}

impl Type {
    /// The name that people read: `Fen`, `list of Text`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "Bool",
            Self::Int => "Int",
            Self::Fen => "Fen",
            Self::Text => "Text",
            Self::Time => "Time",
            Self::Duration => "Duration",
            Self::Date => "Date",
            Self::Ip => "Ip",
            Self::Cidr => "Cidr",
            Self::Enum(of) => of.name(),
            Self::Ratio => "Ratio",
            Self::List(Element::Text) => "list of Text",
            Self::List(Element::Int) => "list of Int",
            Self::List(Element::Cidr) => "list of Cidr",
            Self::Group => "group of fields",
        }
    }
}

/// Which events a rule set is written for: `schema` of its file. It decides which kinds of event there are, and so which
/// fields are always present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Family {
    /// WeChat Pay, APIv3.
    #[default]
    PayV3,
    /// WeChat Pay, APIv2.
    PayV2,
    /// Message push of an official account or a mini program.
    Message,
    /// The open platform's component events.
    OpenPlatform,
    /// WeCom.
    Wecom,
    /// Whatever comes: nothing is sure but what every event has.
    Any,
}

impl Family {
    /// All families, in the order of the docs.
    pub const ALL: [Self; 6] = [Self::PayV3, Self::PayV2, Self::Message, Self::OpenPlatform, Self::Wecom, Self::Any];

    /// The name in `schema:`, the same as an endpoint's `protocol`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PayV3 => "pay-v3",
            Self::PayV2 => "pay-v2",
            Self::Message => "message",
            Self::OpenPlatform => "open-platform",
            Self::Wecom => "wecom",
            Self::Any => "any",
        }
    }

    /// The family of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }

    /// Whether a set that is written for it may judge events of `other`. Both protocols of WeChat Pay tell of the same kinds
    /// of event and fill the same fields; what is sure of a kind is sure in both.
    pub fn serves(self, other: Self) -> bool {
        let is_pay = |family| matches!(family, Self::PayV3 | Self::PayV2);
        self == Self::Any || self == other || (is_pay(self) && is_pay(other))
    }

    /// The kinds of event that it has.
    pub const fn kinds(self) -> Kinds {
        match self {
            Self::PayV3 | Self::PayV2 => Kinds::PAY,
            Self::Message | Self::OpenPlatform | Self::Wecom => Kinds::PUSH,
            Self::Any => Kinds::ALL,
        }
    }
}

/// Place of a field in [`FIELDS`], and of its value in [`Facts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub(super) u8);

impl FieldId {
    /// Its place in [`FIELDS`].
    pub const fn index(self) -> u8 {
        self.0
    }

    /// The field.
    pub fn field(self) -> &'static Field {
        FIELDS.get(usize::from(self.0)).unwrap_or(&FIELDS[0])
    }
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// As it is written: `event.amount.total`.
    pub path: &'static str,
    /// The type of its value.
    pub ty: Type,
    /// When it is there.
    pub presence: Presence,
    /// Whether its value names a person and is shown as `o1***yz` only.
    pub masked: bool,
    /// One sentence for the reference.
    pub about: &'static str,
    /// Where its value comes from.
    pub source: Source,
}

/// When a field has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// In every event.
    Always,
    /// By the event's kind: surely in those of `sure`, perhaps in those of `perhaps`, never in others.
    ByKind {
        /// Kinds whose events always have it. One that breaks this makes a rule that reads it an errored rule.
        sure: Kinds,
        /// Kinds whose events may have it.
        perhaps: Kinds,
    },
    /// Perhaps, whatever the kind.
    Optional,
    /// Whenever the field of this path is there.
    With(&'static str),
}

/// Where the value of a field comes from. Each is a function without state, so that binding an event is a walk over the
/// table.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// The event itself.
    Event(for<'e> fn(&'e Event) -> Fact<'e>),
    /// What the gateway knows beside it.
    Around(for<'e> fn(&Around<'e>) -> Fact<'e>),
    /// The registered order, known only after the claim.
    Order(for<'e> fn(&'e Order) -> Fact<'e>),
    /// The time of receipt in the rule set's zone.
    Local(fn(&jiff::civil::DateTime) -> i64),
}
