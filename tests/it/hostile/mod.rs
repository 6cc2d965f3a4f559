//! Hostile input through a whole gateway, a process of its own, over real sockets: each gets the right refusal at once, the
//! memory of the process stays within a small multiple of what was sent, nothing reaches the app, and genuine callbacks pass
//! before and after. What nobody could make who has not a key is made with one: signatures hold, so that it gets deep.
//!
//! The attack corpus (`attacks.rs`) has more of what strangers send to Pay v3 and v2.

#![allow(clippy::format_collect)] // a test may copy

mod documents;
mod http;
mod sealed;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use wxgate::sim::notify::{Callback, unix_now};
use wxgate::sim::push::{Account, Family, sample};
use wxgate::sim::shop::{Behaviour, Shop};

use crate::gateway::{SIGNING, Site, send};
use crate::http_client::Response;
use crate::pay_v2;
use crate::process::Process;

/// How long any of it may take. Slow senders have deadlines of their own.
const AT_ONCE: Duration = Duration::from_secs(3);
/// `server.max_body` as it is if nothing is said.
const MAX_BODY: usize = 1 << 20;

/// A gateway with an endpoint of each protocol, and a shop that must see nothing.
struct Target {
    site: Site,
    shop: Shop,
    process: Process,
}

impl Target {
    async fn start() -> Self {
        let site = Site::new();
        let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
        site.write_config("file:store.db", shop.address(), "");
        let endpoints = [
            std::fs::read_to_string(site.config()).unwrap(),
            pay_v2::endpoint(&site, shop.address()),
            push_endpoint(&site, shop.address(), "safe", Family::Message, "mode = \"safe\"\n"),
            push_endpoint(&site, shop.address(), "plain", Family::Message, "mode = \"plain\"\n"),
            push_endpoint(&site, shop.address(), "wecom", Family::WeCom, ""),
        ];
        std::fs::write(site.config(), endpoints.concat()).unwrap();
        let process = Process::start(&site);
        Self { site, shop, process }
    }

    fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// A genuine callback of each protocol passes.
    async fn serves(&self) {
        let push = |name: &str, family| {
            let content = sample::find(family, "text").unwrap().content(unix_now());
            Account::sample(family).push(&format!("/push/{name}"), unix_now(), &content).unwrap()
        };
        for callback in
            [self.site.sign(&self.site.event()), push("safe", Family::Message), push("wecom", Family::WeCom)]
        {
            assert_eq!(send(self.address(), &callback).await.status, 200, "{}", callback.path);
        }
        assert_eq!(self.shop.take_deliveries().len(), 3);
    }

    /// Sends what is hostile; the answer is there at once, and has the status that it should.
    async fn refuses(&self, shot: &Shot) -> Response {
        let begun = Instant::now();
        let answer = send(self.address(), &shot.callback).await;
        let took = begun.elapsed();
        assert!(took < AT_ONCE, "{}: answered after {took:?}", shot.name);
        assert_eq!(answer.status, shot.status, "{}: {answer:?}", shot.name);
        answer
    }

    /// The reason that each of the endpoint's callbacks was refused for, in their order. Ends the process.
    async fn reasons(self) -> Vec<String> {
        self.process.terminate().await;
        let records = self.site.audit();
        records.iter().map(|record| record["reason"].as_str().unwrap().to_owned()).collect()
    }
}

/// What is sent, and what comes of it.
struct Shot {
    name: String,
    status: u16,
    reason: &'static str,
    callback: Callback,
}

impl Shot {
    fn new(name: impl Into<String>, status: u16, reason: &'static str, callback: Callback) -> Self {
        Self { name: name.into(), status, reason, callback }
    }
}

fn push_endpoint(site: &Site, shop: SocketAddr, name: &str, family: Family, mode: &str) -> String {
    let account = Account::sample(family);
    for (kind, secret) in [("token", &account.token), ("aes", &account.encoding_aes_key)] {
        std::fs::write(site.config().with_file_name(format!("{name}.{kind}")), secret).unwrap();
    }
    let (protocol, id) = if family == Family::WeCom { ("wecom", "receive_id") } else { ("message", "appid") };
    let keys = if mode.contains("plain") { "" } else { &format!("keys.aes = {{ file = \"{name}.aes\" }}\n") };
    let expect =
        if mode.contains("plain") { "" } else { &format!("expect = {{ {id} = [\"{}\"] }}\n", account.receive_id) };
    format!(
        "\n[endpoint.{name}]\npath = \"/push/{name}\"\nprotocol = \"{protocol}\"\n{mode}{keys}{expect}\
         keys.token = {{ file = \"{name}.token\" }}\n[endpoint.{name}.upstream]\nurl = [\"http://{shop}/events\"]\n\
         signing = {{ file = \"signing.key\" }}\n"
    )
}

/// Sends all of them one after the other, compares the audit with what they should have come to, and gives the answers.
async fn all_are_refused(target: Target, shots: &[Shot]) -> Vec<Response> {
    target.serves().await;
    let mut answers = Vec::new();
    for shot in shots {
        let answer = target.refuses(shot).await;
        assert!(answer.body.len() <= 256, "{}: an answer without end", shot.name);
        answers.push(answer);
    }
    assert!(target.shop.take_deliveries().is_empty(), "something reached the app");
    target.serves().await;
    let reasons = target.reasons().await;
    let told = reasons[3..reasons.len() - 3].iter();
    let wrong: Vec<String> = shots
        .iter()
        .zip(told)
        .filter(|(shot, reason)| shot.reason != reason.as_str())
        .map(|(shot, reason)| format!("{}: {reason} instead of {}", shot.name, shot.reason))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(reasons.len(), shots.len() + 6, "one record for each");
    answers
}

/// What a burst of the largest and worst bodies leaves behind.
#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_a_small_multiple_of_what_is_sent() {
    /// Bodies that are on their way at once.
    const AT_A_TIME: usize = 16;
    let target = Target::start().await;
    target.serves().await;
    let bombs = documents::largest(&target.site);
    let before = target.process.memory().resident;
    let address = target.address();
    for round in 0..3 {
        let mut sent = tokio::task::JoinSet::new();
        for number in 0..AT_A_TIME {
            let callback = bombs[(round + number) % bombs.len()].clone();
            sent.spawn(async move { send(address, &callback).await.status });
        }
        while let Some(status) = sent.join_next().await {
            assert!((400..500).contains(&status.unwrap()));
        }
    }
    target.serves().await;
    let after = target.process.memory();
    let (most, kept) = (after.most_resident.saturating_sub(before), after.resident.saturating_sub(before));
    println!("{AT_A_TIME} bodies of {MAX_BODY} bytes at a time: {} KiB at most, {} KiB kept", most >> 10, kept >> 10);
    // A body, the buffer that it is joined in, and what is made of it.
    assert!(most <= 6 * AT_A_TIME * MAX_BODY, "{most} bytes more at the worst moment");
    assert!(kept <= 3 * AT_A_TIME * MAX_BODY, "{kept} bytes more afterwards");
    assert!(target.shop.take_deliveries().is_empty());
    target.process.terminate().await;
}
