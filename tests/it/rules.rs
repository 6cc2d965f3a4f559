//! What rules see of a callback that came over the wire, and what they do to it.

use serde_json::Value;
use wxgate::sim::notify::unix_now;
use wxgate::sim::sample;
use wxgate::sim::sample::Order;
use wxgate::sim::shop::{Behaviour, Shop};

use crate::gateway::{Gateway, SIGNING, Site};

/// A gateway whose endpoint is judged by these sets, each with the lines behind its head.
async fn judged_by(sets: &[(&str, &str)], more: &str) -> Gateway {
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
    assert_eq!(gateway.reason_of("payment-native").await, "held");
    let record: Value = gateway.site.audit().remove(0);
    assert!(record.to_string().contains("AB-001"), "{record}");
}
