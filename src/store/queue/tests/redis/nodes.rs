//! Several gateways over one Redis.

use std::time::Instant;

use super::*;

#[tokio::test]
async fn nodes_that_take_at_the_same_time_never_get_the_same_row() {
    let fixture = OneServer::new();
    let nodes: Vec<Arc<Rows>> = (0..4).map(|_| Arc::new(fixture.node())).collect();
    for number in 1..=200 {
        let mut stored = due(number);
        stored.head.lane = [number % 90; 8]; // some are of one subject
        nodes[0].put(stored).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for node in nodes {
        tasks.spawn(async move {
            let mut got = Vec::new();
            loop {
                let taken = take_from(&node, now(), LEASE, 3).await;
                if taken.is_empty() {
                    return got;
                }
                for number in taken {
                    assert!(node.remove(Queue::Pending, RowId([number; 24])).await.unwrap(), "{number} was another's");
                    got.push(number);
                }
            }
        });
    }
    let got = tasks.join_all().await;
    let mut all = got.concat();
    all.sort_unstable();
    // A node may find nothing while the last rows of some subjects are leased by others, and end; those rows stay.
    let rows = fixture.node();
    loop {
        let taken = take_from(&rows, now(), LEASE, 10).await;
        if taken.is_empty() {
            break;
        }
        for number in taken {
            assert!(rows.remove(Queue::Pending, RowId([number; 24])).await.unwrap());
            all.push(number);
        }
    }
    all.sort_unstable();
    assert_eq!(all, (1..=200).collect::<Vec<u8>>());
}

#[tokio::test]
async fn what_a_dead_node_had_is_taken_over_when_its_lease_has_ended() {
    let fixture = OneServer::new();
    let (dead, other) = (fixture.node(), fixture.node());
    dead.put(due(1)).await.unwrap();
    let lease = Duration::from_millis(400);
    let began = Instant::now();
    assert_eq!(take_from(&dead, now(), lease, 1).await, [1]);
    drop(dead);
    while take_from(&other, now(), lease, 1).await.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20), "never");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(began.elapsed() >= lease, "after {:?}", began.elapsed());
}

#[tokio::test]
async fn clocks_that_differ_by_half_a_minute_end_no_lease_early_and_keep_none_too_long() {
    let fixture = OneServer::new();
    let (fast, slow) = (fixture.node(), fixture.node());
    let ahead = now().plus(Duration::from_secs(30));
    slow.put(due(1)).await.unwrap();
    assert_eq!(take_from(&slow, now().minus(Duration::from_secs(30)), LEASE, 1).await, [1]);
    assert_eq!(take_from(&fast, ahead, LEASE, 1).await, [0; 0], "its lease has not ended");
    slow.put(due(2)).await.unwrap();
    let lease = Duration::from_millis(50);
    assert_eq!(take_from(&fast, ahead, lease, 1).await, [2]);
    tokio::time::sleep(lease).await;
    assert_eq!(take_from(&slow, now().minus(Duration::from_secs(30)), LEASE, 1).await, [2], "it has ended");
}

#[tokio::test]
async fn rows_set_aside_are_tried_once_more_after_a_node_starts_however_many_they_are() {
    let fixture = OneServer::new();
    let rows = fixture.open().await;
    let many = 700_u16; // more than one script recalls
    let id = |number: u16| {
        let mut id = [0; 24];
        id[22..].copy_from_slice(&number.to_be_bytes());
        RowId(id)
    };
    for number in 0..many {
        let queue = if number == 0 { Queue::Held } else { Queue::Pending };
        let lane = u64::from(number).to_be_bytes();
        rows.put(row(Head { id: id(number), queue, lane, ..head(1) })).await.unwrap();
        rows.set_aside(id(number)).await.unwrap();
    }
    let take = Take { endpoint: "pay", now: NOW, until: NOW.plus(LEASE), limit: 2000 };
    assert_eq!(rows.take(&take).await.unwrap().len(), usize::from(many) - 1, "its own first take is a start too");
    assert!(!rows.list(&query(Queue::Held)).await.unwrap().rows[0].is_quarantined);
    rows.set_aside(id(1)).await.unwrap();
    let later = Take { now: NOW.plus(LEASE), until: NOW.plus(LEASE), ..take };
    let taken = rows.take(&later).await.unwrap();
    assert_eq!(taken.len(), usize::from(many) - 2, "it stays aside for this node");
    let started = fixture.open().await;
    assert_eq!(started.take(&later).await.unwrap().len(), usize::from(many) - 1);
}

#[tokio::test]
async fn what_one_gateway_queued_another_lists_opens_and_delivers() {
    let Stores { fixture: _server, stores: [one, other] } = stores().await;
    let key = queue(&one, "EV-1").await;
    let listed = rows_of(&other, Queue::Pending).await;
    assert_eq!(other.show(Queue::Pending, listed[0].id).await.unwrap().webhook_id, key);
    let opened = other.take("pay", LEASE, 10).await.unwrap().remove(0);
    assert!(one.take("pay", LEASE, 10).await.unwrap().is_empty(), "it is the other's");
    assert_eq!((opened.idempotency_key(), opened.event().id.as_str()), (key, "EV-1"));
    opened.finish().await.unwrap();
    assert_eq!(rows_of(&one, Queue::Pending).await, []);
}

#[tokio::test]
async fn a_key_that_one_gateway_lacked_opens_after_the_next_start() {
    let fixture = OneServer::new();
    let new = store(&fixture, vec![seal_key(2), seal_key(1)]);
    let old = store(&fixture, vec![seal_key(1)]);
    queue(&new, "EV-1").await;
    assert!(old.take("pay", LEASE, 10).await.unwrap().is_empty());
    assert_eq!(old.quarantined(), 1);
    let restarted = store(&fixture, vec![seal_key(2), seal_key(1)]);
    assert_eq!(restarted.take("pay", LEASE, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_of_redis_does_not_open_without_a_seal_key() {
    let redis = settings(single(&server()), &fresh_prefix());
    let engine = EngineSettings::Redis(Arc::new(redis));
    let settings = Settings { engine, retention: Duration::from_hours(72), seal_keys: Vec::new() };
    let refused = Store::open(&settings, Clock::manual(NOW)).err().unwrap();
    assert!(matches!(refused, OpenError::NoSealKey), "{refused}");
}
