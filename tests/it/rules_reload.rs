//! Rules are edited while callbacks come: none fails, none is judged by half a policy, and a mistake changes nothing.

#![allow(clippy::format_collect)] // a test may copy

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wxgate::sim::shop::{Behaviour, Shop};

use crate::gateway::{SIGNING, Site, send};
use crate::http_client;
use crate::process::Process;

/// Rules of a set. All of them hit always, so that each verdict shows which of them were there.
const RULES: usize = 12;
const EDITS: usize = 24;

/// A version of a set: its rules have ids of its own, and no other version has any of them.
fn version(set: &str, version: char) -> String {
    let rule = |number: usize| {
        format!(
            "  - id: WX{version}-{}\n    title: t\n    when: has(event.mchid)\n    action: flag\n    reason: r\n    \
             tests:\n      - {{ name: always, event: {{ mchid: '1' }}, expect: {{ fires: true }} }}\n",
            id(set, number)
        )
    };
    let rules: String = (0..RULES).map(rule).collect();
    format!("apiVersion: wxgate.rules/v1\nkind: RuleSet\nname: {set}\nversion: 1\nschema: pay-v3\nrules:\n{rules}")
}

fn id(set: &str, number: usize) -> usize {
    number + if set == "first" { 1000 } else { 2000 }
}

/// The rules that a verdict by this version names.
fn ids(set: &str, version: char) -> BTreeSet<String> {
    (0..RULES).map(|number| format!("WX{version}-{}", id(set, number))).collect()
}

/// What somebody writes by mistake: half of a file, a misspelt field, a test that fails, a rule of another set.
fn mistakes(set: &str) -> [String; 4] {
    let good = version(set, 'X');
    let half = good[..good.len() - 30].to_owned();
    let other = if set == "first" { "second" } else { "first" };
    [
        half,
        good.replacen("event.mchid", "event.mchd", 1),
        good.replacen("fires: true", "fires: false", 1),
        good.replace("name: first", "name: x").replace(&format!("name: {set}"), &format!("name: {other}")),
    ]
}

struct Edited {
    site: Site,
    process: Process,
    admin: SocketAddr,
}

impl Edited {
    fn start(site: Site) -> Self {
        let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = std::fs::read_to_string(site.config()).unwrap();
        let text = text.replace("[admin]\nlisten = \"127.0.0.1:0\"", &format!("[admin]\nlisten = \"{admin}\""));
        std::fs::write(site.config(), text + "\n[rules]\ndir = \"rules\"\n").unwrap();
        let process = Process::start(&site);
        Self { site, process, admin }
    }

    fn path(&self, set: &str) -> PathBuf {
        self.site.config().with_file_name(format!("rules/{set}.yaml"))
    }

