//! The app is down, WeChat goes on telling, the app comes back: everything arrives, each event once.

use std::collections::HashMap;
use std::time::Duration;

use wxgate::sim::keys::SignedBy;
use wxgate::sim::shop::Behaviour;
use wxgate::sim::wechat::{Settings, Wechat};

use crate::gateway::Gateway;

const EVENTS: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i2_after_an_outage_of_the_app_every_event_arrives_once() {
    let gateway = Gateway::with("file:store.db", "", Behaviour::Down).await;
    // A thousand times as fast as in life: retries after 15 ms, 15 ms, 30 ms, 180 ms, 0.6 s, 1.2 s, 1.8 s, …
    let settings =
        Settings { time_scale: 1000.0, answer_within: Duration::from_secs(20), ..Settings::local(&gateway.url()) };
    let wechat = Wechat::start(settings).await.unwrap();
    let events: HashMap<_, _> =
        (0..EVENTS).map(|_| gateway.site.event()).map(|event| (event.id.clone(), event)).collect();
    assert_eq!(events.len(), EVENTS);
    for (number, event) in events.values().enumerate() {
        wechat.sign_with(if number % 3 == 0 { SignedBy::PublicKey } else { SignedBy::Certificate });
        wechat.notify(event.clone(), &gateway.url());
    }
    // Every event has met the outage at least once.
    while wechat.deliveries().iter().any(|delivery| delivery.attempts.is_empty()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(wechat.deliveries().iter().all(|delivery| !delivery.done), "nothing is promised that was not taken");
    assert!(gateway.shop.accepted().is_empty());

    gateway.shop.behave(Behaviour::Healthy);
    assert!(wechat.wait_idle(Duration::from_mins(2)).await, "{} open", open(&wechat));
    assert_eq!(open(&wechat), 0);
    let accepted = gateway.shop.accepted();
    let mut times: HashMap<&str, usize> = HashMap::new();
    for delivery in &accepted {
        let id = delivery.headers["ce-id"].to_str().unwrap();
        assert_eq!(delivery.body, events[id].resource.as_bytes());
        *times.entry(id).or_default() += 1;
    }
    assert_eq!(times.len(), EVENTS, "nothing is lost");
    assert!(times.values().all(|count| *count == 1), "nothing is delivered twice");
    assert!(gateway.shop.deliveries().iter().all(|delivery| delivery.signed));
}

fn open(wechat: &Wechat) -> usize {
    wechat.deliveries().iter().filter(|delivery| !delivery.done).count()
}

#[tokio::test]
async fn i2_an_app_that_fails_now_and_then_still_gets_each_paid_order_once() {
    use wxgate::sim::merchant::Client;
    let gateway = Gateway::with("memory:", "", Behaviour::Flaky(3)).await;
    let wechat = Wechat::start(Settings { time_scale: 200.0, ..Settings::local(&gateway.url()) }).await.unwrap();
    let client = Client::new(wechat.addr(), gateway.site.keys.merchant.clone());
    for number in 0..12 {
        let code_url = client.native_order(&format!("ORDER-{number}"), "tea", 100 + number).await.unwrap();
        wechat.pay(&code_url).unwrap();
    }
    assert!(wechat.wait_idle(Duration::from_secs(20)).await);
    let mut orders: Vec<_> =
        gateway.shop.accepted().iter().map(|d| d.headers["ce-subject"].to_str().unwrap().to_owned()).collect();
    orders.sort();
    let mut expected: Vec<_> = (0..12).map(|number| format!("ORDER-{number}")).collect();
    expected.sort();
    assert_eq!(orders, expected);
    assert_eq!(gateway.shop.deliveries().len(), 16, "four first attempts failed");
    assert_eq!(client.query("ORDER-1").await.unwrap()["trade_state"], "SUCCESS");
}
