//! A genuine callback goes in, a clean event comes out.

use std::time::Duration;

use wxgate::sim::keys::SignedBy;
use wxgate::sim::notify::unix_now;
use wxgate::sim::sample::{self, Order};
use wxgate::sim::shop::{Behaviour, Shop};

use crate::gateway::{Gateway, PATH, SIGNING, Site};
use crate::http_client;

#[tokio::test]
async fn the_app_gets_the_decrypted_event_with_its_headers() {
    let gateway = Gateway::start().await;
    let order = Order::new(&gateway.site.keys.merchant, unix_now());
    let event = sample::find("payment-native").unwrap().event(&order);

    let answer = gateway.deliver(&event).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, r#"{"code":"SUCCESS","message":"成功"}"#);

    let deliveries = gateway.shop.deliveries();
    let [got] = deliveries.as_slice() else { panic!("{} deliveries", deliveries.len()) };
    assert!(got.signed, "the Standard Webhooks signature holds");
    assert_eq!(got.body, event.resource.as_bytes(), "the plaintext, byte for byte");
    let header = |name: &str| got.headers.get(name).map_or("", |value| value.to_str().unwrap());
    assert_eq!(header("ce-specversion"), "1.0");
    assert_eq!(header("ce-id"), event.id);
    assert_eq!(header("ce-type"), "wechatpay.transaction.success");
    assert_eq!(header("ce-source"), "/wxgate/shop-pay");
    assert_eq!(header("ce-subject"), order.out_trade_no);
    assert!(header("ce-time").ends_with('Z'), "{}", header("ce-time"));
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("wxgate-endpoint"), "shop-pay");
    assert_eq!(header("wxgate-risk-score"), "0");
    assert_eq!(header("wxgate-risk-action"), "allow");
    assert_eq!(header("wxgate-attempt"), "1");
    assert_eq!(header("traceparent").len(), 55);
    assert!(!header("webhook-id").is_empty());
    assert!(!got.headers.contains_key("wechatpay-signature"), "nothing of WeChat's own headers in format event");
}

#[tokio::test]
async fn every_kind_of_event_passes_in_both_key_modes() {
    let gateway = Gateway::start().await;
    for by in [SignedBy::Certificate, SignedBy::PublicKey] {
        for sample in sample::ALL {
            let order = Order::new(&gateway.site.keys.merchant, unix_now());
            let event = sample.event(&order);
            let answer = gateway.send(&event.callback(&gateway.site.keys, by, PATH, unix_now())).await;
            assert_eq!(answer.status, 200, "{} {by:?}: {answer:?}", sample.name);
        }
    }
    assert_eq!(gateway.shop.accepted().len(), 2 * sample::ALL.len());
}

#[tokio::test]
async fn format_original_passes_the_request_as_it_was_without_spoofed_headers() {
    let gateway = Gateway::start().await;
    gateway.site.write_config("memory:", gateway.shop.address(), "");
    let text = std::fs::read_to_string(gateway.site.config()).unwrap();
    std::fs::write(gateway.site.config(), text.replace("timeout = \"2s\"\nsigning", "format = \"original\"\nsigning"))
        .unwrap();
    gateway.app.reload(gateway.site.load().endpoints);

    let event = gateway.site.event();
    let mut callback = gateway.site.sign(&event);
    for name in ["wxgate-risk-score", "ce-id", "webhook-id", "x-wx-openid", "traceparent"] {
        callback.headers.push((name.to_owned(), "spoofed".to_owned()));
    }
    assert_eq!(gateway.send(&callback).await.status, 200);
    let got = gateway.shop.deliveries().remove(0);
    assert!(got.signed);
    assert_eq!(got.body, callback.body);
    assert_eq!(got.headers["wechatpay-signature"], *callback.header("wechatpay-signature").unwrap());
    assert_eq!(got.headers["ce-id"], event.id);
    assert!(got.headers.values().all(|value| value != "spoofed"), "{:?}", got.headers);
    assert!(!got.headers.contains_key("connection"));
}

