//! The store by its public face: types of trust in and out, on the memory engine. What engines must hold to is in
//! `conformance/`.

use bytes::Bytes;

use super::conformance::{Fixture, conformance};
use super::engine::Kind;
use super::memory::MemoryEngine;
use super::*;
use crate::event::Event;
use crate::risk::ask::{Amount, Answers, ListAsk, Measure, Order};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

/// Process memory: a crash leaves nothing.
struct Forgetful;

impl Fixture for Forgetful {
    fn new() -> Self {
        Self
    }

    async fn open(&self, now: UnixTime) -> Engine {
        Engine(Kind::Memory(MemoryEngine::new(now)))
    }

    async fn crash(&self, _engine: Engine, _now: UnixTime) -> Option<Engine> {
        None
    }
}

mod memory_engine {
    super::conformance!(super::Forgetful, 256);
}

fn store(clock: &Clock) -> Store {
    let settings =
        Settings { engine: EngineSettings::Memory, retention: Duration::from_hours(72), seal_keys: Vec::new() };
    Store::open(&settings, clock.clone()).unwrap()
}

fn terms() -> Terms {
    Terms { endpoint: Arc::from("shop-pay"), lease: Duration::from_secs(9), window: Duration::from_mins(5) }
}

fn authentic(id: &str, nonce: &str, body: &'static str) -> Authentic {
    let event = Event {
        id: id.to_owned(),
        kind: "wechatpay.transaction.success".to_owned(),
        body: Bytes::from_static(body.as_bytes()),
        ..Event::default()
    };
    Authentic::for_test(event, nonce, NOW)
}

