//! Events that wait: stored first and delivered later, given up, held and released, through crashes.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use wxgate::app::App;
use wxgate::clock::Clock;
use wxgate::sim::notify::{Event, unix_now};
use wxgate::sim::sample::{self, Order};
use wxgate::sim::shop::{Behaviour, Shop};

use crate::gateway::{Gateway, SIGNING, Site, send};
use crate::http_client;
use crate::process::Process;
use crate::rules_of_endpoints;

/// Waits for a condition; what it is not is told after the deadline.
async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}: not within 30 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn accepted(shop: &Shop, count: usize) {
    until("deliveries", async || (shop.accepted().len() >= count).then_some(())).await;
}

/// A site whose gateway answers after it has stored.
async fn site(store: &str, queue: &str, behaviour: Behaviour) -> (Site, Shop) {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, behaviour).await.unwrap();
    site.write_config(store, shop.address(), queue);
    let config = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), config.replace("timeout = \"2s\"", "timeout = \"2s\"\nack = \"after-store\""))
        .unwrap();
    (site, shop)
}

async fn gateway(store: &str, queue: &str, behaviour: Behaviour) -> Gateway {
    let (site, shop) = site(store, queue, behaviour).await;
    let app = App::start(site.load(), Clock::System).await.unwrap();
    while unix_now() * 1000 <= app.gate().store().remembers_since().map_or(0, wxgate::clock::UnixTime::millis) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Gateway { site, shop, app }
}

async fn api(admin: SocketAddr, method: &str, path: &str) -> (u16, Value) {
    // Without a token the API is for callers who know this machine by its address.
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    let answer = http_client::raw(admin, request.as_bytes()).await.expect("an answer");
    (answer.status, serde_json::from_str(&answer.body).expect("JSON"))
}

