//! What somebody may do who can write into Redis.

use http::HeaderMap;

use super::*;
use crate::risk::ask::Asks;
use crate::store::Unclaimed;
use crate::store::queue::desk::DeskError;
use crate::store::queue::tests::desk::{authentic, terms};

#[tokio::test]
async fn a_row_that_was_deleted_by_hand_holds_nobody_up() {
    let fixture = OneServer::new();
    let rows = fixture.open().await;
    for number in 1..=3 {
        let mut stored = due(number);
        stored.head.lane = [7; 8];
        rows.put(stored).await.unwrap();
    }
    fixture.tell(&["DEL", &fixture.row_key(1)]);
    assert_eq!(take_from(&rows, NOW, LEASE, 10).await, [0; 0], "the first look forgets it");
    assert_eq!(take_from(&rows, NOW, LEASE, 10).await, [2]);
    fixture.tell(&["DEL", &fixture.row_key(2)]); // while it is leased
    assert_eq!(take_from(&rows, NOW.plus(LEASE), LEASE, 10).await, [3]);
    assert_eq!(ids(&rows.list(&query(Queue::Pending)).await.unwrap()), [3]);
}

#[tokio::test]
async fn fields_that_were_changed_by_hand_keep_no_row_from_its_place() {
    let fixture = OneServer::new();
    let rows = fixture.open().await;
    for number in 1..=2 {
        rows.put(due(number)).await.unwrap();
    }
    let key = fixture.row_key(1);
    fixture.tell(&["HSET", &key, "endpoint", "other", "reason", "no-such-reason", "entered", "x", "attempts", "-1"]);
    fixture.tell(&["HDEL", &key, "sealed", "next"]);
    let taken = rows.take(&Take { endpoint: "pay", now: NOW, until: NOW.plus(LEASE), limit: 10 }).await.unwrap();
    let first = taken.iter().map(|taken| &taken.row).find(|row| row.head.id.0[0] == 1).unwrap();
    assert_eq!((&*first.head.endpoint, first.head.queue), ("pay", Queue::Pending), "as was asked for, not as it says");
    assert_eq!((first.head.attempts, first.sealed.len()), (0, 0));
    assert_eq!(taken.len(), 2);
    assert!(rows.set_aside(RowId([1; 24])).await.unwrap());
    assert_eq!(rows.list(&query(Queue::Pending)).await.unwrap().rows.len(), 2);
}

#[tokio::test]
async fn a_row_whose_bytes_were_changed_in_redis_is_quarantined_and_never_delivered() {
    let Stores { fixture, stores: [one, other] } = stores().await;
    queue(&one, "EV-1").await;
    queue(&one, "EV-2").await;
    let ids: Vec<RowId> = rows_of(&one, Queue::Pending).await.iter().map(|head| head.id).collect();
    let flip = "local sealed = redis.call('HGET', KEYS[1], 'sealed') local last = string.byte(sealed, -1) \
        redis.call('HSET', KEYS[1], 'sealed', string.sub(sealed, 1, -2) .. string.char((last + 1) % 256))";
    fixture.tell(&["EVAL", flip, "1", &fixture.key(&format!("row:{}", ids[0]))]);
    let taken = other.take("pay", LEASE, 10).await.unwrap();
    let taken = if taken.is_empty() { other.take("pay", LEASE, 10).await.unwrap() } else { taken };
    assert_eq!(taken.iter().map(Opened::id).collect::<Vec<_>>(), [ids[1]], "the other of its subject goes on");
    assert!(one.take("pay", LEASE, 10).await.unwrap().is_empty());
    assert_eq!((other.quarantined(), one.quarantined()), (1, 0), "one of them says so, once");
    assert!(matches!(one.show(Queue::Pending, ids[0]).await, Err(DeskError::Unopened { .. })));
    assert_eq!(one.quarantined(), 0);
    let page = one.list(&query(Queue::Pending)).await.unwrap();
    assert!(page.rows.iter().any(|listed| listed.head.id == ids[0] && listed.is_quarantined), "{page:?}");
}

#[tokio::test]
async fn what_a_person_holds_cannot_be_released_by_who_writes_into_redis() {
    let Stores { fixture, stores: [one, other] } = stores().await;
    queue(&one, "EV-1").await;
    let told = authentic("EV-1", "n2", r#"{"amount":1}"#);
    let claimed = one.claim(told, &HeaderMap::new(), &terms(), &Asks::default(), NOW).await;
    assert!(matches!(claimed, Err(Unclaimed::IdConflict)));
    one.take("pay", LEASE, 10).await.unwrap().remove(0).finish().await.unwrap();
    let id = rows_of(&one, Queue::Held).await[0].id.to_string();
    // Everything that a release does, but for the seal.
    fixture.tell(&["HSET", &fixture.key(&format!("row:{id}")), "queue", "pending"]);
    let place = fixture.tell(&["HGET", &fixture.key(&format!("row:{id}")), "place"]);
    let place = place.lines().nth(1).unwrap();
    fixture.tell(&["ZADD", &fixture.key("lanes:pay"), "0", &format!("{place}{id}")]);
    fixture.tell(&["ZADD", &fixture.key("due:pay"), "0", &place[..16]]);
    assert!(other.take("pay", LEASE, 10).await.unwrap().is_empty());
    assert_eq!(other.quarantined(), 1);
}
