//! Redis stops under load: how fast answers are then, what they say, and what WeChat does with them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use wxgate::sim::keys::SignedBy;
use wxgate::sim::notify::{Event, unix_now};
use wxgate::sim::sample::{self, Order};
use wxgate::sim::wire;

use crate::campaign::say;
use crate::node::Node;
use crate::ports;
use crate::redis::Pair;
use crate::seed::Seed;
use crate::shop::{Mood, Shop};
use crate::site::{Addresses, Endpoint, Site};
use crate::stage::{STORE_TIMEOUT, on_redis};

/// Events told in a second.
const RATE: u32 = 50;
/// WeChat's own patience.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long after the first try WeChat's next one comes.
const WECHATS_FIRST_GAP: Duration = Duration::from_secs(15);
/// Longest time after Redis is back until events are taken through it again.
const RECOVERS_WITHIN: Duration = Duration::from_secs(10);

/// One gateway on one Redis, nothing between.
pub(crate) struct Scene {
    pub(crate) node: Node,
    pub(crate) redis: Pair,
    pub(crate) shop: Shop,
    site: Site,
}

/// What was answered to a stretch of load.
#[derive(Default)]
struct Answers {
    told: Vec<(Event, Option<u16>)>,
    /// Sorted.
    took: Vec<Duration>,
}

/// How Redis stops.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// The process is gone: connections break, new ones are refused.
    Killed,
    /// The process stands still: connections stay, and nothing is answered.
    Frozen,
}

impl Scene {
    pub(crate) async fn set(on_outage: &str) -> Self {
        let site = Site::new();
        let shop = Shop::start(Seed::new(1), Mood::Perfect).await;
        let redis = Pair::start(site.path("redis")).await;
        let at = Addresses { callbacks: ports::free(), admin: ports::free(), shop: shop.address };
        let mut node = Node::new(&site, "node", &on_redis(redis.primary(), on_outage), &at);
        node.start(0).await;
        Self { node, redis, shop, site }
    }

    pub(crate) fn event(&self) -> Event {
        sample::find("payment-native").unwrap().event(&Order::new(&self.site.keys.merchant, unix_now()))
    }

    /// One try at telling an event, signed afresh; gives the status.
    pub(crate) async fn tell_once(&self, event: &Event, endpoint: Endpoint) -> Option<u16> {
        let callback = event.callback(&self.site.keys, SignedBy::PublicKey, endpoint.path(), unix_now());
        tell(self.node.callbacks, event.clone(), callback.to_http("gateway.test")).await.1
    }

    /// Tells these events at an even pace, however long answers take.
    async fn tell(&self, events: Vec<Event>) -> Answers {
        self.tell_after(|| {}, events).await
    }

    /// The same, and something happens just before the first is told.
    async fn tell_after(&self, first: impl FnOnce(), events: Vec<Event>) -> Answers {
        let sign = |event: Event| {
            let callback = event.callback(&self.site.keys, SignedBy::PublicKey, Endpoint::Now.path(), unix_now());
            (event, callback.to_http("gateway.test"))
        };
        // Signed before the first is sent: signing costs as much as a whole callback does.
        let signed: Vec<_> = tokio::task::block_in_place(|| events.into_iter().map(sign).collect());
        first();
        let begun = Instant::now();
        let mut telling = JoinSet::new();
        for (number, (event, message)) in (0_u32..).zip(signed) {
            tokio::time::sleep_until((begun + Duration::from_secs(1) / RATE * number).into()).await;
            telling.spawn(tell(self.node.callbacks, event, message));
        }
        let mut answers = Answers::default();
        for (event, status, took) in telling.join_all().await {
            answers.told.push((event, status));
            answers.took.push(took);
        }
        answers.took.sort();
        answers
    }

    /// Events for so long.
    fn events(&self, span: Duration) -> Vec<Event> {
        (0..span.as_millis() * u128::from(RATE) / 1000).map(|_| self.event()).collect()
    }

    fn stop(&self, stop: Stop) {
        match stop {
            Stop::Killed => self.redis.kill_primary(),
            Stop::Frozen => self.redis.freeze_primary(),
        }
    }

    async fn go_on(&self, stop: Stop) {
        match stop {
            Stop::Killed => self.redis.restart_primary().await,
            Stop::Frozen => self.redis.thaw_primary(),
        }
    }

    /// How long it takes from now on until an event is taken.
    async fn recovers(&self) -> Duration {
        let begun = Instant::now();
        while self.tell(vec![self.event()]).await.counts() != BTreeMap::from([(Some(200), 1)]) {
            assert!(begun.elapsed() < RECOVERS_WITHIN, "it does not recover without a restart");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        begun.elapsed()
    }

    /// Those of these events that the app has, and those that it has twice.
    fn delivered(&self, events: &[(Event, Option<u16>)]) -> (usize, usize) {
        let taken = self.shop.taken();
        let times = |event: &Event| taken.iter().filter(|taken| taken.event_id == event.id).count();
        let times: Vec<usize> = events.iter().map(|(event, _)| times(event)).collect();
        (times.iter().filter(|times| **times > 0).count(), times.iter().filter(|times| **times > 1).count())
    }
}

async fn tell(node: SocketAddr, event: Event, message: Vec<u8>) -> (Event, Option<u16>, Duration) {
    let begun = Instant::now();
    let answer = wire::exchange(node, &message, PATIENCE).await;
    (event, answer.ok().map(|answer| answer.status), begun.elapsed())
}

impl Answers {
    fn counts(&self) -> BTreeMap<Option<u16>, usize> {
        let mut counts = BTreeMap::new();
        for (_, status) in &self.told {
            *counts.entry(*status).or_default() += 1;
        }
        counts
    }

