//! The queues by the store's public face.

use std::fs;

use bytes::Bytes;
use http::HeaderMap;

use super::*;
use crate::clock::Clock;
use crate::event::Event;
use crate::risk::ask::Asks;
use crate::store::queue::desk::DeskError;
use crate::store::{Beside, EngineSettings, Settings, Store, Terms, Unclaimed};
use crate::wechat::Authentic;

const LEASE: Duration = Duration::from_secs(10);

fn store(engine: EngineSettings, clock: &Clock) -> Store {
    Store::open(&Settings { engine, retention: Duration::from_hours(72), seal_keys: Vec::new() }, clock.clone())
        .unwrap()
}

fn memory() -> (Store, Clock) {
    let clock = Clock::manual(NOW);
    (store(EngineSettings::Memory, &clock), clock)
}

pub(super) fn terms() -> Terms {
    Terms { endpoint: Arc::from("pay"), lease: LEASE, window: Duration::from_mins(5) }
}

pub(super) fn authentic(id: &str, nonce: &str, body: &'static str) -> Authentic {
    let event = Event {
        id: id.to_owned(),
        kind: "wechatpay.transaction.success".to_owned(),
        subject: Some("order-1".to_owned()),
        body: Bytes::from_static(body.as_bytes()),
        ..Event::default()
    };
    Authentic::for_test(event, nonce, NOW)
}

