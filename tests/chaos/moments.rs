//! Single moments that a campaign meets now and then, met every time.

use std::time::{Duration, Instant};

use crate::desk;
use crate::outage::Scene;
use crate::shop::Mood;
use crate::site::{Endpoint, LEASE};

/// How long the app takes, so that there is time to stop Redis meanwhile.
const WORK: Duration = Duration::from_millis(700);

/// Waits until the app has taken so many events.
async fn taken(scene: &Scene, count: usize) {
    let begun = Instant::now();
    while scene.shop.taken().len() < count {
        assert!(begun.elapsed() < Duration::from_secs(10), "the app gets nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_an_event_that_the_app_took_while_redis_was_away_is_not_delivered_again() {
    let mut scene = Scene::set("refuse").await;
    scene.shop.be(Mood::Slow(WORK));
    let event = scene.event();
    let (answer, ()) = tokio::join!(scene.tell_once(&event, Endpoint::Now), async {
        tokio::time::sleep(WORK / 2).await;
        scene.redis.freeze_primary();
    });
    assert_eq!(answer, Some(503), "the app has it, but that could not be written down");
    taken(&scene, 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.redis.thaw_primary();
    let begun = Instant::now();
    while scene.tell_once(&event, Endpoint::Now).await != Some(200) {
        assert!(begun.elapsed() < LEASE * 2, "WeChat does not get rid of it");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(scene.shop.taken().len(), 1, "WeChat's next try is a duplicate");
    assert_eq!(scene.node.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_a_queued_event_that_the_app_took_while_redis_was_away_is_not_delivered_again() {
    let mut scene = Scene::set("refuse").await;
    scene.shop.be(Mood::Slow(WORK));
    let event = scene.event();
    assert_eq!(scene.tell_once(&event, Endpoint::Later).await, Some(200));
    tokio::time::sleep(WORK / 2).await;
    scene.redis.freeze_primary();
    taken(&scene, 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.redis.thaw_primary();
    let begun = Instant::now();
    while !desk::rows(scene.node.admin, "pending").await.is_some_and(|rows| rows.is_empty()) {
        assert!(begun.elapsed() < LEASE * 2, "it stays in the queue");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(scene.tell_once(&event, Endpoint::Later).await, Some(200), "a duplicate");
    assert_eq!(scene.shop.taken().len(), 1);
    assert_eq!(scene.node.terminate().await, Some(0));
}
