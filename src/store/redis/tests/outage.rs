//! What goes on while the store is out, and afterwards.

use std::time::{Duration, Instant};

use super::{NOW, address, ask, claimed, done, ended, settings};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::engine::{Ask, End, NonceUse, Reply};
use crate::store::redis::servers::Server;
use crate::store::redis::{OnOutage, RedisEngine, RedisSettings, Topology};

fn durable(on_outage: OnOutage) -> (Server, RedisSettings) {
    let server = Server::start_durable();
    let settings = RedisSettings {
        timeout: Duration::from_millis(300),
        on_outage,
        ..settings(Topology::Single(address(&server)))
    };
    (server, settings)
}

fn open(settings: &RedisSettings) -> RedisEngine {
    RedisEngine::open(settings, &Clock::manual(NOW)).unwrap()
}

/// Tries an event with ever new nonces until the store answers.
async fn until_answered(engine: &RedisEngine, event: u32) -> Reply {
    let began = Instant::now();
    for nonce in 1000.. {
        match engine.claim(&ask(event, nonce)).await {
            Ok(reply) => return reply,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(20), "it never answered again: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    unreachable!("there are more nonces than seconds")
}

/// Until what an outage left untold is told: another node then knows.
async fn until_told(engine: &RedisEngine) {
    let began = Instant::now();
    while !engine.untold.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20), "it was never told");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn i5_refuse_lets_nothing_pass_and_nothing_has_to_be_restarted() {
    let (mut server, settings) = durable(OnOutage::Refuse);
    let engine = open(&settings);
    done(&engine, &ask(1, 1)).await;
    server.kill();
    let refused = engine.claim(&ask(1, 2)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unreachable { .. }), "{refused}");
    assert!(!engine.is_up() && !engine.is_whole());
    server.restart();
    assert_eq!(until_answered(&engine, 1).await, Reply::Duplicate);
    assert_eq!(engine.claim(&ask(2, 1)).await.unwrap(), Reply::Replayed, "nonces are known over the outage");
    assert_eq!(engine.answered_locally(), 0);
}

#[tokio::test]
async fn i1_an_end_that_the_store_missed_is_told_when_it_is_back() {
    let (mut server, settings) = durable(OnOutage::Refuse);
    let engine = open(&settings);
    let (taken, lost) = (ask(1, 1), ask(2, 2));
    let (taken_lease, lost_lease) = (claimed(&engine, &taken).await, claimed(&engine, &lost).await);
    server.kill();
    // The upstream has the one and refused the other; the store hears of neither.
    engine.settle(&ended(&taken, taken_lease, End::Done)).await.unwrap_err();
    engine.settle(&ended(&lost, lost_lease, End::Released)).await.unwrap_err();
    server.restart();
    until_told(&engine).await;
    let other_node = open(&settings);
    let later = NOW.plus(Duration::from_secs(11));
    let next = |event, nonce| Ask { now: later, ..ask(event, nonce) };
    assert_eq!(other_node.claim(&next(1, 3)).await.unwrap(), Reply::Duplicate);
    assert!(matches!(other_node.claim(&next(2, 4)).await.unwrap(), Reply::Claimed { attempt: 2, .. }));
}

/// Who claims tells first what is untold, but has only one timeout for it. Another thread does, on a lane that knows nothing of
/// the outage yet.
#[tokio::test]
async fn i1_an_end_that_a_claim_had_no_time_to_tell_is_told_later() {
    let (server, settings) = durable(OnOutage::Refuse);
    let engine = std::sync::Arc::new(open(&settings));
    let taken = ask(1, 1);
    let lease = claimed(&engine, &taken).await;
    server.pause();
    engine.settle(&ended(&taken, lease, End::Done)).await.unwrap_err();
    let elsewhere = std::sync::Arc::clone(&engine);
    let claims = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(elsewhere.claim(&ask(2, 2))).unwrap_err()
    });
    let late = tokio::task::spawn_blocking(|| claims.join().unwrap()).await.unwrap();
    assert!(late.is_outage(), "{late}");
    server.resume();
    until_told(&engine).await;
    let other_node = open(&settings);
    let later = Ask { now: NOW.plus(Duration::from_secs(11)), ..ask(1, 3) };
    assert_eq!(other_node.claim(&later).await.unwrap(), Reply::Duplicate);
}

