//! The store by its public face: types of trust in and out, on the memory engine. What engines must hold to is in
//! `conformance.rs`.

use bytes::Bytes;

use super::conformance::{Fixture, conformance};
use super::engine::Kind;
use super::memory::MemoryEngine;
use super::*;
use crate::event::Event;

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
