//! What rules see of a callback that came over the wire, and what they do to it.

use serde_json::Value;
use wxgate::clock::UnixTime;
use wxgate::risk::schema::{Around, FIELDS, Fact, Facts, Kind, Kinds, Presence, field as id_of};
use wxgate::sim::notify::unix_now;
use wxgate::sim::pay_v2::sign::SignType;
use wxgate::sim::sample::Order;
use wxgate::sim::shop::{Behaviour, Shop};
use wxgate::sim::{pay_v2 as sim_v2, sample};
use wxgate::wechat::Received;

use crate::gateway::{Gateway, SIGNING, Site};
use crate::{http_client, pay_v2};

/// A gateway whose endpoint is judged by these sets, each with the lines behind its head.
pub(crate) async fn judged_by(sets: &[(&str, &str)], more: &str) -> Gateway {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    let dir = site.config().with_file_name("rules");
    std::fs::create_dir(&dir).unwrap();
    for (name, text) in sets {
        let head = format!("apiVersion: wxgate.rules/v1\nkind: RuleSet\nname: {name}\nversion: 1\nschema: pay-v3\n");
        std::fs::write(dir.join(format!("{name}.yaml")), head + text).unwrap();
    }
    let names: Vec<&str> = sets.iter().map(|(name, _)| *name).collect();
    site.write_config("memory:", shop.address(), &format!("rules = {names:?}\n{more}"));
    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), format!("{text}\n[rules]\ndir = \"rules\"\n")).unwrap();
    Gateway::of(site, shop).await
}

