//! What evaluation gives: values, errors, and what each part of an expression saw.

use core::net::IpAddr;
use std::borrow::Cow;
use std::fmt;

use super::Span;
use crate::risk::schema::EnumType;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Money, in fen.
    Fen(i64),
    /// A text; owned only if `lower()` changed it.
    Text(Cow<'a, str>),
    /// A moment, in milliseconds since the epoch.
    Time(i64),
    /// A length of time, in milliseconds.
    Duration(i64),
    /// A day, as 20260301.
    Date(i64),
    /// An address.
    Ip(IpAddr),
    /// A word of an enum, member or not.
    Member(EnumType, Cow<'a, str>),
    /// A fraction.
    Ratio(i64, i64),
}

impl fmt::Display for Value<'_> {
    /// As a person reads it: money in yuan, times in UTC, texts in quotes. Nothing is masked here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Fen(value) => {
                let sign = if *value < 0 { "-" } else { "" };
                let fen = value.unsigned_abs();
                write!(f, "{sign}¥{}.{:02}", fen.div_euclid(100), fen.rem_euclid(100))
            }
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Time(value) => match jiff::Timestamp::from_millisecond(*value) {
                Ok(time) => write!(f, "{time}"),
                Err(_) => write!(f, "{value} ms"),
            },
            Self::Duration(value) => duration(f, *value),
            Self::Date(value) => {
                let (year, month, day) =
                    (value.div_euclid(10_000), value.div_euclid(100).rem_euclid(100), value.rem_euclid(100));
                write!(f, "{year:04}-{month:02}-{day:02}")
            }
            Self::Ip(value) => write!(f, "{value}"),
            Self::Member(_, word) => f.write_str(word),
            Self::Ratio(of, to) => write!(f, "{of}/{to}"),
        }
    }
}

/// Milliseconds as `1d2h3m4.005s`.
fn duration(f: &mut fmt::Formatter<'_>, millis: i64) -> fmt::Result {
    if millis == 0 {
        return f.write_str("0s");
    }
    if millis < 0 {
        f.write_str("-")?;
    }
    let all = millis.unsigned_abs();
    let parts = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    let mut rest = all;
    for (unit, name) in parts {
        let count = rest.div_euclid(unit);
        rest = rest.rem_euclid(unit);
        if count > 0 {
            write!(f, "{count}{name}")?;
        }
    }
    Ok(())
}

/// A text that names a person, as logs may show it: the first and last two characters of a long one.
pub(super) fn masked(text: &str) -> String {
    let chars = text.chars().count();
    if chars < 8 {
        return "***".to_owned();
    }
    let head: String = text.chars().take(2).collect();
    let tail: String = text.chars().skip(chars.saturating_sub(2)).collect();
    format!("{head}***{tail}")
}

/// What one part of an expression evaluated to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which part: of the expression's own text, or if `inside` says so of that macro's.
    pub span: Span,
    /// The macro whose text it is part of, by index.
    pub inside: Option<usize>,
    /// The part as written.
    pub text: String,
    /// Its value as a person reads it, what names a person masked; or why it has none.
    pub value: Result<String, EvalError>,
}

/// Why an expression has no value for this event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalError {
    /// Which part failed, of the expression's own text; within a macro the macro's name.
    pub span: Span,
    /// Why.
    pub reason: Reason,
}

/// Why evaluation failed. None of it is the rule author's mistake in writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// A field that events of this kind always have was not in this one.
    #[error("the event lacks a field that its kind always has")]
    Absent,
    /// The result does not fit into 64 bits.
    #[error("the result is beyond 64 bits")]
    Overflow,
    /// Division by zero, or a fraction over zero.
    #[error("division by zero")]
    DivisionByZero,
    /// The store could not count this counter.
    #[error("the counter has no value: the store could not count it")]
    NotCounted,
    /// The list is not at hand: the store was not asked or did not answer, or it was not loaded.
    #[error("the list could not be asked")]
    NotAsked,
    /// The store was out, so whether an order is registered is not known.
    #[error("the order could not be looked up: the store was out")]
    NotLookedUp,
}

impl Reason {
    /// Whether it is the store's fault, which makes a verdict degraded.
    pub const fn is_outage(self) -> bool {
        matches!(self, Self::NotCounted | Self::NotAsked | Self::NotLookedUp)
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (bytes {} to {})", self.reason, self.span.start, self.span.end)
    }
}

impl std::error::Error for EvalError {}
