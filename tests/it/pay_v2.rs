//! WeChat Pay v2 through a whole gateway.

use std::net::SocketAddr;

use wxgate::sim::attack::{self, Expectation};
use wxgate::sim::notify::unix_now;
use wxgate::sim::pay_v2::sample;
use wxgate::sim::pay_v2::sign::SignType;
use wxgate::sim::sample::Order;

use crate::gateway::{Gateway, Site};

pub(crate) const PATH: &str = "/notify/shop-v2";

/// An endpoint of v2 with the merchant's key.
pub(crate) fn endpoint(site: &Site, shop: SocketAddr) -> String {
    let merchant = &site.keys.merchant;
    format!(
        "\n[endpoint.shop-v2]\npath = \"{PATH}\"\nprotocol = \"pay-v2\"\nsign_type = \"MD5\"\nmax_age = \"72h\"\n\
         keys.api_v2 = {{ file = \"keys/apiv2.key\" }}\nexpect = {{ mchid = [\"{}\"], appid = [\"{}\"] }}\n\
         [endpoint.shop-v2.upstream]\nurl = [\"http://{shop}/events\"]\nsigning = {{ file = \"signing.key\" }}\n",
        merchant.mchid, merchant.appid,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_reaches_the_app_once_and_is_answered_in_v2s_own_words() {
    let gateway = Gateway::beside(endpoint).await;
    let merchant = &gateway.site.keys.merchant;
    for sample in sample::ALL {
        let notice = sample.notice(&Order::new(merchant, unix_now()));
        for _ in 0..2 {
            let answer = gateway.send(&notice.callback(merchant, SignType::Md5, PATH)).await;
            assert_eq!(answer.status, 200, "{}", sample.name);
            assert!(answer.body.starts_with("<xml><return_code><![CDATA[SUCCESS]]>"), "{}", sample.name);
        }
        let deliveries = gateway.shop.take_deliveries();
        let [delivery] = deliveries.as_slice() else { panic!("{}: {} deliveries", sample.name, deliveries.len()) };
        assert!(delivery.signed, "{}", sample.name);
        assert!(delivery.headers["ce-type"].to_str().unwrap().starts_with("wechatpay."), "{}", sample.name);
        let body: serde_json::Value = serde_json::from_slice(&delivery.body).unwrap();
        for (name, value) in notice.members() {
            assert_eq!(body[name], value.as_str(), "{}", sample.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_by_v2_is_held_off_and_the_app_gets_only_what_it_must() {
    let gateway = Gateway::beside(endpoint).await;
    let url = format!("http://{}{PATH}", gateway.address());
    let mut wrong = Vec::new();
    for case in attack::pay_v2_cases() {
        let before = gateway.shop.deliveries().len();
        let result = case.run(&url, &gateway.site.keys).await;
        let delivered = gateway.shop.deliveries().len() - before;
        let due = usize::from(case.expectation == Expectation::DeliveredOnce);
        if !result.held || delivered != due {
            wrong.push(format!("{}: {:?} {:?}, {delivered} delivered", case.name, result.statuses, result.failure));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