/// The ids of a queue's rows.
async fn ids(admin: SocketAddr, queue: &str) -> Vec<String> {
    let (status, page) = api(admin, "GET", &format!("/v1/{queue}")).await;
    assert_eq!(status, 200, "{page}");
    page["rows"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Another event about the same order.
fn about(site: &Site, order: &Order, sample: &str) -> Event {
    let event = sample::find(sample).unwrap().event(order);
    Event { id: format!("{}-{}", event.id, site.event().id), ..event }
}

#[tokio::test]
async fn with_after_store_wechat_is_answered_while_the_app_is_down_and_the_app_gets_it_once() {
    let gateway = gateway("memory:", "", Behaviour::Down).await;
    let event = gateway.site.event();
    let answer = gateway.deliver(&event).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"code":"SUCCESS","message":"成功"}"#));
    assert_eq!(gateway.deliver(&event).await.status, 200, "a retry is a duplicate");
    until("a first try", async || (!gateway.shop.deliveries().is_empty()).then_some(())).await;
    assert_eq!(ids(gateway.app.admin_address().unwrap(), "pending").await.len(), 1);

    gateway.shop.behave(Behaviour::Healthy);
    accepted(&gateway.shop, 1).await;
    let admin = gateway.app.admin_address().unwrap();
    until("an empty queue", async || ids(admin, "pending").await.is_empty().then_some(())).await;
    let deliveries = gateway.shop.deliveries();
    let got = deliveries.last().unwrap();
    assert!(got.signed && got.body == event.resource.as_bytes());
    assert!(deliveries.iter().all(|delivery| delivery.webhook_id == got.webhook_id), "one idempotency key");
    assert_eq!(got.headers["wxgate-attempt"].to_str().unwrap(), deliveries.len().to_string());
    assert_eq!(got.headers["wxgate-risk-action"], "allow");
    assert!(!got.headers.contains_key("wxgate-released-from"));
    let metrics = http_client::get(admin, "/metrics").await.body;
    for series in [
        r#"wxgate_requests_total{endpoint="shop-pay",outcome="queued",reason="queued"} 1"#,
        r#"wxgate_queue_events{endpoint="shop-pay",queue="pending"} 0"#,
        r#"wxgate_deliveries_total{endpoint="shop-pay",result="delivered"} 1"#,
    ] {
        assert!(metrics.contains(series), "{series} is not in {metrics}");
    }
    let (site, shop) = gateway.stop().await;
    assert_eq!(shop.accepted().len(), 1);
    let audit = site.audit();
    let ends: Vec<&str> =
        audit.iter().filter(|line| line["record"] == "delivery").map(|line| line["end"].as_str().unwrap()).collect();
    assert!(ends.len() == deliveries.len() && ends.ends_with(&["delivered"]), "{ends:?}");
}

#[tokio::test]
async fn events_of_one_order_arrive_in_the_order_in_which_they_came() {
    let gateway = gateway("memory:", "queue = { concurrency = 4 }", Behaviour::Down).await;
    let order = Order::new(&gateway.site.keys.merchant, unix_now());
    let events: Vec<Event> = (0..4).map(|_| about(&gateway.site, &order, "payment-native")).collect();
    for event in &events {
        assert_eq!(gateway.deliver(event).await.status, 200);
    }
    let other = gateway.site.event();
    assert_eq!(gateway.deliver(&other).await.status, 200);
    until("a first try", async || (!gateway.shop.deliveries().is_empty()).then_some(())).await;
    gateway.shop.behave(Behaviour::Healthy);
    accepted(&gateway.shop, 5).await;
    let accepted = gateway.shop.accepted();
    let got: Vec<&str> = accepted.iter().map(|delivery| delivery.headers["ce-id"].to_str().unwrap()).collect();
    let of_order: Vec<&str> = got.iter().copied().filter(|id| *id != other.id).collect();
    assert_eq!(of_order, events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>());
    let tried = gateway.shop.deliveries();
    let first_of = |id: &str| tried.iter().position(|delivery| delivery.headers["ce-id"] == id).unwrap();
    let done_of =
        |id: &str| tried.iter().position(|delivery| delivery.headers["ce-id"] == id && delivery.status < 300).unwrap();
    for pair in events.windows(2) {
        assert!(done_of(&pair[0].id) < first_of(&pair[1].id), "the second was tried before the first was taken");
    }
}

#[tokio::test]
async fn kill_9_between_storing_and_delivering_loses_nothing_and_delivers_it_after_the_restart() {
    let (site, shop) = site("file:store.db", "", Behaviour::Down).await;
    let process = Process::start(&site);
    let events: Vec<Event> = (0..3).map(|_| site.event()).collect();
    for event in &events {
        assert_eq!(send(process.address, &site.sign(event)).await.status, 200);
    }
    // All have been refused once, so that nothing is on its way to the shop when it changes its mind.
    until("a try of each", async || (shop.deliveries().len() >= 3).then_some(())).await;
    process.kill_9();
    assert_eq!(shop.accepted().len(), 0);

    shop.behave(Behaviour::Healthy);
    let process = Process::start(&site);
    accepted(&shop, 3).await;
    assert_eq!(send(process.address, &site.sign(&events[0])).await.status, 200, "a duplicate");
    process.terminate().await;
    let mut got: Vec<String> =
        shop.accepted().iter().map(|delivery| delivery.headers["ce-id"].to_str().unwrap().to_owned()).collect();
    let mut expected: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
    got.sort();
    expected.sort();
    assert_eq!(got, expected, "each once");

    let process = Process::start(&site);
    process.terminate().await;
    assert_eq!(shop.accepted().len(), 3, "what was delivered has left the queue");
}

#[tokio::test]
async fn a_shutdown_leaves_what_waits_to_the_next_start() {
    let (site, shop) = site("file:store.db", "", Behaviour::Down).await;
    let app = App::start(site.load(), Clock::System).await.unwrap();
    let event = site.event();
    assert_eq!(send(app.addresses()[0], &site.sign(&event)).await.status, 200);
    app.shutdown().await;
    shop.behave(Behaviour::Healthy);
    let app = App::start(site.load(), Clock::System).await.unwrap();
    accepted(&shop, 1).await;
    app.shutdown().await;
    assert_eq!(shop.accepted().len(), 1);
}

#[tokio::test]
async fn what_is_too_old_is_dead_and_a_redrive_delivers_it_under_its_key() {
    let (site, shop) = site("file:store.db", "queue = { max_age = \"1m\" }", Behaviour::Down).await;
    let clock = Clock::manual(wxgate::clock::UnixTime::from_secs(unix_now()));
    let app = App::start(site.load(), clock.clone()).await.unwrap();
    let admin = app.admin_address().unwrap();
    assert_eq!(send(app.addresses()[0], &site.sign(&site.event())).await.status, 200);
    until("a first try", async || (!shop.deliveries().is_empty()).then_some(())).await;
    clock.advance(Duration::from_mins(2));
    let id = until("a dead event", async || ids(admin, "dead").await.pop()).await;
    assert_eq!(ids(admin, "pending").await, [""; 0]);
    let (_, shown) = api(admin, "GET", &format!("/v1/dead/{id}")).await;
    assert_eq!(shown["row"]["reason"], "upstream-refused");

    shop.behave(Behaviour::Healthy);
    assert_eq!(api(admin, "POST", "/v1/dead/redrive?endpoint=other").await.1["moved"], 0);
    assert_eq!(api(admin, "POST", "/v1/dead/redrive?endpoint=shop-pay").await.1["moved"], 1);
    accepted(&shop, 1).await;
    let deliveries = shop.deliveries();
    let got = deliveries.last().unwrap();
    assert_eq!(shown["webhook_id"], got.webhook_id.as_str());
    assert_eq!(got.webhook_id, deliveries[0].webhook_id);
    assert_eq!(got.headers["wxgate-released-from"], "dead");
    app.shutdown().await;
    let audit = site.audit();
    let action = audit.iter().rfind(|line| line["action"] == "redrive").unwrap();
    assert_eq!((action["by"].as_str(), action["result"].as_str()), (Some("loopback"), Some("done")));
}

/// Runs `wxgate` against the gateway.
/// A command that asks the gateway of this admin listener.
pub(crate) async fn wxgate(admin: SocketAddr, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxgate"));
    command.args(args).args(["--admin", &admin.to_string()]).env_remove("WXGATE_ADMIN_TOKEN");
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn i8_an_event_under_anothers_id_is_listed_shown_and_released_by_the_commands() {
    let gateway = Gateway::start().await;
    let admin = gateway.app.admin_address().unwrap();
    let event = gateway.site.event();
    assert_eq!(gateway.deliver(&event).await.status, 200);
    let mut other = event.clone();
    other.resource = gateway.site.event().resource;
    assert_eq!(gateway.deliver(&other).await.status, 200);
    assert_eq!(gateway.shop.deliveries().len(), 1, "it is held, not delivered");

    let listed = wxgate(admin, &["held", "list", "--json", "--reason", "id-conflict"]).await;
    assert_eq!(listed.status.code(), Some(0));
    let page: Value = serde_json::from_str(&stdout(&listed)).unwrap();
    let id = page["rows"][0]["id"].as_str().unwrap().to_owned();
    let table = wxgate(admin, &["held", "list"]).await;
    assert!(stdout(&table).contains(&id) && stdout(&table).contains("id-conflict"), "{}", stdout(&table));

    let shown = wxgate(admin, &["held", "show", &id, "--json"]).await;
    let shown: Value = serde_json::from_str(&stdout(&shown)).unwrap();
    assert_eq!(shown["event"]["id"], event.id);
    assert!(shown["masked"] == true && shown.get("body").is_none());
    assert!(shown["event"]["payer"].as_str().unwrap().contains("characters"), "{shown}");
    let revealed = wxgate(admin, &["held", "show", &id, "--json", "--reveal"]).await;
    let revealed: Value = serde_json::from_str(&stdout(&revealed)).unwrap();
    assert_eq!(revealed["body"], other.resource);

    let released = wxgate(admin, &["held", "release", &id]).await;
    assert_eq!(released.status.code(), Some(0), "{released:?}");
    accepted(&gateway.shop, 2).await;
    let got = gateway.shop.accepted().pop().unwrap();
    assert!(got.signed && got.body == other.resource.as_bytes());
    assert_eq!(got.webhook_id, shown["webhook_id"].as_str().unwrap());
    assert_ne!(got.webhook_id, gateway.shop.accepted()[0].webhook_id, "under the same the app would drop it");
    assert_eq!(got.headers["wxgate-released-from"], "held");

    let again = wxgate(admin, &["held", "release", &id]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("delivered, dropped or moved"), "{again:?}");
    assert_eq!(wxgate(admin, &["held", "show", "no-id"]).await.status.code(), Some(2));
    let (site, _) = gateway.stop().await;
    let audit = site.audit();
    let actions: Vec<(&str, &str)> = audit
        .iter()
        .filter(|line| line["record"] == "action")
        .map(|line| (line["action"].as_str().unwrap(), line["result"].as_str().unwrap()))
        .collect();
    assert_eq!(
        actions,
        [("show", "done"), ("reveal", "done"), ("release", "done"), ("release", "not-found")],
        "what people did is in the audit log"
    );
    let gone = wxgate("127.0.0.1:1".parse().unwrap(), &["dead", "list"]).await;
    assert_eq!(gone.status.code(), Some(2), "nobody is there");
}

#[tokio::test]
async fn the_api_asks_for_the_token_and_the_commands_read_it_from_the_configuration() {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    site.write_config("memory:", shop.address(), "");
    let token = site.config().with_file_name("admin.token");
    std::fs::write(&token, "a token of some length\n").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = std::fs::read_to_string(site.config()).unwrap();
    let listen = format!("[admin]\nlisten = \"127.0.0.1:{port}\"\ntoken = {{ file = \"admin.token\" }}");
    std::fs::write(site.config(), config.replace("[admin]\nlisten = \"127.0.0.1:0\"", &listen)).unwrap();
    let app = App::start(site.load(), Clock::System).await.unwrap();
    let admin = app.admin_address().unwrap();
    let (status, problem) = api(admin, "GET", "/v1/held").await;
    assert_eq!((status, problem["error"]["code"].as_str()), (401, Some("denied")));
    let bare = wxgate(admin, &["held", "list"]).await;
    assert_eq!(bare.status.code(), Some(2), "{bare:?}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxgate"));
    command.args(["held", "list", "--json", "--config"]).arg(site.config()).env_remove("WXGATE_ADMIN_TOKEN");
    let known = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!((known.status.code(), stdout(&known).trim()), (Some(0), r#"{"next":null,"rows":[]}"#), "{known:?}");
    app.shutdown().await;
}

#[tokio::test]
async fn orders_and_lists_are_registered_by_the_commands_and_looked_up_again() {
    let set = "lists:\n  - { name: blocked, type: string, source: { dynamic: true }, empty: allow }\n\
               \x20 - { name: known, type: string, source: { inline: [o9] }, empty: allow }\nrules:\n\
               \x20 - { id: AB-001, title: t, severity: low, reason: r, action: flag, \
               when: 'has(event.payer.openid) && (event.payer.openid in list.blocked || event.payer.openid in list.known)' }\n";
    let gateway = rules_of_endpoints::judged_by(&[("listed", set)], "").await;
    let admin = gateway.app.admin_address().unwrap();
    let put =
        ["orders", "put", "shop-pay", "order/1", "--amount", "100", "--expires", "2100-01-01T00:00:00Z", "--json"];
    for expected in ["new", "unchanged"] {
        let output = wxgate(admin, &put).await;
        let answer: Value = serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!(answer["registered"], expected);
    }
    let (status, order) = api(admin, "GET", "/v1/orders/shop-pay/order%2F1").await;
    assert_eq!((status, order["amount_total"].as_i64(), order["currency"].as_str()), (200, Some(100), Some("CNY")));
    assert_eq!(order["expires_at"], "2100-01-01T00:00:00.000Z");
    let unknown = wxgate(admin, &["orders", "get", "shop-pay", "order-2"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    let slip = wxgate(admin, &["orders", "get", "shop-pya", "order/1"]).await;
    assert!(String::from_utf8_lossy(&slip.stderr).contains("no endpoint of this name"), "{slip:?}");

    assert_eq!(wxgate(admin, &["lists", "add", "blocked", "o 1"]).await.status.code(), Some(0));
    for (list, words) in [("blokced", "did you mean `blocked`?"), ("known", "in the files of the rules")] {
        let slip = wxgate(admin, &["lists", "add", list, "o 1"]).await;
        assert!(String::from_utf8_lossy(&slip.stderr).contains(words), "{slip:?}");
    }
    assert_eq!(wxgate(admin, &["lists", "add", "blocked", "o2", "--until", "1"]).await.status.code(), Some(2), "past");
    let (_, page) = api(admin, "GET", "/v1/lists/blocked").await;
    let values = page["values"].as_array().unwrap();
    assert_eq!(values.iter().map(|entry| entry["value"].as_str().unwrap()).collect::<Vec<_>>(), ["o 1"]);
    assert_eq!(wxgate(admin, &["lists", "remove", "blocked", "o 1"]).await.status.code(), Some(0));
    assert_eq!(wxgate(admin, &["lists", "remove", "blocked", "o 1"]).await.status.code(), Some(1));
    let (site, _) = gateway.stop().await;
    let audit = site.audit();
    let actions: Vec<String> = audit
        .iter()
        .filter(|line| line["record"] == "action")
        .map(|line| {
            format!(
                "{} {} {}",
                line["action"].as_str().unwrap(),
                line["of"].as_str().unwrap(),
                line["result"].as_str().unwrap()
            )
        })
        .collect();
    let expected = [
        "put orders/shop-pay done",
        "put orders/shop-pay done",
        "add lists/blocked done",
        "remove lists/blocked done",
        "remove lists/blocked not-found",
    ];
    assert_eq!(actions, expected);
}