pub(super) async fn queue(store: &Store, id: &str) -> String {
    let claimed =
        store.claim(authentic(id, id, "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap();
    let key = claimed.idempotency_key();
    claimed.queue(Beside { verdict: r#"{"score":7}"#, headers: &HeaderMap::new() }).await.unwrap();
    key
}

pub(super) async fn rows_of(store: &Store, queue: Queue) -> Vec<Head> {
    let query = Query { queue, endpoint: None, reason: None, since: None, until: None, after: None, limit: 100 };
    store.list(&query).await.unwrap().rows.into_iter().map(|listed| listed.head).collect()
}

#[tokio::test]
async fn a_queued_event_is_opened_delivered_and_done() {
    let (store, _) = memory();
    let key = queue(&store, "EV-1").await;
    let retried = store.claim(authentic("EV-1", "n2", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await;
    assert!(matches!(retried, Err(Unclaimed::Duplicate)), "it counts as done");
    let opened = store.take("pay", LEASE, 10).await.unwrap().remove(0);
    assert_eq!((opened.event().id.as_str(), opened.attempt()), ("EV-1", 1));
    assert_eq!((opened.idempotency_key(), opened.verdict()), (key, r#"{"score":7}"#));
    opened.finish().await.unwrap();
    assert_eq!(rows_of(&store, Queue::Pending).await, []);
}

#[tokio::test]
async fn i1_what_was_delivered_from_the_queue_is_done_even_if_its_claim_was_never_committed() {
    let clock = Clock::manual(NOW);
    let store = store(EngineSettings::Memory, &clock);
    let claimed =
        store.claim(authentic("EV-1", "n1", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap();
    // The process dies between the two steps of `queue`: the row is there, the claim has no end.
    let row = Row::new(Origin::Claimed, claimed.authentic(), Beside { verdict: "", headers: &HeaderMap::new() });
    store.put_row(Queue::Pending, &terms().endpoint, Reason::Queued, &row).await.unwrap();
    drop(claimed.commit());
    store.take("pay", LEASE, 10).await.unwrap().remove(0).finish().await.unwrap();
    clock.advance(LEASE);
    let again =
        store.claim(authentic("EV-1", "n2", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), clock.now()).await;
    assert!(matches!(again, Err(Unclaimed::Duplicate)));
}

#[tokio::test]
async fn a_retry_of_an_event_that_waits_already_is_kept_once() {
    let clock = Clock::manual(NOW);
    let store = store(EngineSettings::Memory, &clock);
    let claimed =
        store.claim(authentic("EV-1", "n1", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap();
    let row = Row::new(Origin::Claimed, claimed.authentic(), Beside { verdict: "", headers: &HeaderMap::new() });
    store.put_row(Queue::Pending, &terms().endpoint, Reason::Queued, &row).await.unwrap();
    claimed.release().await.unwrap(); // as if the lease had run out after a crash
    let retried =
        store.claim(authentic("EV-1", "n2", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap();
    retried.queue(Beside { verdict: "", headers: &HeaderMap::new() }).await.unwrap();
    assert_eq!(rows_of(&store, Queue::Pending).await.len(), 1);
}

#[tokio::test]
async fn what_is_given_up_is_dead_and_comes_back_by_redrive_with_its_key() {
    let (store, clock) = memory();
    let key = queue(&store, "EV-1").await;
    store.take("pay", LEASE, 1).await.unwrap().remove(0).postpone(NOW).await.unwrap();
    let opened = store.take("pay", LEASE, 1).await.unwrap().remove(0);
    assert_eq!((opened.attempt(), opened.tries()), (2, 1));
    assert!(opened.bury(Reason::UpstreamTimeout).await.unwrap());
    let dead = rows_of(&store, Queue::Dead).await;
    assert_eq!((dead.len(), dead[0].reason), (1, Reason::UpstreamTimeout));
    assert!(store.take("pay", LEASE, 1).await.unwrap().is_empty());

    clock.advance(Duration::from_hours(30));
    assert_eq!(store.redrive(Some("other")).await.unwrap().moved, 0);
    assert_eq!(store.redrive(Some("pay")).await.unwrap().moved, 1);
    let opened = store.take("pay", LEASE, 1).await.unwrap().remove(0);
    assert_eq!((opened.idempotency_key(), opened.attempt(), opened.tries()), (key, 3, 0));
    assert_eq!((opened.released_from(), opened.entered_at()), (Some(Queue::Dead), clock.now()));
}

#[tokio::test]
async fn what_came_under_another_events_id_is_released_under_a_key_of_its_own_and_changes_nothing_of_that_event() {
    let (store, _) = memory();
    let first = queue(&store, "EV-1").await;
    store.take("pay", LEASE, 1).await.unwrap().remove(0).finish().await.unwrap();
    let other = store
        .claim(authentic("EV-1", "n2", r#"{"amount":1}"#), &HeaderMap::new(), &terms(), &Asks::default(), NOW)
        .await;
    assert!(matches!(other, Err(Unclaimed::IdConflict)));
    let held = rows_of(&store, Queue::Held).await.remove(0);
    assert_eq!(held.reason, Reason::IdConflict);
    let shown = store.show(Queue::Held, held.id).await.unwrap();
    assert_eq!((shown.event.body, shown.nonce.as_deref()), (Bytes::from_static(br#"{"amount":1}"#), Some("n2")));

    store.release(Queue::Held, held.id).await.unwrap();
    assert!(matches!(store.release(Queue::Held, held.id).await, Err(DeskError::NotFound { .. })));
    let opened = store.take("pay", LEASE, 1).await.unwrap().remove(0);
    assert_eq!(opened.idempotency_key(), shown.webhook_id);
    assert!(shown.webhook_id.starts_with(&first) && shown.webhook_id != first, "the app would drop it under the same");
    opened.finish().await.unwrap();
    let retried = store.claim(authentic("EV-1", "n3", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await;
    assert!(matches!(retried, Err(Unclaimed::Duplicate)), "the first event is what it was");
}

#[tokio::test]
async fn a_dropped_row_is_gone_and_its_event_stays_known() {
    let (store, _) = memory();
    queue(&store, "EV-1").await;
    let id = rows_of(&store, Queue::Pending).await[0].id;
    store.drop_row(Queue::Pending, id).await.unwrap();
    assert!(matches!(store.drop_row(Queue::Pending, id).await, Err(DeskError::NotFound { .. })));
    let retried = store.claim(authentic("EV-1", "n2", "{}"), &HeaderMap::new(), &terms(), &Asks::default(), NOW).await;
    assert!(matches!(retried, Err(Unclaimed::Duplicate)));
}

#[tokio::test]
async fn a_row_that_somebody_else_wrote_is_never_given_out() {
    let (store, _) = memory();
    queue(&store, "EV-1").await;
    queue(&store, "EV-2").await;
    let ids: Vec<RowId> = rows_of(&store, Queue::Pending).await.iter().map(|head| head.id).collect();
    // With the power to write into the engine: a row under another's id, and one of another queue.
    let stolen = store.shared.rows.get(Queue::Pending, ids[0]).await.unwrap().unwrap();
    let mut swapped = store.shared.rows.get(Queue::Pending, ids[1]).await.unwrap().unwrap();
    swapped.sealed = stolen.sealed.clone();
    assert!(store.shared.rows.replace(Queue::Pending, None, swapped).await.unwrap());
    let taken = store.take("pay", LEASE, 10).await.unwrap();
    assert_eq!(taken.iter().map(Opened::id).collect::<Vec<_>>(), [ids[0]]);
    drop(taken);
    let id = ids[0];
    store.shared.rows.remove(Queue::Pending, id).await.unwrap();
    assert!(store.take("pay", LEASE, 10).await.unwrap().is_empty(), "it does not open");
    assert_eq!(store.quarantined(), 1);
    assert!(matches!(store.show(Queue::Pending, ids[1]).await, Err(DeskError::Unopened { .. })));
    assert!(matches!(store.release(Queue::Pending, ids[1]).await, Err(DeskError::Unopened { .. })));
    assert_eq!(rows_of(&store, Queue::Pending).await.len(), 1, "it is kept");
    assert_eq!(store.quarantined(), 1, "and counted once");
}

#[tokio::test]
async fn held_files_of_the_version_before_are_sealed_and_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    fs::create_dir_all(path.join("held")).unwrap();
    let file = serde_json::json!({
        "endpoint": "pay", "reason": "id-conflict", "held_at_ms": 1_700_000_000_000_i64, "id": "EV-1",
        "kind": "wechatpay.transaction.success", "subject": "order-1", "nonce": "n2",
        "signed_at_ms": 1_700_000_000_000_i64, "signed_by": "KEY", "body_b64": "e30=", "received_body_b64": "e30=",
    });
    fs::write(path.join("held/aa-bb.json"), file.to_string()).unwrap();
    fs::write(path.join("held/cc.json.new"), "unfinished").unwrap();
    let store = store(EngineSettings::File(path.clone()), &Clock::manual(NOW));
    let held = rows_of(&store, Queue::Held).await.remove(0);
    let shown = store.show(Queue::Held, held.id).await.unwrap();
    assert_eq!((shown.event.id.as_str(), shown.event.body, shown.signed_by.as_str()), ("EV-1", "{}".into(), "KEY"));
    assert!(!path.join("held").exists());
    store.close().await;
    let again = self::store(EngineSettings::File(path), &Clock::manual(NOW));
    assert_eq!(rows_of(&again, Queue::Held).await.len(), 1);
}

#[tokio::test]
async fn nothing_of_an_event_lies_open_in_the_files_of_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = store(EngineSettings::File(path.clone()), &Clock::manual(NOW));
    let told = authentic("EV-SECRET", "n1", r#"{"payer":"openid-of-somebody"}"#);
    let claimed = store.claim(told, &HeaderMap::new(), &terms(), &Asks::default(), NOW).await.unwrap();
    claimed.queue(Beside { verdict: "verdict-of-somebody", headers: &HeaderMap::new() }).await.unwrap();
    let log = fs::read(path.join("queue/log-0000000001")).unwrap();
    for secret in ["EV-SECRET", "openid", "order-1", "wechatpay", "verdict"] {
        assert!(!log.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
    assert!(log.windows(3).any(|part| part == b"pay"), "the endpoint does");
}
