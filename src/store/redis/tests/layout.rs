//! How keys lie: packed tightly, each with an expiry, and found again however their tables grew.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{NOW, address, ask, claimed, digest, done, ended, settings, shared};
use crate::clock::{Clock, UnixTime};
use crate::risk::ask::{Amount, CounterAsk, ListAsk, Measure, Order};
use crate::store::engine::{Ask, End, Lease, NonceUse, PutOrder, Reply};
use crate::store::redis::script::Times;
use crate::store::redis::servers::Server;
use crate::store::redis::{RedisEngine, Topology, wire};

fn engine(server: &Server) -> RedisEngine {
    RedisEngine::open(&settings(Topology::Single(address(server))), &Clock::manual(NOW)).unwrap()
}

/// All keys of a server that nobody else uses.
fn keys(server: &Server) -> Vec<String> {
    let answer = server.tell(&["KEYS", "*"]).unwrap();
    answer.lines().skip(2).step_by(2).map(str::to_owned).collect()
}

/// Claims and ends many events at once, each with a nonce of the same number.
async fn run(engine: &Arc<RedisEngine>, events: std::ops::Range<u32>, expected: impl Fn(&Reply) -> bool) {
    let mut tasks = JoinSet::new();
    for number in events {
        let engine = Arc::clone(engine);
        tasks.spawn(async move {
            let ask = ask(number, number);
            let reply = engine.claim(&ask).await.unwrap();
            if let Reply::Claimed { lease, .. } = reply {
                engine.settle(&ended(&ask, lease, End::Done)).await.unwrap();
            }
            reply
        });
        if tasks.len() > 64 {
            let reply = tasks.join_next().await.unwrap().unwrap();
            assert!(expected(&reply), "{reply:?}");
        }
    }
    while let Some(reply) = tasks.join_next().await {
        assert!(expected(reply.as_ref().unwrap()), "{reply:?}");
    }
}

#[tokio::test]
async fn tables_that_grow_lose_nothing_and_stay_packed() {
    let server = Server::start();
    let engine = Arc::new(engine(&server));
    run(&engine, 0..20_000, |reply| matches!(reply, Reply::Claimed { attempt: 1, .. })).await;
    run(&engine, 0..20_000, |reply| *reply == Reply::Replayed).await;
    for number in (0..20_000).step_by(100) {
        let again = Ask { nonce: None, ..ask(number, 0) };
        assert_eq!(engine.claim(&again).await.unwrap(), Reply::Duplicate);
    }
    let (mut packed, mut buckets) = (0, 0);
    for key in keys(&server) {
        match server.tell(&["OBJECT", "ENCODING", &key]).unwrap().lines().last() {
            Some("listpack") => (packed, buckets) = (packed + 1, buckets + 1),
            Some("hashtable") => buckets += 1,
            _ => {}
        }
    }
    assert!(buckets > 2 * 20_000 / 110 && buckets < 2 * 20_000 / 40, "{buckets} buckets for 40000 fields");
    assert!(packed * 100 >= buckets * 98, "{packed} of {buckets} buckets are packed");
}

#[tokio::test]
async fn what_has_expired_makes_room_before_a_table_grows() {
    let server = Server::start();
    let engine = engine(&server);
    for number in 0..3000 {
        // Ten a second, remembered for a minute: 600 at a time.
        let now = NOW.plus(Duration::from_millis(u64::from(number) * 100));
        let ask = Ask { nonce: None, now, retention: Duration::from_mins(1), ..ask(number, 0) };
        claimed(&engine, &ask).await;
    }
    let buckets = keys(&server).len() - 1;
    assert!((600 / 110..=600 / 110 * 4).contains(&buckets), "{buckets} buckets for 600 events");
}

