//! Times by address, for a bounded number of addresses: whoever has many addresses costs the gateway no more memory than
//! whoever has one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::nanos::Nanos;
use governor::state::StateStore;
use ipnet::IpNet;
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

    /// The addresses that it stands for.
    pub(super) fn network(self) -> IpNet {
        let Self(of) = self;
        match u32::try_from(of & u64::from(u32::MAX)) {
            Ok(v4) if of >> 32 == 1 => IpNet::from(IpAddr::V4(v4.into())),
            _ => IpNet::new_assert(IpAddr::V6((u128::from(of) << 64).into()), 64),
        }
    }
}

/// A time, in nanoseconds, for each of at most [`MAX_ADDRESSES`] sources. The later a time, the more it is worth: it is a
/// longer ban, a rate further overspent, or a more recent sign of life. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Bounded(Arc<Shared>);

struct Shared {
    shards: [Mutex<HashMap<Source, u64, RandomState>>; SHARDS],
    hasher: RandomState,
    len: AtomicUsize,
}

impl Default for Shared {
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

    /// Forgets a source. Tells whether it had a time.
    pub(super) fn remove(&self, source: Source) -> bool {
        let was_there = self.shard(source).lock().remove(&source).is_some();
        self.0.len.fetch_sub(usize::from(was_there), Ordering::Relaxed);
        was_there
    }

    /// All sources with their times, in no order.
    pub(super) fn entries(&self) -> Vec<(Source, u64)> {
        let of = |shard: &Mutex<HashMap<Source, u64, RandomState>>| {
            shard.lock().iter().map(|(source, time)| (*source, *time)).collect::<Vec<_>>()
        };
        self.0.shards.iter().flat_map(of).collect()
    }

    /// Forgets the sources whose time is not worth keeping.
    pub(super) fn retain(&self, worth_keeping: impl Fn(u64) -> bool) {
        for shard in &self.0.shards {
            let mut shard = shard.lock();
            let before = shard.len();
            shard.retain(|_, time| worth_keeping(*time));
            self.0.len.fetch_sub(before.saturating_sub(shard.len()), Ordering::Relaxed);
        }
    }

    /// How many sources there are.
    pub(super) fn len(&self) -> usize {
        self.0.len.load(Ordering::Relaxed)
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
            self.0.len.fetch_sub(gone, Ordering::Relaxed);
        }
        shard.insert(source, time);
        self.0.len.fetch_add(1, Ordering::Relaxed);
    }

    fn shard(&self, source: Source) -> &Mutex<HashMap<Source, u64, RandomState>> {
        // The upper half of the hash: the map itself chooses places by the lower bits and the top seven.
        let at = usize::try_from(self.0.hasher.hash_one(source) >> 40).unwrap_or(0) % SHARDS;
        self.0.shards.get(at).expect("a remainder is below its divisor")
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
        let held: usize = map.0.shards.iter().map(|shard| shard.lock().len()).sum();
        assert_eq!(map.len(), held, "the count is of what is held");
        assert!(held > MAX_ADDRESSES / 3, "room is used, not only bounded: {held}");
        for shard in &map.0.shards {
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
    fn a_source_stands_for_the_addresses_that_are_not_told_apart() {
        for (address, network) in [
            ("203.0.113.9", "203.0.113.9/32"),
            ("::ffff:203.0.113.9", "203.0.113.9/32"),
            ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(Source::of(address.parse().unwrap()).network().to_string(), network);
        }
        let map = Bounded::default();
        map.set(source(1), 5);
        assert_eq!(map.entries(), [(source(1), 5)]);
        assert!(map.remove(source(1)) && !map.remove(source(1)) && map.is_empty());
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
