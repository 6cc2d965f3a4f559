//! What an expression is lowered to: trees of one type each, whose leaves read slots. Nothing in them is looked up by
//! name, and a node is never of the wrong type.

use core::net::IpAddr;
use std::collections::HashSet;

use foldhash::fast::FixedState;
use regex::Regex;

use super::lists::Blocks;
use super::{ListUse, Reason, Value};
use crate::risk::schema::{EnumType, FieldId, Type};

/// Place of a span among those of an expression: where an error is told to have happened.
pub(super) type Site = u16;

/// Why a node has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) site: Site,
    pub(super) reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Compare {
    #[inline]
    pub(super) fn holds<T: Ord + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }

    /// The comparison with its sides changed.
    pub(super) const fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Equal | Self::NotEqual => self,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum Bool {
    Const(bool),
    All(Box<[Bool]>),
    Any(Box<[Bool]>),
    Not(Box<Bool>),
    If(Box<(Bool, Bool, Bool)>),
    /// Whether two conditions are the same.
    Same(Box<(Bool, Bool)>),
    Has(FieldId, Site),
    /// A field against a constant: the commonest comparison, without its boxes.
    Field(FieldId, Compare, i64, Site),
    /// A counter's value against a constant.
    Counter(usize, Compare, i64, Site),
    /// Whether an enum's field holds one of these members, a set of bits by code.
    Member(FieldId, u32, Site),
    IsFirst(usize, Site),
    Number(Compare, Box<(Num, Num)>),
    NumberIn(Box<(Num, NumberSet)>),
    /// Among numbers that are not all constants.
    NumberAmong(Box<(Num, Box<[Num]>)>),
    /// Whether a number is in the list of that index.
    NumberListed(Box<Num>, usize, Site),
    Text(Box<TextTest>),
    Ip(Box<IpTest>),
    Ratio(Box<RatioTest>),
    /// What the store said about a list of its own.
    Asked(ListUse, Site),
}

/// What is asked of texts.
#[derive(Clone, Debug)]
pub(super) enum TextTest {
    Compare(Compare, Text, Text),
    StartsWith(Text, Text),
    EndsWith(Text, Text),
    Contains(Text, Text),
    Matches(Text, Regex),
    In(Text, TextSet),
    /// Among texts that are not all constants.
    Among(Text, Box<[Text]>),
    /// In the list of that index.
    Listed(Text, usize, Site),
    /// In the list that a field holds.
    InField(Text, FieldId, Site),
}

/// What is asked of addresses.
#[derive(Clone, Debug)]
pub(super) enum IpTest {
    Same(Ip, Ip),
    In(Ip, Blocks),
    /// In the list of that index.
    Listed(Ip, usize, Site),
}

/// What is asked of fractions.
#[derive(Clone, Debug)]
pub(super) enum RatioTest {
    Compare(Compare, Fraction, Fraction),
    /// Whether there is enough under the line to mean anything.
    Known(Fraction),
}

/// A whole number: an `Int`, fen, or milliseconds.
#[derive(Clone, Debug)]
pub(super) enum Num {
    Const(i64),
    Field(FieldId, Site),
    FieldOr(FieldId, Box<Num>),
    Counter(usize, Site),
    Before(usize, Site),
    /// When the key of a counter was first seen; now, if this event is the first.
    FirstSeen(usize, FieldId, Site),
    Negate(Box<Num>, Site),
    Arithmetic(Arithmetic, Box<(Num, Num)>, Site),
    If(Box<(Bool, Num, Num)>),
    /// Characters of a text.
    Size(Box<Text>),
}

/// A text, or the word of an enum.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Const(Box<str>),
    Field(FieldId, Site),
    FieldOr(FieldId, Box<Text>),
    Lower(Box<Text>),
    If(Box<(Bool, Text, Text)>),
}

/// An address.
#[derive(Clone, Debug)]
pub(super) enum Ip {
    Const(IpAddr),
    Field(FieldId, Site),
    FieldOr(FieldId, Box<Ip>),
    If(Box<(Bool, Ip, Ip)>),
}

/// A fraction. Below `at_least` under the line it is unknown, and no comparison with it holds.
#[derive(Clone, Debug)]
pub(super) struct Fraction {
    pub(super) of: Num,
    pub(super) to: Num,
    pub(super) at_least: i64,
    pub(super) site: Site,
}

/// Texts to look into: few are compared one by one, many by hash.
#[derive(Clone, Debug)]
pub(super) enum TextSet {
    Few(Box<[Box<str>]>),
    Many(HashSet<Box<str>, FixedState>),
}

/// Numbers to look into.
#[derive(Clone, Debug)]
pub(super) enum NumberSet {
    Few(Box<[i64]>),
    Many(HashSet<i64, FixedState>),
}

/// Up to how many members are compared one by one.
const FEW: usize = 8;

impl TextSet {
    pub(super) fn new(members: Vec<Box<str>>) -> Self {
        if members.len() <= FEW { Self::Few(members.into()) } else { Self::Many(members.into_iter().collect()) }
    }

    pub(super) fn has(&self, text: &str) -> bool {
        match self {
            Self::Few(members) => members.iter().any(|member| **member == *text),
            Self::Many(members) => members.contains(text),
        }
    }
}

impl NumberSet {
    pub(super) fn new(members: Vec<i64>) -> Self {
        if members.len() <= FEW { Self::Few(members.into()) } else { Self::Many(members.into_iter().collect()) }
    }

    pub(super) fn has(&self, number: i64) -> bool {
        match self {
            Self::Few(members) => members.contains(&number),
            Self::Many(members) => members.contains(&number),
        }
    }
}

/// A lowered expression of any type that has a value.
#[derive(Clone, Debug)]
pub(super) enum Lowered {
    Bool(Bool),
    /// With the type that says what the number means.
    Number(Num, Type),
    Text(Text),
    Member(EnumType, Text),
    Ip(Ip),
    Ratio(Fraction),
}

impl Lowered {
    pub(super) fn ty(&self) -> Type {
        match self {
            Self::Bool(_) => Type::Bool,
            Self::Number(_, ty) => *ty,
            Self::Text(_) => Type::Text,
            Self::Member(of, _) => Type::Enum(*of),
            Self::Ip(_) => Type::Ip,
            Self::Ratio(_) => Type::Ratio,
        }
    }

    /// Whether it is a literal, which needs no explanation.
    pub(super) fn is_constant(&self) -> bool {
        matches!(
            self,
            Self::Bool(Bool::Const(_))
                | Self::Number(Num::Const(_), _)
                | Self::Text(Text::Const(_))
                | Self::Member(_, Text::Const(_))
                | Self::Ip(Ip::Const(_))
                | Self::Ratio(Fraction { of: Num::Const(_), to: Num::Const(_), .. })
        )
    }
}

/// A number as a value of its type.
pub(super) fn typed(number: i64, ty: Type) -> Value<'static> {
    match ty {
        Type::Fen => Value::Fen(number),
        Type::Time => Value::Time(number),
        Type::Duration => Value::Duration(number),
        Type::Date => Value::Date(number),
        Type::Int
        | Type::Bool
        | Type::Text
        | Type::Ip
        | Type::Cidr
        | Type::Enum(_)
        | Type::Ratio
        | Type::List(_)
        | Type::Group => Value::Int(number),
    }
}
