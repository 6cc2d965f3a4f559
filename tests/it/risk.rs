//! What only rules can see, from end to end: orders that the app registered over the admin API, genuine callbacks about them
//! that do not fit, and the person who looks at what was held. The rules are the starter sets of `rules/`.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wxgate::sim::notify::{Event, unix_now};
use wxgate::sim::sample::{self, Order};
use wxgate::sim::shop::{Behaviour, Shop};

use crate::gateway::{Gateway, SIGNING, Site};
use crate::http_client;

/// A gateway whose endpoint judges by `payment-core`.
async fn judging() -> Gateway {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    site.write_config("memory:", shop.address(), "rules = [\"payment-core\"]");
    let rules = site.config().with_file_name("rules");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules"), &rules);
    for (list, value) in [("mchids", &site.keys.merchant.mchid), ("appids", &site.keys.merchant.appid)] {
        std::fs::write(rules.join(format!("lists/{list}.txt")), value).unwrap();
    }
    let text = std::fs::read_to_string(site.config()).unwrap() + "\n[rules]\ndir = \"rules\"\n";
    std::fs::write(site.config(), text).unwrap();
    Gateway::of(site, shop).await
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

async fn api(gateway: &Gateway, method: &str, path: &str, body: &Value) -> Value {
    let admin = gateway.app.admin_address().unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\ncontent-type: application/json\r\n");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let answer = http_client::raw(admin, request.as_bytes()).await.expect("an answer");
    assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

fn order(gateway: &Gateway, number: &str, total: i64) -> Order {
    Order { out_trade_no: number.to_owned(), total, ..Order::new(&gateway.site.keys.merchant, unix_now()) }
}

/// A notification of its own about an order.
fn about(gateway: &Gateway, sample: &str, order: &Order) -> Event {
    Event { id: gateway.site.event().id, ..sample::find(sample).unwrap().event(order) }
}

/// Delivers a callback, which WeChat is told was taken, and gives the rows of `held` after it, in full.
async fn held_after(gateway: &Gateway, event: &Event) -> Vec<Value> {
    let answer = gateway.deliver(event).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"code":"SUCCESS","message":"成功"}"#));
    let page = api(gateway, "GET", "/v1/held", &Value::Null).await;
    let mut rows = Vec::new();
    for row in page["rows"].as_array().unwrap() {
        let path = format!("/v1/held/{}", row["id"].as_str().unwrap());
        rows.push(api(gateway, "GET", &path, &Value::Null).await);
    }
    rows
}

/// The one row that is held, and why it is: by this rule, for this reason, with these words.
#[track_caller]
fn only<'r>(rows: &'r [Value], rule: &str, reason: &str, message: &str) -> &'r Value {
    let [row] = rows else { panic!("{} are held", rows.len()) };
    assert_eq!((&row["row"]["reason"], &row["verdict"]["action"]), (&json!("held"), &json!("hold")), "{row}");
    let hits = row["verdict"]["hits"].as_array().unwrap();
    let hit = hits.iter().find(|hit| hit["enforced"] == true).unwrap();
    assert_eq!(
        (&hit["rule"], &hit["reason"], &hit["message"]),
        (&json!(rule), &json!(reason), &json!(message)),
        "{row}"
    );
    assert!(!hit["saw"].as_array().unwrap().is_empty(), "nothing is told of what the rule saw: {hit}");
    row
}

#[tokio::test]
async fn another_amount_than_was_ordered_is_held_explained_released_and_delivered() {
    let gateway = judging().await;
    for (number, total) in [("CHEAP", 8800), ("RIGHT", 8800)] {
        let path = format!("/v1/orders/shop-pay/{number}");
        assert_eq!(api(&gateway, "PUT", &path, &json!({ "amount_total": total })).await["registered"], "new");
    }
    let right = about(&gateway, "payment-native", &order(&gateway, "RIGHT", 8800));
    assert!(held_after(&gateway, &right).await.is_empty());
    assert_eq!(gateway.shop.take_deliveries().len(), 1, "what fits passes");

    let wrong = about(&gateway, "payment-native", &order(&gateway, "CHEAP", 1));
    let rows = held_after(&gateway, &wrong).await;
    let row = only(&rows, "WXP-1001", "amount_mismatch", "paid ¥0.01, the order says ¥88.00");
    let saw = row["verdict"]["hits"][0]["saw"].to_string();
    assert!(saw.contains("event.amount.total") && saw.contains("order.amount_total"), "{saw}");
    let again = held_after(&gateway, &wrong).await;
    assert_eq!(again.len(), 1, "WeChat's next try is a duplicate");
    assert!(gateway.shop.take_deliveries().is_empty(), "the app knows nothing of it");

    let path = format!("/v1/held/{}/release", row["row"]["id"].as_str().unwrap());
    api(&gateway, "POST", &path, &Value::Null).await;
    let begun = Instant::now();
    while gateway.shop.accepted().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "released and not delivered");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let [delivery] = &gateway.shop.take_deliveries()[..] else { panic!("delivered more than once") };
    assert!(delivery.signed && delivery.body == wrong.resource.as_bytes());
    assert_eq!(delivery.headers["wxgate-released-from"], "held");
    assert_eq!(delivery.headers["webhook-id"], row["webhook_id"].as_str().unwrap());

    let (site, _) = gateway.stop().await;
    let audit = site.audit();
    let of = |reason: &str| audit.iter().filter(|record| record["reason"] == reason).count();
    assert_eq!((of("forwarded"), of("held"), of("duplicate")), (2, 1, 1), "the fitting one, and what was released");
    let record = audit.iter().find(|record| record["reason"] == "held").unwrap();
    assert_eq!(record["verdict"]["hits"][0]["rule"], "WXP-1001", "the audit log explains it too");
}

#[tokio::test]
async fn refunds_over_the_payment_are_held() {
    let gateway = judging().await;
    let order = order(&gateway, "REFUNDED", 8800);
    let refund = |number: &str, fen: i64| {
        let event = about(&gateway, "refund-success", &order);
        let mut resource: Value = serde_json::from_str(&event.resource).unwrap();
        resource["out_refund_no"] = number.into();
        resource["refund_id"] = format!("5000{number}").into();
        resource["amount"]["refund"] = fen.into();
        Event { resource: resource.to_string(), ..event }
    };
    assert!(held_after(&gateway, &refund("R1", 5000)).await.is_empty());
    assert!(held_after(&gateway, &refund("R2", 3800)).await.is_empty(), "all of it may be given back");
    let rows = held_after(&gateway, &refund("R3", 1)).await;
    only(&rows, "WXP-1005", "over_refund", "refunded ¥88.01 of ¥88.00");
    assert_eq!(gateway.shop.take_deliveries().len(), 2);
}

#[tokio::test]
async fn a_second_payment_of_one_order_is_held() {
    let gateway = judging().await;
    let pay = || about(&gateway, "payment-native", &order(&gateway, "TWICE", 8800));
    let first = pay();
    assert!(held_after(&gateway, &first).await.is_empty());
    assert!(held_after(&gateway, &first).await.is_empty(), "the same notification again is no second payment");
    // The same payment told by another notification is none either.
    let told_again = Event { id: gateway.site.event().id, ..first.clone() };
    assert!(held_after(&gateway, &told_again).await.is_empty());
    let rows = held_after(&gateway, &pay()).await;
    only(&rows, "WXP-1003", "double_payment", "2 payments of order TWICE");
    assert_eq!(gateway.shop.take_deliveries().len(), 2);
}