#[tokio::test]
async fn i5_local_goes_on_by_what_this_node_knows_and_says_so() {
    let (mut server, settings) = durable(OnOutage::Local);
    let engine = open(&settings);
    done(&engine, &ask(1, 1)).await;
    let in_flight = ask(2, 2);
    let lease = claimed(&engine, &in_flight).await;
    server.kill();
    let asked = Ask { order: Some([1; 16]), ..ask(3, 3) };
    let began = Instant::now();
    let Reply::Claimed { answers, lease: local, .. } = engine.claim(&asked).await.unwrap() else { panic!() };
    assert!(began.elapsed() < settings.timeout * 3, "switched within a store timeout: {:?}", began.elapsed());
    assert!(answers.is_local && answers.order.is_none());
    assert!(engine.is_up() && !engine.is_whole(), "it serves, and says that the store is out");
    assert_eq!(engine.claim(&ask(3, 4)).await.unwrap(), Reply::InFlight);
    assert_eq!(engine.claim(&ask(1, 5)).await.unwrap(), Reply::Duplicate, "done before the outage");
    assert_eq!(engine.claim(&ask(4, 1)).await.unwrap(), Reply::Replayed, "used before the outage");
    engine.settle(&ended(&asked, local, End::Done)).await.unwrap();
    engine.settle(&ended(&in_flight, lease, End::Done)).await.unwrap();
    assert_eq!(engine.claim(&ask(3, 6)).await.unwrap(), Reply::Duplicate);
    assert_eq!(engine.answered_locally(), 5);

    server.restart();
    until_told(&engine).await;
    let other_node = open(&settings);
    for (event, nonce) in [(1, 7), (2, 8), (3, 9)] {
        assert_eq!(other_node.claim(&ask(event, nonce)).await.unwrap(), Reply::Duplicate, "event {event}");
    }
    let Reply::Claimed { answers, .. } = until_answered(&engine, 9).await else { panic!() };
    assert!(!answers.is_local);
}

#[tokio::test]
async fn i6_local_does_not_judge_what_was_signed_before_it_began() {
    let (mut server, settings) = durable(OnOutage::Local);
    let engine = open(&settings);
    server.kill();
    let signed_at = NOW.minus(Duration::from_secs(1));
    let nonce = NonceUse { digest: [9; 16], signed_at, until: NOW.plus(Duration::from_mins(5)) };
    let waits = engine.claim(&Ask { nonce: Some(nonce), ..ask(1, 1) }).await;
    assert!(matches!(waits, Err(StoreError::Unreachable { .. })), "{waits:?}");
}

#[tokio::test]
async fn a_store_that_hangs_is_switched_from_within_one_timeout() {
    let (server, settings) = durable(OnOutage::Local);
    let engine = open(&settings);
    done(&engine, &ask(1, 1)).await;
    server.pause();
    let began = Instant::now();
    for number in 2..200 {
        assert!(matches!(engine.claim(&ask(number, number)).await.unwrap(), Reply::Claimed { .. }));
    }
    assert!(began.elapsed() < settings.timeout * 3, "{:?} for 198 claims", began.elapsed());
    server.resume();
    let began = Instant::now();
    for number in 1000.. {
        let Reply::Claimed { answers, .. } = engine.claim(&ask(number, number)).await.unwrap() else { panic!() };
        if !answers.is_local {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it was never found again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn since_the_server_was_never_there_only_what_is_signed_now_is_judged() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let nowhere = settings(Topology::Single(crate::store::redis::Address {
        host: "127.0.0.1".to_owned(),
        port: crate::store::redis::servers::free_port(),
    }));
    // Opened without a runtime, as a command does: the first request connects.
    let engine = open(&RedisSettings { on_outage: OnOutage::Local, ..nowhere });
    runtime.block_on(async {
        let Reply::Claimed { answers, .. } = engine.claim(&ask(1, 1)).await.unwrap() else { panic!() };
        assert!(answers.is_local);
    });
}