    /// How many of a hundred were answered so.
    fn percent(&self, status: u16) -> usize {
        self.told.iter().filter(|(_, told)| *told == Some(status)).count() * 100 / self.told.len()
    }

    /// The answer time that so many of a hundred did not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        self.took[(self.took.len() * percent / 100).min(self.took.len() - 1)]
    }

    /// Beside what was before: figures of a machine say something by what they are compared with.
    fn line(&self, phase: &str, before: &Self) -> String {
        let millis = |percent| self.percentile(percent).as_secs_f64() * 1000.0;
        let times = |percent| self.percentile(percent).as_secs_f64() / before.percentile(percent).as_secs_f64();
        let mut line = format!("  {phase:<16} p50 {:>7.1} ms ({:>5.1}x)", millis(50), times(50));
        let _ = write!(line, "  p99 {:>7.1} ms ({:>5.1}x)  ", millis(99), times(99));
        for (status, count) in self.counts() {
            let (status, next) = match status {
                Some(status @ (200 | 204)) => (status.to_string(), "WeChat is done"),
                Some(status) => (status.to_string(), "WeChat comes again in 15 s"),
                None => ("none".to_owned(), "WeChat comes again in 15 s"),
            };
            let _ = write!(line, "{count} x {status}, {next}; ");
        }
        line
    }
}

/// How long each stretch of load lasts: what `scripts/chaos --outage` says, or as short as a test has to be.
fn span() -> Duration {
    std::env::var("WXGATE_CHAOS_OUTAGE").map_or(Duration::from_millis(1200), |seconds| {
        Duration::from_secs(seconds.parse().expect("WXGATE_CHAOS_OUTAGE in seconds"))
    })
}

fn report(lines: &[String]) {
    for line in lines {
        say(format_args!("{line}"));
    }
    if let Ok(path) = std::env::var("WXGATE_CHAOS_REPORT") {
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, format!("{before}{}\n", lines.join("\n"))).unwrap();
    }
}

/// Load before, while Redis is stopped, and after; gives what was answered meanwhile.
async fn outage(scene: &Scene, stop: Stop, policy: &str) -> Answers {
    let before = scene.tell(scene.events(span())).await;
    assert!(before.percent(200) >= 80, "{:?}", before.counts());
    let during = scene.tell_after(|| scene.stop(stop), scene.events(span())).await;
    scene.go_on(stop).await;
    let recovered = scene.recovers().await;
    let after = scene.tell(scene.events(span())).await;
    assert!(after.percent(200) >= 80, "{:?}", after.counts());
    report(&[
        format!("on_outage = \"{policy}\", Redis {stop:?}, store.timeout {STORE_TIMEOUT:?}, {RATE} events a second"),
        before.line("before", &before),
        during.line("while stopped", &before),
        after.line("after", &before),
        format!("  taken through Redis again {:.0} ms after it was back", recovered.as_secs_f64() * 1000.0),
    ]);
    // Wide bounds, for a machine that has much to do: three timeouts of the store and half a second.
    assert!(during.percentile(99) < STORE_TIMEOUT * 3 + Duration::from_millis(500), "{:?}", during.percentile(99));
    assert!(during.percentile(50) < STORE_TIMEOUT, "a store that is known to be down costs nobody its timeout");
    during
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_with_refuse_everything_is_answered_busy_at_once_and_arrives_by_wechats_next_try() {
    let mut scene = Scene::set("refuse").await;
    for stop in [Stop::Killed, Stop::Frozen] {
        let during = outage(&scene, stop, "refuse").await;
        assert!(during.percent(503) >= 97, "{:?}", during.counts());
        let refused: Vec<_> = during.told.into_iter().filter(|(_, status)| *status != Some(200)).collect();
        // What a frozen Redis had received it does when it goes on: those events are claimed, for nobody, until their leases end.
        let begun = Instant::now();
        let mut left = refused.clone();
        while !left.is_empty() {
            assert!(begun.elapsed() < WECHATS_FIRST_GAP, "{} would fail at WeChat's next try", left.len());
            left = scene.tell(left.into_iter().map(|(event, _)| event).collect()).await.told;
            left.retain(|(_, status)| *status != Some(200));
        }
        assert_eq!(scene.delivered(&refused), (refused.len(), 0));
    }
    assert_eq!(scene.node.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_with_local_everything_is_taken_by_the_nodes_own_memory() {
    let mut scene = Scene::set("local").await;
    for stop in [Stop::Killed, Stop::Frozen] {
        let during = outage(&scene, stop, "local").await;
        assert!(during.percent(200) >= 90, "{:?}", during.counts());
        let (delivered, doubled) = scene.delivered(&during.told);
        assert!(delivered * 100 >= during.told.len() * 90 && doubled == 0, "{delivered} delivered, {doubled} twice");
    }
    assert_eq!(scene.node.terminate().await, Some(0));
}
