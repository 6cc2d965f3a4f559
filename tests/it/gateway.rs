//! A gateway in this process with everything around it: keys, a configuration file, a sample shop, and a WeChat that
//! signs what it is told to.

use std::net::SocketAddr;
use std::path::PathBuf;

use tempfile::TempDir;
use wxgate::app::App;
use wxgate::clock::Clock;
use wxgate::config;
use wxgate::sim::keys::{Keys, SignedBy};
use wxgate::sim::notify::{Callback, Event, unix_now};
use wxgate::sim::sample::{self, Order};
use wxgate::sim::shop::{Behaviour, Shop};

use crate::http_client::{self, Response};

pub(crate) const PATH: &str = "/notify/shop-pay";
/// The shop's signing secret, decoded; in the configuration it is `whsec_` and base64.
pub(crate) const SIGNING: &[u8] = b"a secret of thirty-two bytes len";

/// A folder with keys and a configuration.
pub(crate) struct Site {
    pub(crate) keys: Keys,
    dir: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::bundled();
        keys.save(&dir.path().join("keys")).unwrap();
        let whsec = format!("whsec_{}", base64_simd::STANDARD.encode_to_string(SIGNING));
        std::fs::write(dir.path().join("signing.key"), whsec).unwrap();
        Self { keys, dir }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("wxgate.toml")
    }

    pub(crate) fn audit(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.dir.path().join("audit.ndjson")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a record is a line of JSON")).collect()
    }

    /// Writes the configuration of a gateway in front of `shop`; `more` goes to the end of the endpoint.
    pub(crate) fn write_config(&self, store: &str, shop: SocketAddr, more: &str) {
        let (platform, merchant) = (&self.keys.platform, &self.keys.merchant);
        let text = format!(
            r#"
[server]
listen = ["127.0.0.1:0"]
threads = 2
body_timeout = "1s"
header_timeout = "1s"
shutdown_grace = "10s"

[admin]
listen = "127.0.0.1:0"

[store]
url = "{store}"

[audit]
path = "audit.ndjson"

[endpoint.shop-pay]
path = "{PATH}"
protocol = "pay-v3"
keys.api_v3 = {{ file = "keys/apiv3.key" }}
keys.public = [{{ id = "{public}", file = "keys/pub_key.pem" }}]
keys.certificates = ["keys/wechatpay_cert.pem"]
expect = {{ mchid = ["{mchid}"], appid = ["{appid}"] }}
{more}

[endpoint.shop-pay.upstream]
url = ["http://{shop}/events?shop=1"]
timeout = "2s"
signing = {{ file = "signing.key" }}
"#,
            public = platform.public_key_id,
            mchid = merchant.mchid,
            appid = merchant.appid,
        );
        std::fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn load(&self) -> config::Config {
        config::load(&self.config()).unwrap_or_else(|problems| panic!("{problems}"))
    }

    pub(crate) fn event(&self) -> Event {
        sample::find("payment-native").unwrap().event(&Order::new(&self.keys.merchant, unix_now()))
    }

    /// One try at delivering `event`, signed afresh.
    pub(crate) fn sign(&self, event: &Event) -> Callback {
        event.callback(&self.keys, SignedBy::Certificate, PATH, unix_now())
    }
}

/// A running gateway with a shop behind it.
pub(crate) struct Gateway {
    pub(crate) site: Site,
    pub(crate) shop: Shop,
    pub(crate) app: App,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::with("memory:", "", Behaviour::Healthy).await
    }

    pub(crate) async fn with(store: &str, more: &str, behaviour: Behaviour) -> Self {
        let site = Site::new();
        let shop = Shop::start("127.0.0.1:0", SIGNING, behaviour).await.unwrap();
        site.write_config(store, shop.address(), more);
        Self::of(site, shop).await
    }

    /// With further endpoints beside the usual one; `endpoints` writes them for a shop at this address.
    pub(crate) async fn beside(endpoints: impl FnOnce(&Site, SocketAddr) -> String) -> Self {
        let site = Site::new();
        let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
        site.write_config("memory:", shop.address(), "");
        let text = std::fs::read_to_string(site.config()).unwrap() + &endpoints(&site, shop.address());
        std::fs::write(site.config(), text).unwrap();
        Self::of(site, shop).await
    }

    pub(crate) async fn of(site: Site, shop: Shop) -> Self {
        let app = App::start(site.load(), Clock::System).await.unwrap();
        // The memory store refuses what was signed in or before the second in which it began to remember.
        while unix_now() * 1000 <= app.gate().store().remembers_since().map_or(0, wxgate::clock::UnixTime::millis) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Self { site, shop, app }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.app.addresses()[0]
    }

    /// Where WeChat calls it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{PATH}", self.address())
    }

    pub(crate) async fn send(&self, callback: &Callback) -> Response {
        send(self.address(), callback).await
    }

    /// Sends a genuine callback for `event`, signed afresh.
    pub(crate) async fn deliver(&self, event: &Event) -> Response {
        self.send(&self.site.sign(event)).await
    }

    /// Stops it in good order and gives back what is looked at afterwards.
    pub(crate) async fn stop(self) -> (Site, Shop) {
        self.app.shutdown().await;
        (self.site, self.shop)
    }
}

pub(crate) async fn send(address: SocketAddr, callback: &Callback) -> Response {
    http_client::request(address, &callback.method, &callback.path, &callback.headers, &callback.body)
        .await
        .expect("an answer")
}
