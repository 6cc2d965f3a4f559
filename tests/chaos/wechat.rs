//! A WeChat that tells each event to a node by chance, sometimes to several at once, and again, signed afresh, until it is
//! answered with success: as WeChat does, with shorter gaps. Beside it somebody who forges and who sends again what he saw.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wxgate::sim::keys::{Keys, SignedBy};
use wxgate::sim::notify::{self, Callback, Event, unix_now};
use wxgate::sim::sample::{self, Order};
use wxgate::sim::sign;
use wxgate::sim::wire;

use crate::ledger::{Ledger, Sent};
use crate::seed::Seed;
use crate::site::{Endpoint, HELD_ABOVE};

/// WeChat's own patience.
const PATIENCE: Duration = Duration::from_secs(5);
/// The gaps between tries; the last one is that of all later tries. In life 15 s, 15 s, 30 s, 3 min, …
const GAPS: [Duration; 5] = [
    Duration::from_millis(150),
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_secs(1),
    LONGEST_GAP,
];
/// Before it is made longer or shorter by a fifth.
pub(crate) const LONGEST_GAP: Duration = Duration::from_millis(1500);
/// Requests under way at once.
const AT_ONCE: usize = 48;
/// Events that wait for their next try; as long as there are so many, no more begin. More would only take the processor away
/// from who has to answer them.
const MOST_OPEN: usize = 300;

pub(crate) struct Wechat {
    keys: Arc<Keys>,
    nodes: Vec<SocketAddr>,
    ledger: Arc<Ledger>,
    seed: Seed,
    places: Semaphore,
    /// One signs at a time: it costs more than a whole callback, and would take every processor there is.
    signing: Arc<Semaphore>,
    gives_up_at: Mutex<Option<Instant>>,
}

/// An event with where it goes.
#[derive(Clone)]
struct Told {
    endpoint: Endpoint,
    event: Event,
    /// The rules hold it.
    is_held: bool,
}

impl Wechat {
    pub(crate) fn new(keys: &Keys, nodes: Vec<SocketAddr>, ledger: &Arc<Ledger>, seed: Seed) -> Arc<Self> {
        let (keys, ledger) = (Arc::new(keys.clone()), Arc::clone(ledger));
        let (places, signing) = (Semaphore::new(AT_ONCE), Arc::new(Semaphore::new(1)));
        Arc::new(Self { keys, nodes, ledger, seed, places, signing, gives_up_at: Mutex::new(None) })
    }

    /// From then on nothing is tried again.
    pub(crate) fn give_up_at(&self, at: Instant) {
        *self.gives_up_at.lock() = Some(at);
    }

