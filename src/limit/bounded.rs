//! Times by address, for a bounded number of addresses: whoever has many addresses costs the gateway no more memory than
//! whoever has one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::nanos::Nanos;
use governor::state::StateStore;
use parking_lot::Mutex;

/// Addresses that are remembered at once, at most.
pub(super) const MAX_ADDRESSES: usize = 57_344;
/// Locks, so that worker threads rarely meet at one.
const SHARDS: usize = 16;
/// Addresses of a shard. It is 3,584: half of what a hash table of 8,192 places holds, and up to half it makes room in
/// place instead of doubling. So a map takes at most 16 × 8,192 × 17 bytes: 2.2 MB.
const PER_SHARD: usize = MAX_ADDRESSES / SHARDS;

/// Where requests come from, as far as it is told apart: an IPv4 address, or the /64 network of an IPv6 address, since
/// that is what one subscriber gets and may use any address of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source(u64);

impl Source {
    /// IPv4 addresses are told apart from networks by a bit that no IPv6 network of the internet has: `::/8` is
    /// reserved (RFC 4291, 2.5).
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(1 << 32 | u64::from(v4.to_bits())),
            IpAddr::V6(v6) => Self(u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX)),
        }
    }
}

/// A time, in nanoseconds, for each of at most [`MAX_ADDRESSES`] sources. The later a time, the more it is worth: it is a
/// longer ban, a rate further overspent, or a more recent sign of life.
pub(super) struct Bounded {
    shards: [Mutex<HashMap<Source, u64, RandomState>>; SHARDS],
    hasher: RandomState,
    len: AtomicUsize,
}

impl Default for Bounded {
    fn default() -> Self {
        let hasher = RandomState::new();
        Self {
            shards: std::array::from_fn(|_| Mutex::new(HashMap::with_hasher(hasher.clone()))),
            hasher,
            len: AtomicUsize::new(0),
        }
    }
}

impl Bounded {
    /// The time of a source.
    pub(super) fn get(&self, source: Source) -> Option<u64> {
        self.shard(source).lock().get(&source).copied()
    }

    /// Gives a source a time.
    pub(super) fn set(&self, source: Source, time: u64) {
        self.insert(&mut self.shard(source).lock(), source, time);
    }

    /// Forgets the sources whose time is not worth keeping.
    pub(super) fn retain(&self, worth_keeping: impl Fn(u64) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let before = shard.len();
            shard.retain(|_, time| worth_keeping(*time));
            self.len.fetch_sub(before.saturating_sub(shard.len()), Ordering::Relaxed);
        }
    }

    /// How many sources there are.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn insert(&self, shard: &mut HashMap<Source, u64, RandomState>, source: Source, time: u64) {
        if let Some(known) = shard.get_mut(&source) {
            *known = time;
            return;
        }
        if shard.len() >= PER_SHARD {
            let gone = forget_half(shard);
            self.len.fetch_sub(gone, Ordering::Relaxed);
        }
        shard.insert(source, time);
        self.len.fetch_add(1, Ordering::Relaxed);
    }

    fn shard(&self, source: Source) -> &Mutex<HashMap<Source, u64, RandomState>> {
        // The upper half of the hash: the map itself chooses places by the lower bits and the top seven.
        let at = usize::try_from(self.hasher.hash_one(source) >> 40).unwrap_or(0) % SHARDS;
        self.shards.get(at).expect("a remainder is below its divisor")
    }
}

/// Makes room: forgets the half that is worth least, and says how many that were. Spread over the additions that it makes
/// room for, it costs a few nanoseconds for each.
fn forget_half(shard: &mut HashMap<Source, u64, RandomState>) -> usize {
    let before = shard.len();
    let mut times: Vec<u64> = shard.values().copied().collect();
    let (_, &mut median, _) = times.select_nth_unstable(before / 2);
    // Of equal times any may go, as long as half of all does.
    let mut to_go = before / 2;
    shard.retain(|_, time| {
        let goes = to_go > 0 && *time <= median;
        to_go = to_go.saturating_sub(usize::from(goes));
        !goes
    });
    before.saturating_sub(shard.len())
}

/// For the GCRA: the time is the theoretical arrival time of the next request.
impl StateStore for Bounded {
    type Key = Source;

    fn measure_and_replace<T, F, E>(&self, source: &Source, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut shard = self.shard(*source).lock();
        let (decision, next) = f(shard.get(source).map(|time| Nanos::from(*time)))?;
        self.insert(&mut shard, *source, next.as_u64());
        Ok(decision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u32) -> Source {
        Source::of(IpAddr::V4(n.into()))
    }

    #[test]
    fn a_million_addresses_take_no_more_room_than_the_bound() {
        let map = Bounded::default();
        for n in 0..1_000_000_u32 {
            map.set(source(n), u64::from(n));
            assert!(n % 4_096 != 0 || map.len() <= MAX_ADDRESSES, "{} at {n}", map.len());
        }
        let held: usize = map.shards.iter().map(|shard| shard.lock().len()).sum();
        assert_eq!(map.len(), held, "the count is of what is held");
        assert!(held > MAX_ADDRESSES / 3, "room is used, not only bounded: {held}");
        for shard in &map.shards {
            let room = shard.lock().capacity();
            assert!(room <= 8_192 / 8 * 7, "a table grew beyond 8,192 places: it has room for {room}");
        }
    }

    #[test]
    fn what_goes_first_is_worth_least() {
        let map = Bounded::default();
        map.set(source(u32::MAX), u64::MAX); // a ban for ever
        map.set(source(u32::MAX - 1), 0); // as good as never seen
        for n in 0..120_000_u32 {
            map.set(source(n), 1_000 + u64::from(n));
        }
        assert_eq!(map.get(source(u32::MAX)), Some(u64::MAX));
        assert_eq!(map.get(source(u32::MAX - 1)), None);
        assert_eq!(map.get(source(119_999)), Some(120_999), "the newest is there");
    }

    #[test]
    fn equal_times_do_not_keep_a_full_map_full() {
        let map = Bounded::default();
        for n in 0..120_000 {
            map.set(source(n), 7);
        }
        assert!(map.len() <= MAX_ADDRESSES);
        assert_eq!(map.get(source(119_999)), Some(7));
    }

    #[test]
    fn ipv6_is_told_apart_by_network_and_ipv4_by_address_in_either_notation() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_ne!(of("0.0.0.0"), of("::"));
    }

    #[test]
    fn forgetting_keeps_the_count() {
        let map = Bounded::default();
        (0..100).for_each(|n| map.set(source(n), u64::from(n)));
        map.retain(|time| time >= 90);
        assert_eq!(map.len(), 10);
        map.set(source(95), 1);
        assert_eq!(map.len(), 10, "a known address is not counted again");
    }
}
