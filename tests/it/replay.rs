//! The replay invariants through a whole gateway (their proof for each engine is the store's own suite).

use std::sync::Arc;
use std::time::Duration;

use wxgate::sim::notify::{Event, unix_now};
use wxgate::sim::shop::Behaviour;

use crate::gateway::{Gateway, PATH};

#[tokio::test]
async fn i1_i3_twenty_concurrent_copies_are_forwarded_once() {
    for store in ["memory:", "file:store.db"] {
        let gateway = Arc::new(Gateway::with(store, "", Behaviour::Slow(Duration::from_millis(100))).await);
        let event = gateway.site.event();
        let copies: Vec<_> = (0..20).map(|_| gateway.site.sign(&event)).collect();
        let tasks: Vec<_> = copies
            .into_iter()
            .map(|copy| {
                let gateway = Arc::clone(&gateway);
                tokio::spawn(async move { gateway.send(&copy).await.status })
            })
            .collect();
        let mut statuses = Vec::new();
        for task in tasks {
            statuses.push(task.await.unwrap());
        }
        assert_eq!(gateway.shop.deliveries().len(), 1, "{store}: {statuses:?}");
        assert!(statuses.contains(&200), "{store}: {statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{store}: {statuses:?}");
        assert_eq!(gateway.deliver(&event).await.status, 200);
        assert_eq!(gateway.shop.deliveries().len(), 1);
    }
}

#[tokio::test]
async fn i6_the_same_bytes_again_are_replayed_however_the_first_ended() {
    let gateway = Gateway::with("memory:", "", Behaviour::Down).await;
    let event = gateway.site.event();
    let callback = gateway.site.sign(&event);
    assert_eq!(gateway.send(&callback).await.status, 502);
    gateway.shop.behave(Behaviour::Healthy);
    assert_eq!(gateway.send(&callback).await.status, 409);
    assert_eq!(gateway.deliver(&event).await.status, 200, "a retry that is signed afresh passes");
    assert_eq!(gateway.shop.accepted().len(), 1);
}

#[tokio::test]
async fn i6_a_forged_request_does_not_use_up_a_nonce() {
    let gateway = Gateway::start().await;
    let callback = gateway.site.sign(&gateway.site.event());
    let mut forged = callback.clone();
    forged.body.push(b' ');
    assert_eq!(gateway.send(&forged).await.status, 401);
    assert_eq!(gateway.send(&callback).await.status, 200);
}

#[tokio::test]
async fn i8_another_event_under_the_same_id_is_held_and_not_forwarded() {
    let gateway = Gateway::start().await;
    let first = gateway.site.event();
    let second = Event { resource: first.resource.replace("\"total\":100", "\"total\":1"), ..first.clone() };
    assert_ne!(first.resource, second.resource);
    assert_eq!(gateway.deliver(&first).await.status, 200);
    let answer = gateway.deliver(&second).await;
    assert_eq!(answer.status, 200, "kept for a person: WeChat need not send it again");
    assert_eq!(gateway.shop.deliveries().len(), 1);
    let (site, _shop) = gateway.stop().await;
    assert_eq!(site.audit().last().unwrap()["reason"], "id-conflict");
}

#[tokio::test]
async fn timestamps_are_refused_on_both_sides_of_the_window() {
    let gateway = Gateway::start().await;
    let event = gateway.site.event();
    for offset in [-301, -300, 301] {
        let callback =
            event.callback(&gateway.site.keys, wxgate::sim::keys::SignedBy::Certificate, PATH, unix_now() + offset);
        assert_eq!(gateway.send(&callback).await.status, 401, "{offset}");
    }
    let ahead = event.callback(&gateway.site.keys, wxgate::sim::keys::SignedBy::Certificate, PATH, unix_now() + 290);
    assert_eq!(gateway.send(&ahead).await.status, 200);
    assert_eq!(gateway.send(&ahead).await.status, 409, "and remembered as long as it would pass");
}
