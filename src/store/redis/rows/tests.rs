//! Requests that are sent again, as the link does when a connection breaks before the answer is there.

#![allow(clippy::arithmetic_side_effects, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::reason::Reason;
use crate::store::queue::Head;
use crate::store::redis::servers::Server;
use crate::store::redis::{Address, RedisSettings, Topology};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const ID: RowId = RowId([1; 24]);

fn rows(server: &Server) -> RedisRows {
    let topology = Topology::Single(Address { host: "127.0.0.1".to_owned(), port: server.port });
    let (prefix, timeout) = ("again".to_owned(), Duration::from_secs(5));
    let settings = RedisSettings { prefix, timeout, ..RedisSettings::new(topology) };
    RedisRows::open(Link::open(&settings).unwrap(), &Clock::manual(NOW)).unwrap()
}

fn row(queue: Queue) -> Stored {
    let head = Head {
        id: ID,
        queue,
        endpoint: Arc::from("pay"),
        reason: Reason::Queued,
        received_at: NOW,
        entered_at: NOW,
        next_at: NOW,
        attempts: 0,
        lane: [1; 8],
    };
    Stored { head, sealed: vec![7; 40].into() }
}

/// The arguments of a change of this name.
fn named(name: u64, between: &[Bytes], queue: Queue) -> Vec<Bytes> {
    let mut args = vec![text(name), text(MOST_ROWS)];
    args.extend_from_slice(between);
    args.extend(told::args(row(queue)));
    args
}

async fn run(rows: &RedisRows, script: &Script, args: &[Bytes]) -> i64 {
    let answer = rows.run(script, args).await.unwrap();
    let Value::Int(answer) = answer else { panic!("{answer:?}") };
    answer
}

#[tokio::test]
async fn a_put_that_comes_again_after_its_row_was_delivered_puts_nothing() {
    let server = Server::start();
    let rows = rows(&server);
    let put = named(1, &[], Queue::Pending);
    assert_eq!(run(&rows, &PUT, &put).await, 1);
    assert_eq!(run(&rows, &PUT, &put).await, 1, "the answer that it gave");
    assert_eq!(run(&rows, &PUT, &named(2, &[], Queue::Pending)).await, 0, "another put of the same row");
    let remove = [text(3), text(ID), text(Queue::Pending.name())];
    assert_eq!(run(&rows, &REMOVE, &remove).await, 1);
    assert_eq!(run(&rows, &REMOVE, &remove).await, 1);
    assert_eq!(run(&rows, &REMOVE, &[text(4), remove[1].clone(), remove[2].clone()]).await, 0);
    assert_eq!(run(&rows, &PUT, &put).await, 1);
    assert_eq!(rows.get(Queue::Pending, ID).await.unwrap(), None, "it was delivered");
    assert_eq!(run(&rows, &PUT, &named(5, &[], Queue::Pending)).await, 1, "a put of its own");
}

#[tokio::test]
async fn a_move_and_a_quarantine_that_come_again_have_the_answers_that_they_had() {
    let server = Server::start();
    let rows = rows(&server);
    run(&rows, &PUT, &named(1, &[], Queue::Held)).await;
    let release = named(2, &[text(Queue::Held.name()), Bytes::new()], Queue::Pending);
    assert_eq!(run(&rows, &REPLACE, &release).await, 1);
    assert_eq!(run(&rows, &REPLACE, &release).await, 1);
    let release = named(3, &[text(Queue::Held.name()), Bytes::new()], Queue::Pending);
    assert_eq!(run(&rows, &REPLACE, &release).await, 0, "it is not held any more");
    assert_eq!(run(&rows, &SET_ASIDE, &[text(4), text(ID)]).await, 1);
    assert_eq!(run(&rows, &SET_ASIDE, &[text(4), text(ID)]).await, 1);
    assert_eq!(run(&rows, &SET_ASIDE, &[text(5), text(ID)]).await, 0);
}

#[tokio::test]
async fn a_postponement_that_comes_again_touches_no_later_lease() {
    let server = Server::start();
    let rows = rows(&server);
    rows.put(row(Queue::Pending)).await.unwrap();
    let take = Take { endpoint: "pay", now: NOW, until: NOW.plus(Duration::from_secs(10)), limit: 1 };
    let RowLease(lease) = rows.take(&take).await.unwrap()[0].lease;
    let postpone = [text(ID), text(lease), text(1), text(NOW.millis())];
    assert_eq!(run(&rows, &POSTPONE, &postpone).await, 1);
    assert_eq!(rows.take(&take).await.unwrap().len(), 1);
    assert_eq!(run(&rows, &POSTPONE, &postpone).await, 0);
    assert!(rows.take(&take).await.unwrap().is_empty(), "it is leased still");
}