#[tokio::test]
async fn an_upstream_that_fails_gets_the_event_at_the_next_try() {
    let gateway = Gateway::with("memory:", "", Behaviour::Down).await;
    let event = gateway.site.event();
    assert_eq!(gateway.deliver(&event).await.status, 502);
    assert_eq!(gateway.deliver(&event).await.status, 502);
    gateway.shop.behave(Behaviour::Healthy);
    assert_eq!(gateway.deliver(&event).await.status, 200);
    assert_eq!(gateway.deliver(&event).await.status, 200, "a duplicate is told success");
    let deliveries = gateway.shop.deliveries();
    assert_eq!(gateway.shop.accepted().len(), 1);
    assert_eq!(deliveries.len(), 3);
    assert_eq!(deliveries[2].headers["wxgate-attempt"], "3");
    assert!(deliveries.iter().all(|d| d.webhook_id == deliveries[0].webhook_id), "the idempotency key is stable");
}

#[tokio::test]
async fn a_slow_upstream_is_a_timeout_and_not_a_success() {
    let gateway = Gateway::with("memory:", "", Behaviour::Slow(Duration::from_secs(10))).await;
    assert_eq!(gateway.deliver(&gateway.site.event()).await.status, 504);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_undo_a_delivery() {
    let gateway = Gateway::with("memory:", "", Behaviour::Slow(Duration::from_millis(300))).await;
    let event = gateway.site.event();
    let bytes = gateway.site.sign(&event).to_http("gateway.test");
    {
        use tokio::io::AsyncWriteExt as _;
        let mut stream = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        while gateway.app.gate().in_flight() == 0 {
            tokio::task::yield_now().await;
        }
    } // hangs up
    while gateway.app.gate().in_flight() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(gateway.shop.accepted().len(), 1);
    assert_eq!(gateway.deliver(&event).await.status, 200);
    assert_eq!(gateway.shop.deliveries().len(), 1, "the next try is a duplicate");
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_flight_and_takes_nothing_new() {
    let gateway = Gateway::with("memory:", "", Behaviour::Slow(Duration::from_millis(500))).await;
    let address = gateway.address();
    let callback = gateway.site.sign(&gateway.site.event());
    let in_flight = tokio::spawn(async move { crate::gateway::send(address, &callback).await });
    while gateway.app.gate().in_flight() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (site, shop) = gateway.stop().await;
    assert_eq!(in_flight.await.unwrap().status, 200);
    assert_eq!(shop.accepted().len(), 1);
    assert!(http_client::request(address, "POST", PATH, &[], b"").await.is_err(), "nobody listens any more");
    assert_eq!(site.audit().iter().filter(|record| record["reason"] == "forwarded").count(), 1);
}

#[tokio::test]
async fn metrics_and_health_are_served() {
    let gateway = Gateway::start().await;
    gateway.deliver(&gateway.site.event()).await;
    let admin = gateway.app.admin_address().unwrap();
    assert_eq!(http_client::get(admin, "/healthz").await.status, 200);
    assert_eq!(http_client::get(admin, "/readyz").await.status, 200);
    let metrics = http_client::get(admin, "/metrics").await.body;
    let counted = r#"wxgate_requests_total{endpoint="shop-pay",outcome="forwarded",reason="forwarded"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    gateway.app.gate().drain();
    assert_eq!(http_client::get(admin, "/readyz").await.status, 503);
    assert_eq!(gateway.deliver(&gateway.site.event()).await.status, 503, "draining");
}

#[tokio::test]
async fn an_app_that_cannot_be_connected_to_shows_until_it_can() {
    let site = Site::new();
    // Nobody listens there: the address was free a moment ago.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    site.write_config("memory:", gone, "");
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    let gateway = Gateway::of(site, shop).await;
    let admin = gateway.app.admin_address().unwrap();
    let told = async |line: &str| http_client::get(admin, "/metrics").await.body.lines().any(|one| one == line);
    assert!(told("wxgate_upstream_up{endpoint=\"shop-pay\"} 1").await, "nothing was tried yet");
    assert_eq!(gateway.deliver(&gateway.site.event()).await.status, 502);
    assert!(told("wxgate_upstream_up{endpoint=\"shop-pay\"} 0").await);
    let _back = Shop::start(&gone.to_string(), SIGNING, Behaviour::Healthy).await.unwrap();
    assert_eq!(gateway.deliver(&gateway.site.event()).await.status, 200);
    assert!(told("wxgate_upstream_up{endpoint=\"shop-pay\"} 1").await);
}