    async fn metric(&self, line: &str) -> u64 {
        let metrics = http_client::get(self.admin, "/metrics").await.body;
        let value = metrics.lines().find_map(|have| have.strip_prefix(line));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// How many reloads were taken, and how many not.
    async fn reloads(&self) -> (u64, u64) {
        let of = async |result: &str| self.metric(&format!("wxgate_config_reloads_total{{result=\"{result}\"}}")).await;
        (of("taken").await, of("rejected").await)
    }

    /// Writes a set as editors do it, either way, and waits until the gateway has looked at it.
    async fn edit(&self, number: usize, set: &str, text: &str) {
        let path = self.path(set);
        if number.is_multiple_of(2) {
            std::fs::write(&path, text).unwrap();
        } else {
            let beside = path.with_extension("new");
            std::fs::write(&beside, text).unwrap();
            std::fs::rename(&beside, &path).unwrap();
        }
        let (taken, rejected) = self.reloads().await;
        self.process.signal("-HUP");
        let begun = Instant::now();
        while self.reloads().await == (taken, rejected) {
            assert!(begun.elapsed() < Duration::from_secs(10), "nobody looked at edit {number}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_edited_under_load_fail_no_callback_and_each_sees_one_version_whole() {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    site.write_config("file:store.db", shop.address(), "rules = [\"first\", \"second\"]");
    std::fs::create_dir(site.config().with_file_name("rules")).unwrap();
    for set in ["first", "second"] {
        std::fs::write(site.config().with_file_name(format!("rules/{set}.yaml")), version(set, 'A')).unwrap();
    }
    let edited = Edited::start(site);
    let is_over = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..4).map(|_| tokio::spawn(load(edited.process.address, Arc::clone(&is_over)))).collect();

    let mut live = BTreeMap::from([("first", 'A'), ("second", 'A')]);
    for number in 0..EDITS {
        let set = if number % 4 < 2 { "first" } else { "second" };
        let before = edited.reloads().await;
        if number % 3 == 2 {
            edited.edit(number, set, &mistakes(set)[number / 3 % 4]).await;
            let after = edited.reloads().await;
            assert!(after.0 == before.0 && after.1 > before.1, "a mistake was taken: edit {number}");
        } else {
            // A mistake in the other file may still stand there: then this alone would not be taken.
            let other = if set == "first" { "second" } else { "first" };
            std::fs::write(edited.path(other), version(other, live[other])).unwrap();
            let next = if live[set] == 'A' { 'B' } else { 'A' };
            live.insert(set, next);
            edited.edit(number, set, &version(set, next)).await;
        }
        let probe = edited.site.event();
        assert_eq!(send(edited.process.address, &edited.site.sign(&probe)).await.status, 200);
        let judged_by = rules_of(&shop, &probe.id);
        let expected: BTreeSet<String> = live.iter().flat_map(|(set, version)| ids(set, *version)).collect();
        assert_eq!(judged_by, expected, "the last good rules are at work after edit {number}");
    }
    is_over.store(true, Ordering::Relaxed);
    let mut sent = EDITS;
    for sender in senders {
        sent += sender.await.unwrap();
    }
    let metrics = http_client::get(edited.admin, "/metrics").await.body;
    let at_work = metrics.lines().filter(|line| line.starts_with("wxgate_rules_info{") && line.ends_with(" 1"));
    assert_eq!(at_work.count(), 2, "one version of each set, and no version before it");
    let (taken, rejected) = edited.reloads().await;
    assert!(taken >= 16 && rejected >= 8, "{taken} taken, {rejected} not");
    let Edited { site, process, .. } = edited;
    process.terminate().await;
    assert_eq!(shop.accepted().len(), sent, "each callback arrived once");
    println!("{sent} callbacks under {taken} reloads and {rejected} mistakes");
    each_verdict_is_of_one_version(&site, sent);
}

/// What is nested as deep as it may be is read at a reload as at the start, and does not end the process.
#[tokio::test(flavor = "multi_thread")]
async fn the_deepest_condition_is_taken_by_a_reload() {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    site.write_config("file:store.db", shop.address(), "rules = [\"first\"]");
    std::fs::create_dir(site.config().with_file_name("rules")).unwrap();
    let text = version("first", 'A');
    std::fs::write(site.config().with_file_name("rules/first.yaml"), &text).unwrap();
    let edited = Edited::start(site);
    let nested = |depth: usize| format!("{}has(event.mchid){}", "(true && ".repeat(depth), ")".repeat(depth));
    for (depth, taken) in [(31, 1), (10_000, 1), (16, 2)] {
        let text = text.replacen("when: has(event.mchid)", &format!("when: {}", nested(depth)), 1);
        edited.edit(0, "first", &text).await;
        assert_eq!(edited.reloads().await.0, taken, "{depth} deep");
        assert_eq!(send(edited.process.address, &edited.site.sign(&edited.site.event())).await.status, 200);
    }
    edited.process.terminate().await;
}

/// Sends genuine callbacks until told to stop; each has to pass.
async fn load(address: SocketAddr, is_over: Arc<AtomicBool>) -> usize {
    let site = Site::new();
    let mut sent = 0;
    while !is_over.load(Ordering::Relaxed) {
        assert_eq!(send(address, &site.sign(&site.event())).await.status, 200);
        sent += 1;
    }
    sent
}

/// The rules that the app was told of for this event.
fn rules_of(shop: &Shop, id: &str) -> BTreeSet<String> {
    let deliveries = shop.deliveries();
    let delivery = deliveries.iter().rev().find(|delivery| delivery.headers["ce-id"] == id).expect("a delivery");
    delivery.headers["wxgate-risk-rules"].to_str().unwrap().split(',').map(str::to_owned).collect()
}

fn each_verdict_is_of_one_version(site: &Site, sent: usize) {
    // By set and digest: which rules were there.
    let mut seen: BTreeMap<(String, String), BTreeSet<BTreeSet<String>>> = BTreeMap::new();
    let mut verdicts = 0;
    for record in site.audit() {
        let verdict = &record["verdict"];
        let sets = verdict["sets"].as_array().expect("a verdict by rules");
        assert_eq!(sets.len(), 2, "{record}");
        verdicts += 1;
        for set in sets {
            let (name, digest) = (set["name"].as_str().unwrap(), set["digest"].as_str().unwrap());
            let hits = verdict["hits"].as_array().unwrap().iter().filter(|hit| hit["set"] == name);
            let hits = hits.map(|hit| hit["rule"].as_str().unwrap().to_owned()).collect();
            seen.entry((name.to_owned(), digest.to_owned())).or_default().insert(hits);
        }
    }
    assert_eq!(verdicts, sent);
    assert_eq!(seen.len(), 4, "two versions of two sets: {:?}", seen.keys());
    for ((set, digest), hits) in seen {
        let [hits] = &hits.into_iter().collect::<Vec<_>>()[..] else { panic!("{set} {digest} is not always the same") };
        assert!(*hits == ids(&set, 'A') || *hits == ids(&set, 'B'), "{set}: a mixture, {hits:?}");
    }
}