#[tokio::test]
async fn a_committed_event_is_a_duplicate_and_its_request_a_replay() {
    let store = store(&Clock::manual(NOW));
    let claimed =
        store.claim(authentic("EV-1", "n1", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap();
    assert_eq!(claimed.attempt(), 1);
    claimed.commit().await.unwrap();
    let retried = store.claim(authentic("EV-1", "n2", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await;
    assert!(matches!(retried, Err(Unclaimed::Duplicate)));
    let replayed = store.claim(authentic("EV-1", "n1", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await;
    assert!(matches!(replayed, Err(Unclaimed::Replayed)));
}

#[tokio::test]
async fn a_dropped_claim_is_released() {
    let store = store(&Clock::manual(NOW));
    drop(store.claim(authentic("EV-1", "n1", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap());
    let again =
        store.claim(authentic("EV-1", "n2", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap();
    assert_eq!(again.attempt(), 2);
}

#[tokio::test]
async fn a_commit_that_is_cancelled_does_not_release() {
    let store = store(&Clock::manual(NOW));
    let claimed =
        store.claim(authentic("EV-1", "n1", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap();
    drop(claimed.commit()); // never polled: it is unknown what the upstream has, so only the lease may free it
    let second = store.claim(authentic("EV-1", "n2", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await;
    assert!(matches!(second, Err(Unclaimed::InFlight)));
}

#[tokio::test]
async fn the_idempotency_key_is_the_same_for_every_attempt_and_never_changes() {
    let store = store(&Clock::manual(NOW));
    let first =
        store.claim(authentic("EV-1", "n1", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap();
    let key = first.idempotency_key();
    first.release().await.unwrap();
    let second =
        store.claim(authentic("EV-1", "n2", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap();
    assert_eq!(second.idempotency_key(), key);
    // Printed by `printf 'idempotency\0\0\0\0\0\0\0\0\010shop-payEV-1' | sha256sum`: apps keep these keys for good.
    assert_eq!(key, "evt_c631fe6702b9612ab8c7ffec22058bc8");
    let other =
        store.claim(authentic("EV-2", "n3", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap();
    assert_ne!(other.idempotency_key(), key);
}

#[tokio::test]
async fn an_event_under_another_ones_id_is_kept_once() {
    let store = store(&Clock::manual(NOW));
    let asks = Asks::default();
    let headers = HeaderMap::new();
    store.claim(authentic("EV-1", "n1", "{}"), &headers, &terms(), &asks, NOW).await.unwrap().commit().await.unwrap();
    for nonce in ["n2", "n3"] {
        let conflict = store.claim(authentic("EV-1", nonce, r#"{"amount":1}"#), &headers, &terms(), &asks, NOW).await;
        assert!(matches!(conflict, Err(Unclaimed::IdConflict)));
    }
    let held = store.depths().await.unwrap();
    assert_eq!(held.iter().map(|depth| (depth.queue, depth.rows)).collect::<Vec<_>>(), [(Queue::Held, 1)]);
}

#[tokio::test]
async fn a_held_event_counts_as_done() {
    let store = store(&Clock::manual(NOW));
    let claimed =
        store.claim(authentic("EV-1", "n1", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap();
    claimed.hold(Reason::Held, Beside { verdict: "", headers: &HeaderMap::new() }).await.unwrap();
    let retried = store.claim(authentic("EV-1", "n2", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await;
    assert!(matches!(retried, Err(Unclaimed::Duplicate)));
}

#[tokio::test]
async fn i6_what_was_signed_before_a_forgetful_store_opened_is_refused() {
    let opened = NOW.plus(Duration::from_millis(1));
    let store = store(&Clock::manual(opened));
    assert_eq!(store.remembers_since(), Some(opened));
    let captured =
        store.claim(authentic("EV-1", "n1", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), opened).await;
    assert!(matches!(captured, Err(Unclaimed::Replayed)));
}

#[tokio::test]
async fn a_nonce_is_remembered_as_long_as_any_node_would_let_its_timestamp_pass() {
    let store = store(&Clock::manual(NOW));
    drop(store.claim(authentic("EV-1", "n1", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap());
    let last = NOW.plus(Duration::from_mins(5)).plus(CLOCKS_DIFFER);
    let replayed =
        store.claim(authentic("EV-1", "n1", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), last).await;
    assert!(matches!(replayed, Err(Unclaimed::Replayed)));
}

fn file_store(dir: &std::path::Path) -> Store {
    let settings = Settings {
        engine: EngineSettings::File(dir.join("store")),
        retention: Duration::from_hours(72),
        seal_keys: Vec::new(),
    };
    Store::open(&settings, Clock::manual(NOW)).unwrap()
}

#[tokio::test]
async fn a_file_store_knows_after_a_restart_what_it_answered() {
    let dir = tempfile::tempdir().unwrap();
    let store = file_store(dir.path());
    assert_eq!(store.remembers_since(), None);
    store
        .claim(authentic("EV-1", "n1", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW)
        .await
        .unwrap()
        .commit()
        .await
        .unwrap();
    store
        .claim(authentic("EV-2", "n2", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW)
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    drop(store.claim(authentic("EV-3", "n3", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap());
    store.close().await;
    assert!(!store.is_up());

    let store = file_store(dir.path());
    let (terms, asks) = (terms(), Asks::default());
    let headers = HeaderMap::new();
    let claim = |id, nonce| store.claim(authentic(id, nonce, "{}"), &headers, &terms, &asks, NOW);
    assert!(matches!(claim("EV-1", "n1").await, Err(Unclaimed::Replayed)));
    assert!(matches!(claim("EV-1", "n4").await, Err(Unclaimed::Duplicate)));
    assert_eq!(claim("EV-2", "n5").await.unwrap().attempt(), 2);
    assert_eq!(claim("EV-3", "n6").await.unwrap().attempt(), 2);
}

fn counter(id: u8) -> CounterAsk {
    let add = Some(Amount::Number(1));
    let (window, slice) = (Duration::from_mins(10), Duration::from_secs(30));
    CounterAsk { id: [id; 16], measure: Measure::Count, add, window, slice, at: NOW }
}

fn order(amount_total: i64) -> Order {
    let expires_at = NOW.plus(Duration::from_hours(2));
    Order { amount_total, currency: "CNY".to_owned(), expires_at, ..Order::default() }
}

#[tokio::test]
async fn a_claim_answers_everything_that_the_policy_asks_and_a_retry_counts_nothing_twice() {
    let store = store(&Clock::manual(NOW));
    assert_eq!(store.put_order("shop-pay", "20261125-1", order(8800)).await.unwrap(), Registered::New);
    store.list_add("blocked", "o1", NOW.plus(Duration::from_hours(1))).await.unwrap();
    let lists = ["o1", "o2"].map(|value| ListAsk { list: "blocked".to_owned(), value: value.to_owned() });
    let asks = Asks { counters: vec![counter(1)], order: Some("20261125-1".to_owned()), lists: lists.to_vec() };
    let once = Some(Counted { before: 0, after: 1 });
    for nonce in ["n1", "n2"] {
        let claimed =
            store.claim(authentic("EV-1", nonce, "{}"), &HeaderMap::new(), &terms(), &asks, NOW).await.unwrap();
        assert_eq!(
            *claimed.answers(),
            Answers { counters: vec![once], order: Some(order(8800)), lists: vec![true, false], is_local: false }
        );
        assert_eq!(store.count(&claimed, &[counter(2)]).await.unwrap(), [once]);
        assert_eq!(store.count(&claimed, &[]).await.unwrap(), []);
        claimed.release().await.unwrap();
    }
    assert_eq!(store.counters_refused(), 0);
}

#[tokio::test]
async fn an_order_is_remembered_for_a_day_after_it_expired_and_told_by_its_number() {
    let clock = Clock::manual(NOW);
    let store = store(&clock);
    let orders = vec![("A".to_owned(), order(1)), ("B".to_owned(), order(2))];
    assert_eq!(store.put_orders("shop-pay", orders).await.unwrap(), [Registered::New; 2]);
    assert_eq!(store.put_order("shop-pay", "B", order(3)).await.unwrap(), Registered::Replaced);
    clock.advance(Duration::from_hours(26));
    assert_eq!(store.order("shop-pay", "A").await.unwrap(), Some(order(1)));
    assert_eq!(store.order("shop-pay", "B").await.unwrap(), Some(order(3)));
    assert_eq!(store.order("shop-pay", "C").await.unwrap(), None);
    clock.advance(Duration::from_hours(2));
    assert_eq!(store.order("shop-pay", "A").await.unwrap(), None);
}

#[tokio::test]
async fn what_is_too_long_or_empty_or_too_much_is_not_registered() {
    let store = store(&Clock::manual(NOW));
    let refused = |result: Result<Registered, RegisterError>| result.unwrap_err().to_string();
    let long = "9".repeat(65);
    assert_eq!(
        refused(store.put_order("shop-pay", &long, order(1)).await),
        "the order number has 65 bytes, and at most 64 are kept"
    );
    assert_eq!(refused(store.put_order("shop-pay", "", order(1)).await), "the order number is empty");
    let payer_openid = Some("o".repeat(129));
    let one_is_wrong = vec![("A".to_owned(), order(1)), ("B".to_owned(), Order { payer_openid, ..order(2) })];
    assert!(matches!(
        store.put_orders("shop-pay", one_is_wrong).await,
        Err(RegisterError::TooLong { what: "payer_openid", .. })
    ));
    assert_eq!(store.order("shop-pay", "A").await.unwrap(), None, "all are looked at before any is registered");
    let many = (0..1001).map(|number| (number.to_string(), order(1))).collect();
    assert!(matches!(store.put_orders("shop-pay", many).await, Err(RegisterError::TooMany { orders: 1001, .. })));
    let long = "v".repeat(257);
    assert!(matches!(store.list_add("blocked", &long, NOW).await, Err(RegisterError::TooLong { .. })));
    assert!(matches!(store.list_add("", "o1", NOW).await, Err(RegisterError::Empty { .. })));
}

#[tokio::test]
async fn a_file_store_knows_after_a_restart_what_was_counted_and_registered() {
    let dir = tempfile::tempdir().unwrap();
    let asks = Asks { counters: vec![counter(1)], ..Asks::default() };
    let store = file_store(dir.path());
    let claimed = store.claim(authentic("EV-1", "n1", "{}"), &HeaderMap::new(), &terms(), &asks, NOW).await.unwrap();
    store.count(&claimed, &[counter(2)]).await.unwrap();
    drop(claimed);
    store.put_order("shop-pay", "A", order(1)).await.unwrap();
    store.list_add("blocked", "o1", NOW.plus(Duration::from_hours(1))).await.unwrap();
    store.close().await;
    assert!(matches!(store.put_order("shop-pay", "A", order(1)).await, Err(RegisterError::Store(StoreError::Closed))));

    let store = file_store(dir.path());
    let (once, twice) = (Some(Counted { before: 0, after: 1 }), Some(Counted { before: 1, after: 2 }));
    let again = store.claim(authentic("EV-1", "n2", "{}"), &HeaderMap::new(), &terms(), &asks, NOW).await.unwrap();
    assert_eq!((again.attempt(), &again.answers().counters[..]), (2, &[once][..]));
    assert_eq!(store.count(&again, &[counter(2)]).await.unwrap(), [once]);
    let other = store.claim(authentic("EV-2", "n3", "{}"), &HeaderMap::new(), &terms(), &asks, NOW).await.unwrap();
    assert_eq!(other.answers().counters, [twice]);
    assert_eq!(store.order("shop-pay", "A").await.unwrap(), Some(order(1)));
    assert_eq!(store.list_show("blocked", None, 10).await.unwrap().values[0].value, "o1");
    assert!(store.list_remove("blocked", "o1").await.unwrap());
}