impl Gateway {
    /// Reason of the audit record of this payment, sent as WeChat does.
    async fn reason_of(&self, name: &str) -> String {
        let before = self.site.audit().len();
        let order = Order::new(&self.site.keys.merchant, unix_now());
        self.deliver(&sample::find(name).unwrap().event(&order)).await;
        for _ in 0..100 {
            if let Some(record) = self.site.audit().get(before) {
                return record["reason"].as_str().map(str::to_owned).unwrap_or_default();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("no audit record of {name}");
    }
}

/// WXP-1004 as it is shipped.
fn trade_type_rule() -> String {
    let text = include_str!("../../rules/payment-core.yaml");
    let (_, rule) = text.split_once("\n  - id: WXP-1004").unwrap();
    let rule = rule.split_once("\n\n").unwrap().0;
    let paid = text.lines().find(|line| line.contains("name: paid,")).unwrap();
    format!("macros:\n{paid}\nrules:\n  - id: WXP-1004{rule}\n")
}

#[tokio::test]
async fn a_payment_by_another_trade_type_than_the_endpoints_is_held() {
    let rule = trade_type_rule();
    let gateway = judged_by(&[("trade", &rule)], "trade_types = [\"NATIVE\"]").await;
    assert_eq!(gateway.reason_of("payment-native").await, "forwarded");
    assert_eq!(gateway.reason_of("payment-jsapi").await, "held");
    let all = judged_by(&[("trade", &rule)], "").await;
    assert_eq!(all.reason_of("payment-jsapi").await, "forwarded", "an endpoint that lists none allows all");
}

#[tokio::test]
async fn rules_see_how_it_was_signed_and_by_which_method_it_came() {
    let rule = "rules:\n  - id: AB-001\n    title: t\n    severity: high\n    reason: r\n    action: hold\n    when: >-\n      \
                has(verify.scheme) && verify.scheme == \"WECHATPAY2-SHA256-RSA2048\" && http.method == \"POST\"\n      \
                && !event.is_test\n";
    let gateway = judged_by(&[("signed", rule)], "").await;
    let metrics = http_client::get(gateway.app.admin_address().unwrap(), "/metrics").await.body;
    for series in [
        r#"wxgate_rule_hits_total{mode="enforce",rule="AB-001",ruleset="signed"} 0"#,
        r#"wxgate_rule_hits_total{mode="shadow",rule="AB-001",ruleset="signed"} 0"#,
        r#"wxgate_rule_errors_total{rule="AB-001",ruleset="signed"} 0"#,
    ] {
        assert!(metrics.contains(series), "{series} is not in\n{metrics}");
    }
    assert_eq!(gateway.reason_of("payment-native").await, "held");
    let record: Value = gateway.site.audit().remove(0);
    assert!(record.to_string().contains("AB-001"), "{record}");
}

/// The starter rules, with the site's own merchant and app on their lists.
fn starter_rules(site: &Site) {
    let dir = site.config().with_file_name("rules");
    let output = std::process::Command::new("cp")
        .arg("-r")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/rules"))
        .arg(&dir)
        .status()
        .unwrap();
    assert!(output.success());
    std::fs::write(dir.join("lists/mchids.txt"), &site.keys.merchant.mchid).unwrap();
    std::fs::write(dir.join("lists/appids.txt"), &site.keys.merchant.appid).unwrap();
}

#[tokio::test]
async fn one_set_judges_payments_of_both_protocols() {
    let gateway = Gateway::beside(|site, shop| {
        starter_rules(site);
        let v2 = pay_v2::endpoint(site, shop)
            .replace("protocol = \"pay-v2\"", "protocol = \"pay-v2\"\nrules = [\"payment-core\", \"payment-risk\"]");
        format!("{v2}\n[rules]\ndir = \"rules\"\n")
    })
    .await;
    let admin = gateway.app.admin_address().unwrap();
    let merchant = &gateway.site.keys.merchant;
    let notice = |name: &str, number: &str| {
        let order = Order { out_trade_no: number.to_owned(), total: 100, ..Order::new(merchant, unix_now()) };
        sim_v2::sample::find(name).unwrap().notice(&order)
    };
    for (number, amount) in [("as-ordered", 100), ("another-amount", 99)] {
        let order = serde_json::json!({ "amount_total": amount }).to_string();
        let request = format!(
            "PUT /v1/orders/shop-v2/{number} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{order}",
            order.len()
        );
        let answer = http_client::raw(admin, request.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        gateway.send(&notice("v2-payment-native", number).callback(merchant, SignType::Md5, pay_v2::PATH)).await;
    }
    for name in ["v2-refund-success", "v2-refund-change", "v2-payment-combined", "v2-payment-error"] {
        gateway.send(&notice(name, name).callback(merchant, SignType::Md5, pay_v2::PATH)).await;
    }
    let metrics = http_client::get(admin, "/metrics").await.body;
    let errors: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("wxgate_rule_errors_total{") && !line.ends_with(" 0")).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let (site, _) = gateway.stop().await;
    let reasons: Vec<_> = site
        .audit()
        .iter()
        .filter(|line| line["record"].is_null() || line["record"] == "callback")
        .map(|line| line["reason"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(reasons, ["forwarded", "held", "forwarded", "forwarded", "forwarded", "forwarded"]);
}

/// What the schema promises of a kind holds for both protocols: else a set of the one would fail on events of the other.
#[test]
fn an_event_of_v2_has_every_field_that_its_kind_surely_has() {
    let site = Site::new();
    let shop = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    site.write_config("memory:", shop, "");
    let text = std::fs::read_to_string(site.config()).unwrap() + &pay_v2::endpoint(&site, shop);
    std::fs::write(site.config(), text).unwrap();
    let protocol = site.load().endpoints.remove(1).protocol.build();
    let merchant = &site.keys.merchant;
    let mut looked_at = 0;
    for sample in sim_v2::sample::ALL.iter().filter(|sample| sample.name != "v2-payment-error") {
        let callback = sample.notice(&Order::new(merchant, unix_now())).callback(merchant, SignType::Md5, pay_v2::PATH);
        let (method, headers) = (http::Method::POST, http::HeaderMap::new());
        let received = Received { method: &method, path: pay_v2::PATH, query: "", headers: &headers };
        let now = UnixTime::from_secs(unix_now());
        let screened = protocol.screen(received, now).unwrap();
        let authentic = protocol.open(protocol.verify(screened, callback.body.into()).unwrap()).unwrap();
        let around = Around::new(now, [127, 0, 0, 1].into(), "shop");
        let facts = Facts::from_event(authentic.event(), &around);
        let kind = Kinds::of(&[Kind::of(authentic.event())]);
        for field in FIELDS.iter().filter(|field| field.path.starts_with("event.")) {
            let Presence::ByKind { sure, .. } = field.presence else { continue };
            let is_sure = kind.within(sure);
            let fact = facts.get(id_of(field.path).unwrap());
            assert!(!is_sure || fact != Fact::Absent, "{}: {} is absent", sample.name, field.path);
            looked_at += usize::from(is_sure);
        }
    }
    assert!(looked_at > 30, "{looked_at}");
}