#[tokio::test]
async fn every_key_expires() {
    let server = Server::start();
    let engine = engine(&server);
    let counter = |id: u8, measure, add| CounterAsk {
        id: [id; 16],
        measure,
        add: Some(add),
        window: Duration::from_mins(10),
        slice: Duration::from_secs(30),
        at: NOW,
    };
    let counters = [
        counter(1, Measure::Count, Amount::Number(1)),
        counter(2, Measure::Sum, Amount::Number(1)),
        counter(3, Measure::Last, Amount::Number(1)),
        counter(4, Measure::FirstSeen, Amount::Number(1)),
        counter(5, Measure::Distinct { exact_up_to: 8 }, Amount::Member([1; 8])),
    ];
    for number in 0..300 {
        let ask = Ask { counters: &counters, ..ask(number, number) };
        let lease = claimed(&engine, &ask).await;
        if number % 2 == 0 {
            engine.settle(&ended(&ask, lease, End::Done)).await.unwrap();
        }
    }
    let put = PutOrder { order: digest(1), says: Order::default(), until: NOW.plus(Duration::from_hours(1)) };
    engine.put_orders("pay", &[put], NOW).await.unwrap();
    let entry = ListAsk { list: "blocked".to_owned(), value: "o1".to_owned() };
    engine.list_add(&entry, NOW.plus(Duration::from_hours(1)), NOW).await.unwrap();
    let keys = keys(&server);
    assert!(keys.len() > 160, "{keys:?}");
    for key in keys {
        let ttl = server.tell(&["TTL", &key]).unwrap();
        let secs: i64 = ttl.trim().trim_start_matches(':').parse().unwrap();
        // -2: what is binary in the name was not told as it is; those are seen below.
        assert!(secs > 0 || secs == -2, "{key}: {ttl}");
    }
    let (all, expiring) = {
        let space = server.info("keyspace", "db0");
        let field = |name: &str| -> u64 {
            space.split(',').find_map(|field| field.strip_prefix(name)).unwrap().parse().unwrap()
        };
        (field("keys="), field("expires="))
    };
    assert_eq!(all, expiring);
}

#[tokio::test]
async fn a_claim_that_is_sent_again_is_answered_the_same() {
    let engine = engine(shared());
    let add = Some(Amount::Number(1));
    let (window, slice) = (Duration::from_mins(10), Duration::from_secs(30));
    let counters = [CounterAsk { id: [1; 16], measure: Measure::Count, add, window, slice, at: NOW }];
    let ask = Ask { counters: &counters, ..ask(1, 1) };
    let arguments = wire::claim(&ask, Lease(1 << 63), &[], Times::Given);
    let first = engine.run(&wire::CLAIM, "pay", &arguments).await.unwrap();
    let again = engine.run(&wire::CLAIM, "pay", &arguments).await.unwrap();
    assert_eq!(first, again);
    assert!(matches!(wire::reply(first, Lease(1 << 63), 1).unwrap(), Reply::Claimed { attempt: 1, .. }));
    assert_eq!(engine.claim(&ask).await.unwrap(), Reply::Replayed, "with another lease it is a copy");
}

#[tokio::test]
async fn a_window_that_was_changed_forgets_no_nonce() {
    let engine = engine(shared());
    let (signed_at, shorter) = (NOW, NOW.plus(Duration::from_mins(2)));
    done(&engine, &ask(1, 1)).await;
    let after_reload = NonceUse { digest: digest(1), signed_at, until: shorter };
    let copy = Ask { nonce: Some(after_reload), ..ask(2, 1) };
    assert_eq!(engine.claim(&copy).await.unwrap(), Reply::Replayed);
}

#[tokio::test]
async fn leases_go_by_the_clock_of_the_server_and_not_by_that_of_a_gateway() {
    let settings = settings(Topology::Single(address(shared())));
    let one = RedisEngine::open(&settings, &Clock::System).unwrap();
    let other = RedisEngine::open(&settings, &Clock::System).unwrap();
    let now = Clock::System.now();
    let at = |now: UnixTime| Ask { nonce: None, now, lease: Duration::from_millis(700), ..ask(1, 1) };
    let lease = claimed(&one, &at(now)).await;
    let ahead = other.claim(&at(now.plus(Duration::from_secs(30)))).await.unwrap();
    assert_eq!(ahead, Reply::InFlight, "a clock that is 30 s ahead ends nobody's lease");
    tokio::time::sleep(Duration::from_millis(800)).await;
    let behind = at(now.minus(Duration::from_secs(30)));
    claimed(&other, &behind).await; // nor does one that is behind prolong it
    one.settle(&ended(&behind, lease, End::Released)).await.unwrap();
    assert_eq!(other.claim(&behind).await.unwrap(), Reply::InFlight);
}
