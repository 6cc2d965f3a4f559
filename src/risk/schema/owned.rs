//! Values of fields that own their texts: what a test gives, and what was recorded of an event.

use core::net::IpAddr;

use super::Fact;

/// A [`Fact`] that outlives its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedFact {
    /// The event does not have it.
    Absent,
    /// A number, as [`Fact::Int`] has it.
    Int(i64),
    /// A text.
    Text(String),
    /// The code of a member, or 255, and the word itself.
    Member(u8, String),
    /// An address.
    Ip(IpAddr),
    /// Texts to look into; none: every text is in it.
    Texts(Option<Vec<String>>),
    /// A group of fields is there.
    There,
}

impl OwnedFact {
    /// A copy.
    pub fn of(fact: Fact<'_>) -> Self {
        match fact {
            // What could not be had is not recorded: another time it is had, or it is absent.
            Fact::Absent | Fact::Unknown => Self::Absent,
            Fact::Int(number) => Self::Int(number),
            Fact::Text(text) => Self::Text(text.to_owned()),
            Fact::Member(code, word) => Self::Member(code, word.to_owned()),
            Fact::Ip(ip) => Self::Ip(ip),
            Fact::Texts(texts) => Self::Texts(texts.map(<[String]>::to_vec)),
            Fact::There => Self::There,
        }
    }

    /// The value as expressions read it.
    pub fn as_fact(&self) -> Fact<'_> {
        match self {
            Self::Absent => Fact::Absent,
            Self::Int(number) => Fact::Int(*number),
            Self::Text(text) => Fact::Text(text),
            Self::Member(code, word) => Fact::Member(*code, word),
            Self::Ip(ip) => Fact::ip(*ip),
            Self::Texts(texts) => Fact::Texts(texts.as_deref()),
            Self::There => Fact::There,
        }
    }
}
