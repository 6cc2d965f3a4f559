//! Which faults come, drawn from the seed before anything starts: the same seed gives the same plan.

use std::time::Duration;

use crate::proxy::Weather;
use crate::seed::Seed;
use crate::shop::Mood;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9`, a while of nothing, and a start with the clock wrong by `offset` seconds.
    KillNode { node: usize, down: Duration, offset: i64 },
    /// All at once.
    KillEveryNode { down: Duration, offsets: Vec<i64> },
    /// SIGTERM and a start.
    RestartNode { node: usize, offset: i64 },
    /// The app is ill.
    Shop { mood: Mood, lasts: Duration },
    /// `kill -9` of the primary, and a start with what it had written down.
    KillRedis { down: Duration },
    /// The replica becomes the primary, as one plans it.
    FailOver,
    /// `kill -9` of the primary when the replica has what was answered, and the replica takes over.
    ReplaceRedis { down: Duration },
    /// The network between Redis and one node, or every node, is bad.
    Network { whom: Whom, weather: Weather, lasts: Duration },
    /// The same, and in the middle of it one node is killed.
    NetworkAndKill { whom: Whom, weather: Weather, lasts: Duration, node: usize },
    /// Every connection to Redis breaks, several times.
    Resets { times: u32, apart: Duration },
}

/// Whose way to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    One(usize),
    Everybody,
}

/// What there is to break.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Breakable {
    pub(crate) nodes: usize,
    pub(crate) has_redis: bool,
    /// The longest that one thing stays broken.
    pub(crate) longest: Duration,
}

/// A kind of fault, with its details not yet drawn.
#[derive(Clone, Copy)]
enum Kind {
    KillNode,
    KillEveryNode,
    RestartNode,
    Shop(Mood),
    KillRedis,
    FailOver,
    ReplaceRedis,
    Slow,
    BlackHole,
    HalfOpen,
    Refuses,
    Resets,
    HalfOpenAndKill,
}

/// The kinds of a campaign with Redis; those that a short one has stand first.
const ON_REDIS: [Kind; 17] = [
    Kind::KillNode,
    Kind::KillRedis,
    Kind::HalfOpen,
    Kind::FailOver,
    Kind::Shop(Mood::Hangs),
    Kind::BlackHole,
    Kind::KillNode,
    Kind::Slow,
    Kind::Refuses,
    Kind::Shop(Mood::Fails),
    Kind::ReplaceRedis,
    Kind::KillRedis,
    Kind::HalfOpenAndKill,
    Kind::Resets,
    Kind::KillEveryNode,
    Kind::Shop(Mood::BreaksOff),
    Kind::RestartNode,
];

/// The kinds of a campaign without Redis; those that a short one has stand first.
const ON_FILE: [Kind; 6] = [
    Kind::KillNode,
    Kind::Shop(Mood::Hangs),
    Kind::KillNode,
    Kind::Shop(Mood::Fails),
    Kind::Shop(Mood::BreaksOff),
    Kind::RestartNode,
];

/// Offsets of the nodes' clocks, in seconds.
pub(crate) const OFFSETS: [i64; 3] = [0, 30, -30];

/// Draws so many faults. Every kind comes once before any comes twice.
pub(crate) fn draw(faults: usize, breakable: Breakable, seed: &mut Seed) -> Vec<Fault> {
    let kinds = if breakable.has_redis { &ON_REDIS[..] } else { &ON_FILE[..] };
    let mut plan = Vec::with_capacity(faults);
    while plan.len() < faults {
        let mut round = kinds[..kinds.len().min(faults - plan.len())].to_vec();
        seed.shuffle(&mut round);
        plan.extend(round.into_iter().map(|kind| detail(kind, breakable, seed)));
    }
    plan
}

fn detail(kind: Kind, Breakable { nodes, longest, .. }: Breakable, seed: &mut Seed) -> Fault {
    let lasts = seed.between(longest / 4, longest);
    let node = seed.below(nodes);
    let offset = OFFSETS[seed.below(OFFSETS.len())];
    let whom = if seed.chance(500) { Whom::Everybody } else { Whom::One(seed.below(nodes)) };
    // Half of the time quicker than the gateway's patience with its store, half of the time slower.
    let slow = Duration::from_millis([20, 100, 180, 400][seed.below(4)]);
    let network = |weather| Fault::Network { whom, weather, lasts };
    match kind {
        Kind::KillNode => Fault::KillNode { node, down: lasts / 2, offset },
        Kind::KillEveryNode => {
            let offsets = (0..nodes).map(|_| OFFSETS[seed.below(OFFSETS.len())]).collect();
            Fault::KillEveryNode { down: lasts / 2, offsets }
        }
        Kind::RestartNode => Fault::RestartNode { node, offset },
        Kind::Shop(mood) => Fault::Shop { mood, lasts },
        Kind::KillRedis => Fault::KillRedis { down: lasts },
        Kind::FailOver => Fault::FailOver,
        Kind::ReplaceRedis => Fault::ReplaceRedis { down: lasts },
        Kind::Slow => network(Weather::Slow(slow)),
        Kind::BlackHole => network(Weather::BlackHole),
        Kind::HalfOpen => network(Weather::HalfOpen),
        Kind::Refuses => network(Weather::Refuses),
        Kind::Resets => Fault::Resets { times: 5, apart: lasts / 5 },
        Kind::HalfOpenAndKill => Fault::NetworkAndKill { whom, weather: Weather::HalfOpen, lasts, node },
    }
}

impl Fault {
    /// How many processes it kills with -9.
    pub(crate) fn kills(&self) -> usize {
        match self {
            Self::KillNode { .. }
            | Self::KillRedis { .. }
            | Self::ReplaceRedis { .. }
            | Self::NetworkAndKill { .. } => 1,
            Self::KillEveryNode { offsets, .. } => offsets.len(),
            Self::RestartNode { .. }
            | Self::Shop { .. }
            | Self::FailOver
            | Self::Network { .. }
            | Self::Resets { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_repeatable_and_has_every_kind_before_any_comes_twice() {
        for (has_redis, kinds) in [(false, ON_FILE.len()), (true, ON_REDIS.len())] {
            let breakable = Breakable { nodes: 3, has_redis, longest: Duration::from_secs(1) };
            let plan = |seed| draw(2 * kinds + 1, breakable, &mut Seed::new(seed));
            assert_eq!(plan(7), plan(7));
            assert_ne!(plan(7), plan(8));
            let ill = |faults: &[Fault]| faults.iter().filter(|fault| matches!(fault, Fault::Shop { .. })).count();
            for seed in 0..50 {
                let plan = plan(seed);
                assert_eq!(plan.len(), 2 * kinds + 1);
                assert_eq!(ill(&plan[..kinds]), 3, "each mood of the app once");
                assert_eq!(ill(&plan[kinds..2 * kinds]), 3);
                let kills: usize = plan[..kinds].iter().map(Fault::kills).sum();
                assert_eq!(kills, if has_redis { 9 } else { 2 });
            }
        }
    }
}
