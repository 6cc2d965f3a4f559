//! What a policy asks of the store for one event, and what comes back. Pure types: the store's engines take and give
//! them, the rules make and read them, and a backtest answers them from memory.
//!
//! All asks of an event travel in the claim's one round trip. Only a counter whose key needs the registered order waits
//! for a second one (`docs/rules.md`).

use std::time::Duration;

use crate::clock::UnixTime;

/// Most slices of a window, without the one that its edge cuts: what bounds a counter's memory. A counter that asks for
/// finer ones gets these.
pub const MOST_SLICES: u32 = 120;

/// Most counters of one event in one round. If more are asked, none is counted.
pub const MOST_COUNTERS: usize = 256;

/// The largest [`Measure::Distinct::exact_up_to`].
pub const MOST_DISTINCT: u16 = 4096;

/// The longest [`CounterAsk::window`].
pub const LONGEST_WINDOW: Duration = Duration::from_hours(30 * 24);

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
///
/// Its window ends now, at the time of the claim, and begins [`CounterAsk::window`] before. An event that lies before the
/// window changes nothing; one that lies in the future is placed now. An event moves a counter once: when it is claimed
/// again it is told what it was told before.
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
    /// whole, so a count is too high by at most what came within one slice, and never too low. `Last` and `FirstSeen` know
    /// no slices. Widened to [`CounterAsk::slice_millis`].
    pub slice: Duration,
    /// The event's place in time, usually when it was received.
    pub at: UnixTime,
}

impl CounterAsk {
    /// The window in milliseconds, 1 s to [`LONGEST_WINDOW`].
    pub fn window_millis(&self) -> u32 {
        let window = self.window.clamp(Duration::from_secs(1), LONGEST_WINDOW);
        u32::try_from(window.as_millis()).unwrap_or(u32::MAX) // 30 days are 2.6 billion
    }

    /// The width of a slice in milliseconds: as asked, but so wide that at most [`MOST_SLICES`] make a window, and at most
    /// the window.
    pub fn slice_millis(&self) -> u32 {
        let window = self.window_millis();
        let asked = u32::try_from(self.slice.as_millis()).unwrap_or(u32::MAX);
        asked.max(window.div_ceil(MOST_SLICES)).min(window)
    }
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Events.
    Count,
    /// A sum of whole numbers; saturates.
    Sum,
    /// Different values: exactly up to so many. More than that are told as one more than that.
    Distinct {
        /// The largest number that is told exactly; at most [`MOST_DISTINCT`].
        exact_up_to: u16,
    },
    /// The value of the newest event, by its place in time; of the later one to come if two share it. 0 if there is none.
    Last,
    /// When the key was first seen. A key that was not seen for a whole window is new again.
    FirstSeen,
}

/// What one event adds to a counter. One that does not fit the counter's measure is not counted: its answer is none.
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
    /// The registered order, if one is registered and not yet forgotten, which is some time after it expired.
    pub order: Option<Order>,
    /// One for each list asked; fewer if the store could not tell.
    pub lists: Vec<bool>,
    /// The shared store was out, and this node answered by what it knows itself: counters are its own share, and whether an
    /// order is registered is not known. Makes the verdict degraded.
    pub is_local: bool,
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

impl Order {
    /// Whether the merchant said the same of both, whenever it did.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let Self { amount_total, currency, payer_openid, client_ip, registered_at: _, expires_at } = self;
        (amount_total, currency, payer_openid, client_ip, expires_at)
            == (&other.amount_total, &other.currency, &other.payer_openid, &other.client_ip, &other.expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(window: Duration, slice: Duration) -> CounterAsk {
        CounterAsk { id: [0; 16], measure: Measure::Count, add: None, window, slice, at: UnixTime::default() }
    }

    #[test]
    fn a_window_has_at_most_so_many_slices_whatever_was_asked() {
        assert_eq!(ask(Duration::from_mins(10), Duration::from_secs(30)).slice_millis(), 30_000);
        assert_eq!(ask(Duration::from_mins(10), Duration::ZERO).slice_millis(), 5_000);
        assert_eq!(ask(Duration::from_mins(10), Duration::from_hours(1)).slice_millis(), 600_000);
        assert_eq!(ask(Duration::from_hours(24 * 365), Duration::ZERO).window_millis(), 30 * 24 * 3_600_000);
        assert_eq!(ask(Duration::ZERO, Duration::ZERO).window_millis(), 1_000);
    }
}
