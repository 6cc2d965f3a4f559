//! The commands around rules, on the audit log of a real run: what the gateway decided and counted is what they find.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use wxgate::app::App;
use wxgate::clock::{Clock, UnixTime};
use wxgate::risk::backtest::Trial;
use wxgate::risk::recorded::read_line;
use wxgate::risk::{Files, load};
use wxgate::sim::keys::SignedBy;
use wxgate::sim::notify::Event;
use wxgate::sim::sample::{self, Order};
use wxgate::sim::shop::{Behaviour, Shop};

use crate::gateway::{PATH, SIGNING, Site, send};
use crate::http_client;

const SETS: [&str; 4] = ["payment-core", "payment-risk", "refund-risk", "order-risk"];

/// A site whose endpoint is judged by the starter rules.
async fn site(audit: &str) -> (Site, Shop) {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    let names = SETS.map(|name| format!("\"{name}\"")).join(", ");
    site.write_config("file:store.db", shop.address(), &format!("rules = [{names}]"));
    let config = std::fs::read_to_string(site.config()).unwrap();
    let config = config.replace("[endpoint.shop-pay]", "[rules]\ndir = \"rules\"\n\n[endpoint.shop-pay]");
    // The shop knows no clock that is turned by hand, so that it would refuse what it is signed.
    let config = config.replace("timeout = \"2s\"", "timeout = \"2s\"\nack = \"after-store\"");
    let config = config.replace("path = \"audit.ndjson\"", &format!("path = \"audit.ndjson\"\n{audit}"));
    std::fs::write(site.config(), config).unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules"), &folder(&site).join("rules"));
    let merchant = &site.keys.merchant;
    for (name, value) in [("mchids", &merchant.mchid), ("appids", &merchant.appid)] {
        std::fs::write(folder(&site).join(format!("rules/lists/{name}.txt")), value).unwrap();
    }
    (site, shop)
}

fn folder(site: &Site) -> PathBuf {
    site.config().parent().unwrap().to_owned()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let into = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &into);
        } else {
            std::fs::copy(entry.path(), into).map(drop).unwrap();
        }
    }
}

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// A gateway whose clock is turned by hand.
struct Run {
    site: Site,
    app: App,
    clock: Clock,
    shop: Shop,
}

impl Run {
    async fn start(audit: &str) -> Self {
        let (site, shop) = site(audit).await;
        // 2026-03-01, 11 at night in Beijing: the run goes over midnight.
        let clock = Clock::manual(UnixTime::from_secs(1_772_377_200));
        let app = App::start(site.load(), clock.clone()).await.unwrap();
        clock.advance(Duration::from_secs(5));
        Self { site, app, clock, shop }
    }

    async fn deliver(&self, event: &Event) -> u16 {
        let now = self.clock.now().secs();
        let callback = event.callback(&self.site.keys, SignedBy::Certificate, PATH, now);
        send(self.app.addresses()[0], &callback).await.status
    }

