//! A reload swaps keys and endpoints whole: no callback sees half of a configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wxgate::sim::keys::SignedBy;
use wxgate::sim::notify::unix_now;

use crate::gateway::{Gateway, PATH};

#[tokio::test]
async fn a_key_is_added_and_dropped_without_a_restart() {
    let gateway = Gateway::start().await;
    let text = std::fs::read_to_string(gateway.site.config()).unwrap();
    let without: Vec<_> = text.lines().filter(|line| !line.starts_with("keys.public")).collect();
    let without = without.join("\n");
    std::fs::write(gateway.site.config(), &without).unwrap();
    gateway.app.reload(gateway.site.load().endpoints);
    let by_public_key = || gateway.site.event().callback(&gateway.site.keys, SignedBy::PublicKey, PATH, unix_now());
    assert_eq!(gateway.send(&by_public_key()).await.status, 401, "unknown key");
    std::fs::write(gateway.site.config(), &text).unwrap();
    gateway.app.reload(gateway.site.load().endpoints);
    assert_eq!(gateway.send(&by_public_key()).await.status, 200);
}

#[tokio::test]
async fn reloads_under_load_fail_no_callback() {
    let gateway = Arc::new(Gateway::start().await);
    let stop = Arc::new(AtomicBool::new(false));
    let mut senders = Vec::new();
    for _ in 0..4 {
        let (gateway, stop) = (Arc::clone(&gateway), Arc::clone(&stop));
        senders.push(tokio::spawn(async move {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(gateway.deliver(&gateway.site.event()).await.status, 200);
                sent += 1;
            }
            sent
        }));
    }
    for _ in 0..20 {
        gateway.app.reload(gateway.site.load().endpoints);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for sender in senders {
        sent += sender.await.unwrap();
    }
    assert!(sent > 0);
    assert_eq!(gateway.shop.accepted().len(), sent);
}