    /// Returns when another event may begin.
    pub(crate) async fn has_room(&self) {
        while self.ledger.open_accounts() >= MOST_OPEN {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Tells the event of this number until it is taken, with what comes beside it.
    pub(crate) async fn tell(self: Arc<Self>, number: usize) {
        let mut seed = self.seed.of(u64::try_from(number).unwrap());
        let told = Arc::new(self.event(number, &mut seed));
        self.ledger.open(&told.event.id, told.endpoint, &told.event.resource, told.is_held);
        if seed.chance(60) {
            self.forge(&told, &mut seed).await;
        }
        // One in five is told twice at once, one in ten three times, each to a node by chance.
        let copies = [1, 1, 1, 1, 1, 1, 1, 2, 2, 3][seed.below(10)];
        let mut telling = JoinSet::new();
        for copy in 0..copies {
            telling.spawn(Arc::clone(&self).tell_until_taken(Arc::clone(&told), seed.of(copy)));
        }
        let Some(callback) = telling.join_all().await.into_iter().flatten().next() else { return };
        if seed.chance(120) {
            self.replay(&told, &callback, &mut seed).await;
        }
        if seed.chance(40) {
            self.contradict(&told, &mut seed).await;
        }
        if seed.chance(80) {
            tokio::time::sleep(seed.between(Duration::ZERO, Duration::from_secs(2))).await;
            self.tell_until_taken(told, seed).await; // a late copy: done long ago
        }
    }

    fn event(&self, number: usize, seed: &mut Seed) -> Told {
        let endpoint = match seed.below(20) {
            0..10 => Endpoint::Now,
            10..17 => Endpoint::Later,
            _ => Endpoint::Judged,
        };
        let mut order = Order::new(&self.keys.merchant, unix_now());
        order.total = 100 + i64::try_from(number).unwrap() % 1000;
        let is_held = endpoint == Endpoint::Judged && seed.chance(400);
        if is_held {
            order.total += HELD_ABOVE;
        }
        let mut event = sample::find("payment-native").unwrap().event(&order);
        event.id = format!("EV-{number:06}-{}", event.id);
        Told { endpoint, event, is_held }
    }

    /// Gives the request that was answered with success; none if time was up.
    async fn tell_until_taken(self: Arc<Self>, told: Arc<Told>, mut seed: Seed) -> Option<Callback> {
        for tries in 0.. {
            let due = Instant::now();
            let by = if seed.chance(500) { SignedBy::Certificate } else { SignedBy::PublicKey };
            let callback = self.sign(&told, by).await;
            self.ledger.lagged(due.elapsed());
            let status = self.send(&callback, Sent::Genuine, &told, &mut seed).await;
            if matches!(status, Some(200 | 204)) {
                return Some(callback);
            }
            if self.gives_up_at.lock().is_some_and(|at| Instant::now() >= at) {
                return None;
            }
            let gap = GAPS.get(tries).copied().unwrap_or(LONGEST_GAP);
            tokio::time::sleep(seed.between(gap.mul_f64(0.8), gap.mul_f64(1.2))).await;
        }
        None
    }

    /// Each try is encrypted and signed afresh; off the runtime, for it takes milliseconds.
    async fn sign(&self, told: &Arc<Told>, by: SignedBy) -> Callback {
        let (keys, told) = (Arc::clone(&self.keys), Arc::clone(told));
        let turn = Arc::clone(&self.signing).acquire_owned().await.unwrap();
        let signing = move || {
            let _turn = turn;
            told.event.callback(&keys, by, told.endpoint.path(), unix_now())
        };
        tokio::task::spawn_blocking(signing).await.unwrap()
    }

    async fn send(&self, callback: &Callback, sent: Sent, told: &Told, seed: &mut Seed) -> Option<u16> {
        let node = self.nodes[seed.below(self.nodes.len())];
        let message = callback.to_http("gateway.test");
        let _place = self.places.acquire().await.unwrap();
        let answer = wire::exchange(node, &message, PATIENCE).await;
        let status = answer.ok().map(|answer| answer.status);
        self.ledger.answered(sent, &told.event.id, status);
        status
    }

    /// A stranger's signature, or a genuine one over other bytes.
    async fn forge(&self, told: &Arc<Told>, seed: &mut Seed) {
        let mut forged = self.sign(told, SignedBy::Certificate).await;
        if seed.chance(500) {
            forged.body.push(b' ');
        } else {
            let nonce = sign::random_text::<32>();
            let message = sign::callback_message(&unix_now().to_string(), &nonce, &forged.body);
            let signature = self.keys.stranger.sign(&message);
            forged = forged.with("Wechatpay-Nonce", &nonce).with("Wechatpay-Signature", &signature);
        }
        self.send(&forged, Sent::Forged, told, seed).await;
    }

    /// The same bytes again, to nodes by chance. They were answered with success, so that their nonce is used up.
    async fn replay(&self, told: &Told, callback: &Callback, seed: &mut Seed) {
        for _ in 0..2 {
            self.send(callback, Sent::Replayed, told, seed).await;
        }
    }

    /// Other content under an id that is done, signed as WeChat signs (I8).
    async fn contradict(&self, told: &Arc<Told>, seed: &mut Seed) {
        let mut event = told.event.clone();
        event.resource = event.resource.replacen("\"total\":", "\"total\":9", 1);
        assert_ne!(event.resource, told.event.resource);
        let body = event.body(&self.keys);
        let nonce = sign::random_text::<32>();
        let timestamp = unix_now().to_string();
        let stamp = notify::Stamp { by: SignedBy::Certificate, timestamp: &timestamp, nonce: &nonce };
        let callback = notify::signed(&self.keys, stamp, told.endpoint.path(), body);
        self.send(&callback, Sent::Conflict, told, seed).await;
    }
}
