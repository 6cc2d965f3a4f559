//! What a policy asks of the store for one event, and what comes back. Pure types: the store's engines take and give
//! them, the rules make and read them, and a backtest answers them from memory.
//!
//! All asks of an event travel in the claim's one round trip. Only a counter whose key needs the registered order waits
//! for a second one (`docs/rules.md`).

use std::time::Duration;

use crate::clock::UnixTime;

/// Names a counter with one value of its key: a digest of the counter's whole definition and of the key's values, so
/// that a counter whose definition changes starts afresh.
pub type CounterId = [u8; 16];

/// A short digest of a value whose distinct occurrences are counted.
pub type Member = [u8; 8];

/// Everything that is asked for one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Counters to move or to read, in the order of their answers.
    pub counters: Vec<CounterAsk>,
    /// The merchant's number of the order whose registration is wanted.
    pub order: Option<String>,
    /// Dynamic lists to look into, in the order of their answers.
    pub lists: Vec<ListAsk>,
}

/// One counter, moved by this event or only read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterAsk {
    /// Which counter, of which key.
    pub id: CounterId,
    /// What it counts.
    pub measure: Measure,
    /// What this event adds; none: the counter's `when` does not hold, it is only read.
    pub add: Option<Amount>,
    /// How far back it counts, 1 s to 30 days.
    pub window: Duration,
    /// Width of the slices that the window is made of: what lies in the slice that the window's edge cuts is counted
    /// whole, so a count is too high by at most what came within one slice.
    pub slice: Duration,
    /// The event's place in time, usually when it was received.
    pub at: UnixTime,
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Events.
    Count,
    /// A sum of whole numbers; saturates.
    Sum,
    /// Different values: exactly up to so many, and "more" beyond.
    Distinct {
        /// The largest number that is told exactly; at most 4096.
        exact_up_to: u16,
    },
    /// The newest value.
    Last,
    /// When the key was first seen within the window, counted from the last time it was seen.
    FirstSeen,
}

/// What one event adds to a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// One for `Count` and `FirstSeen`, the number for `Sum` and `Last`.
    Number(i64),
    /// The value for `Distinct`.
    Member(Member),
}

/// Whether a value is on a dynamic list now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListAsk {
    /// The list's name.
    pub list: String,
    /// The value, as the list's entries are written.
    pub value: String,
}

/// What the store knew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// One for each counter asked; none: the store could not count it (out of room, or its keeper was down), which makes
    /// the verdict degraded, never a silent zero.
    pub counters: Vec<Option<Counted>>,
    /// The registered order, if one is registered and not expired.
    pub order: Option<Order>,
    /// One for each list asked.
    pub lists: Vec<bool>,
}

/// A counter's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The value without this event. For `FirstSeen`: milliseconds since the epoch of the first sight before this event,
    /// 0 if there was none.
    pub before: i64,
    /// The value with this event, if it counts; else the same. Stays what it was when the event is tried again.
    pub after: i64,
}

/// An order as the merchant registered it when it showed the QR code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// What is to be paid, in fen.
    pub amount_total: i64,
    /// `CNY` unless told otherwise.
    pub currency: String,
    /// Who is to pay, if the merchant knows.
    pub payer_openid: Option<String>,
    /// The address that ordered, if the merchant tells it.
    pub client_ip: Option<String>,
    /// When it was registered.
    pub registered_at: UnixTime,
    /// Until when it is to be paid; forgotten some time after that.
    pub expires_at: UnixTime,
}