    async fn register(&self, number: &str, body: &str) {
        let admin = self.app.admin_address().unwrap();
        let (length, path) = (body.len(), format!("/v1/orders/shop-pay/{number}"));
        let request = format!(
            "PUT {path} HTTP/1.1\r\nhost: {admin}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        let answer = http_client::raw(admin, request.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Payments and refunds of a few people over some hours, some told again, some of registered orders.
    async fn hours_of_events(&self, count: usize) {
        let mut dice = Dice(7);
        for number in 0..count {
            self.clock.advance(Duration::from_millis(dice.below(150_000)));
            let payer = format!("oPayerPayerPayerPayer{:07}", dice.below(4));
            let order = Order {
                out_trade_no: format!("ORDER-{number}"),
                total: 1 + i64::try_from(dice.below(700_000) / (1 + 3000 * dice.below(2))).unwrap(),
                openid: payer,
                ..Order::new(&self.site.keys.merchant, self.clock.now().secs())
            };
            if dice.below(3) == 0 {
                let paid_less = i64::try_from(dice.below(2)).unwrap();
                let (amount, ip) = (order.total + paid_less, dice.below(3));
                let body = format!(r#"{{"amount_total":{amount},"currency":"CNY","client_ip":"198.51.100.{ip}"}}"#);
                self.register(&order.out_trade_no, &body).await;
            }
            let event = sample::find("payment-native").unwrap().event(&order);
            assert_eq!(self.deliver(&event).await, 200);
            if dice.below(5) == 0 {
                self.clock.advance(Duration::from_secs(20));
                assert_eq!(self.deliver(&event).await, 200, "a duplicate");
            }
            if dice.below(4) == 0 {
                let refund = sample::find("refund-success").unwrap().event(&order);
                assert_eq!(self.deliver(&refund).await, 200);
            }
        }
    }

    async fn stop(self) -> Site {
        self.app.shutdown().await;
        self.site
    }
}

async fn wxgate(site: &Site, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxgate"));
    command.args(args).current_dir(folder(site));
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// The result as JSON, and the exit code.
async fn told(site: &Site, args: &[&str]) -> (Value, i32) {
    let output = wxgate(site, args).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let told = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (told, output.status.code().unwrap())
}

#[tokio::test]
async fn what_the_gateway_decided_and_counted_is_found_again_in_its_audit_log() {
    let run = Run::start("").await;
    run.hours_of_events(120).await;
    let site = run.stop().await;

    // Counter by counter: those that the live store told against those counted again in event time.
    let files = wxgate_rules(&folder(&site).join("rules"));
    let loaded = load(&files, UnixTime::from_secs(1_772_377_200)).unwrap();
    let mut trial = Trial::new(loaded.sets.iter().filter(|set| SETS.contains(&&**set.name())).cloned().collect());
    let (mut events, mut counters) = (0, 0);
    for line in std::fs::read_to_string(folder(&site).join("audit.ndjson")).unwrap().lines() {
        let Some(entry) = read_line(line.as_bytes()).unwrap() else { continue };
        let (verdict, again) = trial.replay(&entry);
        let sorted = |recorded: &wxgate::risk::recorded::Recorded| {
            let mut counters = recorded.counters().to_vec();
            counters.sort_by_key(|it| (it.set.clone(), it.counter.clone()));
            counters
        };
        assert_eq!(sorted(&again), sorted(&entry.recorded), "{line}");
        assert_eq!(Some(verdict.action()), entry.action);
        (events, counters) = (events + 1, counters + entry.recorded.counters().len());
    }
    assert!(events > 130 && counters > events * 8, "{events} events, {counters} counters");

    // The command finds the same, and nothing decided otherwise.
    let policies = SETS.map(|name| format!("--policy={name}"));
    let mut args = vec!["rules", "backtest", "rules", "--json", "--events", "audit.ndjson"];
    args.extend(policies.iter().map(String::as_str));
    let (report, exit) = told(&site, &args).await;
    assert_eq!((exit, &report["events"], &report["late"]), (0, &events.into(), &0.into()), "{report}");
    assert_eq!(report["against_recorded"], Value::Array(Vec::new()));
    assert_eq!((&report["degraded"], &report["without_order"]), (&0.into(), &0.into()));
    assert!(report["run"]["passed_over"].as_u64().unwrap() > 10, "duplicates carry no event");
    let audit = site.audit();
    let held = audit.iter().filter(|record| record["reason"] == "held").count();
    assert!(held > 0 && report["verdicts"]["hold"] == held);
    let hits = |rule: &str| {
        let hits = audit.iter().filter_map(|record| record["verdict"]["hits"].as_array()).flatten();
        hits.filter(|hit| hit["rule"] == rule).count()
    };
    for rule in report["rules"].as_array().unwrap() {
        assert_eq!(rule["hits"], hits(rule["rule"].as_str().unwrap()), "{rule}");
    }
    for rule in ["WXP-1001", "WXP-2001", "WXP-2002"] {
        assert!(hits(rule) > 0, "{rule} is tried");
    }
    commands_on_the_log(&site).await;
}

/// What `--markdown`, `diff` and `explain` make of the same log.
async fn commands_on_the_log(site: &Site) {
    let markdown = wxgate(site, &["rules", "backtest", "rules", "--markdown", "--events", "audit.ndjson"]).await;
    let markdown = String::from_utf8(markdown.stdout).unwrap();
    assert!(markdown.starts_with("## Backtest\n") && markdown.contains("| WXP-1001 | enforce |"), "{markdown}");
    assert!(!markdown.contains("oPayerPayer"), "who paid is masked: {markdown}");

    let same = ["rules", "diff", "rules", "rules", "--json", "--events", "audit.ndjson"];
    let (difference, exit) = told(site, &same).await;
    assert_eq!((exit, &difference["changed"]), (0, &0.into()), "{difference}");
    copy(&folder(site).join("rules"), &folder(site).join("stricter"));
    let path = folder(site).join("stricter/payment-risk.yaml");
    let rules = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, rules.replace("defaults: { mode: shadow", "defaults: { mode: enforce")).unwrap();
    let changed = ["rules", "diff", "rules", "stricter", "--json", "--events", "audit.ndjson"];
    let (difference, exit) = told(site, &changed).await;
    assert_eq!(exit, 1);
    assert!(difference["changed"].as_u64().unwrap() > 0, "{difference}");
    let velocity = difference["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == "WXP-2001").unwrap();
    assert!(velocity["acts_gained"].as_u64().unwrap() > 0 && velocity["gained"] == 0, "{velocity}");
    assert_eq!(velocity["samples"][0][0], "acts");
    // A rule whose test no longer holds keeps all from loading.
    std::fs::write(&path, rules.replace("expr: yuan(20000)", "expr: yuan(10)")).unwrap();
    let output = wxgate(site, &changed).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("[WXL220]"));

    let audit = site.audit();
    let held = audit.iter().find(|record| record["reason"] == "held").unwrap();
    let id = held["event"]["id"].as_str().unwrap();
    let rule = held["verdict"]["hits"].as_array().unwrap().iter().find(|hit| hit["enforced"] == true).unwrap();
    let rule = rule["rule"].as_str().unwrap();
    let explain = ["rules", "explain", rule, "--event", "audit.ndjson", "--id", id, "--json"];
    let (explained, exit) = told(site, &explain).await;
    assert_eq!((exit, &explained["outcome"], &explained["verdict"]), (0, &"fires".into(), &"hold".into()));
    assert!(explained["parts"].as_array().unwrap().iter().all(|part| part["value"].is_string()), "{explained}");

    // The same counters come out of the log as the record tells.
    let (told_by_record, _) =
        told(site, &["rules", "explain", "WXP-2001", "--event", "audit.ndjson", "--id", id, "--json"]).await;
    let from_log =
        ["rules", "explain", "WXP-2001", "--event", "audit.ndjson", "--id", id, "--json", "--events", "audit.ndjson"];
    let (counted, _) = told(site, &from_log).await;
    let values =
        |explained: &Value| (explained["counters"][0]["before"].clone(), explained["counters"][0]["after"].clone());
    assert_eq!(values(&counted), values(&told_by_record));
    assert_eq!(
        (&told_by_record["counters"][0]["from"], &counted["counters"][0]["from"]),
        (&"recorded".into(), &"counted".into())
    );
}

fn wxgate_rules(dir: &Path) -> Files {
    wxgate::config::read_rule_files(dir).unwrap()
}

async fn admin(address: SocketAddr, path: &str) -> Value {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    serde_json::from_str(&http_client::raw(address, request.as_bytes()).await.expect("an answer").body).unwrap()
}

#[tokio::test]
async fn a_held_event_is_explained_from_what_held_show_prints() {
    let run = Run::start("facts = \"hashed\"").await;
    let order =
        Order { out_trade_no: "ORDER-1".to_owned(), ..Order::new(&run.site.keys.merchant, run.clock.now().secs()) };
    run.register("ORDER-1", r#"{"amount_total":8800,"currency":"CNY"}"#).await;
    assert_eq!(run.deliver(&sample::find("payment-native").unwrap().event(&order)).await, 200);
    let address = run.app.admin_address().unwrap();
    let page = admin(address, "/v1/held").await;
    let row = page["rows"][0]["id"].as_str().unwrap().to_owned();
    let shown = admin(address, &format!("/v1/held/{row}")).await;
    let site = run.stop().await;
    std::fs::write(folder(&site).join("held.json"), shown.to_string()).unwrap();
    let (explained, exit) = told(&site, &["rules", "explain", "WXP-1001", "--event", "held.json", "--json"]).await;
    assert_eq!((exit, &explained["subject"]), (0, &"ORDER-1".into()), "{explained}");
    assert!(explained["notes"].to_string().contains("the order was not asked for"), "{explained}");
    let text = std::fs::read_to_string(folder(&site).join("audit.ndjson")).unwrap();
    assert!(text.contains("\"hashed\":true") && !text.contains(&order.openid), "{text}");
    let from_audit = wxgate(&site, &["rules", "explain", "WXP-1001", "--event", "audit.ndjson"]).await;
    let from_audit = String::from_utf8(from_audit.stdout).unwrap();
    assert!(from_audit.contains("event.amount.total != order.amount_total = true"), "{from_audit}");
    assert!(from_audit.contains("note: who paid is hashed in this record"), "{from_audit}");
}

impl Run {
    /// A payment by `payer` of another amount than was ordered: what WXP-1001 is about. Tells how it ended.
    async fn pay_too_little(&self, number: &str, payer: &str) -> String {
        let now = self.clock.now().secs();
        let (out_trade_no, openid) = (number.to_owned(), payer.to_owned());
        let order = Order { out_trade_no, openid, ..Order::new(&self.site.keys.merchant, now) };
        self.register(number, r#"{"amount_total":8800,"currency":"CNY"}"#).await;
        assert_eq!(self.deliver(&sample::find("payment-native").unwrap().event(&order)).await, 200);
        let held = admin(self.app.admin_address().unwrap(), "/v1/held").await;
        let count = held["rows"].as_array().unwrap().len();
        format!("{count} held")
    }

    async fn rules(&self, args: &[&str]) -> (String, i32) {
        let address = self.app.admin_address().unwrap().to_string();
        let mut all = vec!["rules"];
        all.extend(args);
        all.extend(["--admin", &address]);
        let output = wxgate(&self.site, &all).await;
        let text = [output.stdout, output.stderr].concat();
        (String::from_utf8(text).unwrap(), output.status.code().unwrap())
    }
}

#[tokio::test]
async fn a_rule_rests_for_one_payer_until_a_time_and_its_state_is_told() {
    let run = Run::start("").await;
    let (one, other) = ("oPayerPayerPayerPayer0000001", "oPayerPayerPayerPayer0000002");
    assert_eq!(run.pay_too_little("A-1", one).await, "1 held");
    let key = format!("openid={one}");
    for (args, code, says) in [
        (["snooze", "WXP-9999", "--key", &key, "--for", "4h"], 1, "no endpoint judges by a rule of this id"),
        (["snooze", "WXP-1001", "--key", &key, "--for", "31d"], 2, "from 1 to 30 days"),
        (["snooze", "WXP-1001", "--key", "amount.total=1", "--for", "4h"], 2, "is no field with a text"),
        (["snooze", "WXP-1001", "--key", &key, "--for", "4h"], 0, "WXP-1001 is quiet for event.payer.openid=oPayer"),
    ] {
        let (told, exit) = run.rules(&args).await;
        assert!(exit == code && told.contains(says), "{args:?}: {exit} {told}");
    }
    assert_eq!(run.pay_too_little("A-2", one).await, "1 held", "it rests");
    assert_eq!(run.pay_too_little("B-1", other).await, "2 held", "for others it does not");
    let (status, exit) = run.rules(&["status"]).await;
    assert_eq!(exit, 0);
    let rule = status.lines().find(|line| line.starts_with("WXP-1001 ")).unwrap();
    let words: Vec<&str> = rule.split_whitespace().collect();
    assert_eq!(words[1..7], ["enforce", "2", "2", "0", "1", "0"], "{rule}");
    assert!(status.contains("payment-core version 1 (pay-v3), digest ") && status.contains("for shop-pay"), "{status}");
    assert!(status.contains(&format!("WXP-1001      event.payer.openid={one}")), "{status}");

    run.clock.advance(Duration::from_hours(4));
    assert_eq!(run.pay_too_little("A-3", one).await, "3 held", "it is awake again");
    run.rules(&["snooze", "WXP-1001", "--key", &key, "--for", "4h"]).await;
    assert_eq!(run.rules(&["snooze", "WXP-1001", "--key", &key, "--end"]).await.1, 0);
    assert_eq!(run.rules(&["snooze", "WXP-1001", "--key", &key, "--end"]).await.1, 1, "there is none");
    assert_eq!(run.pay_too_little("A-4", one).await, "4 held");
    let site = run.stop().await;
    let audit = site.audit();
    let is_callback = |record: &&Value| record.get("record").is_none();
    let mut callbacks = audit.iter().filter(is_callback);
    let snoozed = callbacks.find(|record| record["event"]["subject"] == "A-2").unwrap();
    assert_eq!(snoozed["verdict"]["snoozed"], serde_json::json!(["WXP-1001"]));
    let deeds: Vec<(&str, &str)> = audit
        .iter()
        .filter(|record| record["of"] == "rules/WXP-1001")
        .map(|record| (record["action"].as_str().unwrap(), record["result"].as_str().unwrap()))
        .collect();
    let done = [("snooze", "done"), ("snooze", "done"), ("wake", "done"), ("wake", "not-found")];
    assert_eq!(deeds, [[("snooze", "bad-body"), ("snooze", "bad-body")].as_slice(), &done].concat());
}

#[tokio::test]
async fn a_snooze_outlives_a_restart() {
    let run = Run::start("").await;
    let payer = "oPayerPayerPayerPayer0000001";
    run.rules(&["snooze", "WXP-1001", "--key", &format!("openid={payer}"), "--for", "4h"]).await;
    let (shop, clock) = (run.shop, run.clock);
    run.app.shutdown().await;
    let app = App::start(run.site.load(), clock.clone()).await.unwrap();
    clock.advance(Duration::from_secs(5));
    let run = Run { site: run.site, app, clock, shop };
    assert_eq!(run.pay_too_little("A-1", payer).await, "0 held");
    run.stop().await;
}

#[tokio::test]
async fn every_command_is_documented_and_no_other() {
    let help = Command::new(env!("CARGO_BIN_EXE_wxgate")).args(["rules", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands =
        commands.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    let mut commands: Vec<&str> = commands.filter(|command| *command != "help").collect();
    let docs = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md")).unwrap();
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `wxgate rules ")?.split([' ', '`']).next());
    let mut documented: Vec<&str> = rows.collect();
    documented.dedup();
    commands.sort_unstable();
    documented.sort_unstable();
    assert_eq!(documented, commands);
}
