//! Queues that several gateways share: what one node took in, another lists, releases and delivers.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use wxgate::sim::notify::Event;
use wxgate::sim::shop::{Behaviour, Shop};

use crate::gateway::{SIGNING, Site, send};
use crate::http_client;
use crate::process::Process;
use crate::redis_servers::{Server, free_port};

/// A node of its own: a process, and the address of its admin listener.
struct Node {
    site: Site,
    admin: SocketAddr,
    process: Process,
}

impl Node {
    /// Answers after it has stored, in a store that it shares with all nodes of this server.
    fn start(redis: &Server, shop: &Shop) -> Self {
        let site = Site::new();
        site.write_config(&format!("redis://127.0.0.1:{}", redis.port), shop.address(), "");
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = std::fs::read_to_string(site.config()).unwrap();
        let config = config
            .replace("[admin]\nlisten = \"127.0.0.1:0\"", &format!("[admin]\nlisten = \"{admin}\""))
            .replace("\n[audit]", "timeout = \"2s\"\nseal_key = { file = \"seal.key\" }\n\n[audit]")
            .replace("timeout = \"2s\"\nsigning", "timeout = \"2s\"\nack = \"after-store\"\nsigning");
        std::fs::write(site.config(), config).unwrap();
        std::fs::write(site.config().with_file_name("seal.key"), "5a".repeat(32)).unwrap();
        let process = Process::start(&site);
        Self { site, admin, process }
    }

    async fn take_in(&self, event: &Event) -> u16 {
        send(self.process.address, &self.site.sign(event)).await.status
    }

    /// Runs `wxgate` against this node.
    async fn wxgate(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wxgate"));
        command.args(args).args(["--admin", &self.admin.to_string()]).env_remove("WXGATE_ADMIN_TOKEN");
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// The rows of a queue, as this node lists them.
    async fn rows(&self, queue: &str) -> Vec<Value> {
        let listed = self.wxgate(&[queue, "list", "--json"]).await;
        assert_eq!(listed.status.code(), Some(0), "{listed:?}");
        let page: Value = serde_json::from_slice(&listed.stdout).unwrap();
        page["rows"].as_array().unwrap().clone()
    }
}

async fn accepted(shop: &Shop, count: usize) {
    let begun = Instant::now();
    while shop.accepted().len() < count {
        assert!(begun.elapsed() < Duration::from_secs(40), "{} of {count} deliveries", shop.accepted().len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The ids of what the shop has taken, in order of the alphabet.
fn got(shop: &Shop) -> Vec<String> {
    let accepted = shop.accepted();
    let mut ids: Vec<String> =
        accepted.iter().map(|delivery| delivery.headers["ce-id"].to_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn sorted(events: &[Event]) -> Vec<String> {
    let mut ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn what_a_node_took_in_is_delivered_by_another_though_it_is_killed_right_after_its_answer() {
    let redis = Server::start();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Down).await.unwrap();
    let taker = Node::start(&redis, &shop);
    let events: Vec<Event> = (0..10).map(|_| taker.site.event()).collect();
    for event in &events {
        assert_eq!(taker.take_in(event).await, 200);
    }
    taker.process.kill_9();
    // What the dead node had on its way is refused as well: the shop must not take it now and again from the other node.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(shop.accepted().len(), 0);
    shop.behave(Behaviour::Healthy);
    let other = Node::start(&redis, &shop);
    accepted(&shop, events.len()).await;
    assert_eq!(other.take_in(&events[0]).await, 200, "a duplicate, which the first node has done (I1)");
    other.process.terminate().await; // it writes down what came of the last delivery
    let next = Node::start(&redis, &shop);
    assert_eq!(next.rows("pending").await, [Value::Null; 0]);
    next.process.terminate().await;
    assert_eq!(got(&shop), sorted(&events), "each once");
    assert!(shop.accepted().iter().all(|delivery| delivery.signed));
}

#[tokio::test]
async fn two_nodes_that_deliver_from_one_queue_deliver_each_event_once() {
    let redis = Server::start();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Slow(Duration::from_millis(30))).await.unwrap();
    let nodes = [Node::start(&redis, &shop), Node::start(&redis, &shop)];
    let events: Vec<Event> = (0..40).map(|_| nodes[0].site.event()).collect();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(nodes[number % 2].take_in(event).await, 200);
    }
    accepted(&shop, events.len()).await;
    for node in nodes {
        node.process.terminate().await;
    }
    assert_eq!(got(&shop), sorted(&events), "each once");
    assert_eq!(shop.deliveries().len(), events.len(), "and tried once");
}

#[tokio::test]
async fn what_one_node_holds_another_lists_shows_and_releases() {
    let redis = Server::start();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    let (holder, other) = (Node::start(&redis, &shop), Node::start(&redis, &shop));
    let event = holder.site.event();
    assert_eq!(holder.take_in(&event).await, 200);
    accepted(&shop, 1).await;
    let mut forged = event.clone();
    forged.resource = holder.site.event().resource;
    assert_eq!(holder.take_in(&forged).await, 200, "held: the same id with other content (I8)");

    let held = other.rows("held").await;
    let id = held[0]["id"].as_str().unwrap();
    assert_eq!((held.len(), held[0]["reason"].as_str()), (1, Some("id-conflict")));
    let shown = other.wxgate(&["held", "show", id, "--json", "--reveal"]).await;
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["body"], forged.resource, "it opens what the other has sealed");
    holder.process.kill_9();
    let released = other.wxgate(&["held", "release", id]).await;
    assert_eq!(released.status.code(), Some(0), "{released:?}");
    accepted(&shop, 2).await;
    let delivered = shop.accepted().pop().unwrap();
    assert_eq!(delivered.headers["wxgate-released-from"], "held");
    assert_eq!(delivered.body, forged.resource.as_bytes());
    assert_eq!(other.rows("held").await, [Value::Null; 0]);
    other.process.terminate().await;
}

#[tokio::test]
async fn while_redis_is_gone_callbacks_are_busy_and_afterwards_what_waited_is_delivered_once() {
    let mut redis = Server::start_durable();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Down).await.unwrap();
    let node = Node::start(&redis, &shop);
    let events: Vec<Event> = (0..5).map(|_| node.site.event()).collect();
    for event in &events {
        assert_eq!(node.take_in(event).await, 200);
    }
    redis.kill();
    let refused = node.site.event();
    assert_eq!(node.take_in(&refused).await, 503);
    let listed = node.wxgate(&["pending", "list"]).await;
    assert_eq!(listed.status.code(), Some(1), "{listed:?}");
    redis.restart();
    shop.behave(Behaviour::Healthy);
    accepted(&shop, events.len()).await;
    let health = http_client::get(node.admin, "/readyz").await;
    assert_eq!(health.status, 200, "{}", health.body);
    assert_eq!(node.take_in(&refused).await, 200, "WeChat comes again");
    accepted(&shop, events.len() + 1).await;
    node.process.terminate().await;
    let all = [events.as_slice(), &[refused]].concat();
    assert_eq!(got(&shop), sorted(&all), "each once");
}
