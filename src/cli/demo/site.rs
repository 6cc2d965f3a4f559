//! What the demo runs on: a folder that is thrown away, keys for testing, and a configuration as a user would write it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::cli::starter_rules;
use crate::config::{self, Config};
use crate::sim::keys::Keys;

/// Where WeChat calls the demo's gateway.
pub(super) const NOTIFY_PATH: &str = "/notify/shop-pay";
/// Where it calls the endpoint that rules judge.
pub(super) const RISK_PATH: &str = "/notify/shop-risk";
/// What is in shadow at first is enforced for the demo, as a team does after some weeks.
const ENFORCED: &str = "apiVersion: wxgate.rules/v1\nkind: Overrides\nname: demo\nversion: 1\noverrides:\n  \
    - { id: WXP-2001, of_version: 1, set: { mode: enforce }, why: the demo shows it }\n";

/// The sample app's signing secret. It protects nothing: the demo listens on loopback and its keys are public.
pub(super) const SIGNING_SECRET: &[u8] = b"the demo's secret, known to all.";

/// A folder that is removed when dropped, unless it is kept.
pub(super) struct Site {
    dir: PathBuf,
    keep: bool,
}

impl Site {
    /// Makes the folder and writes keys and configuration into it.
    pub(super) fn write(keys: &Keys, shop: SocketAddr, keep: bool) -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("wxgate-demo-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let site = Self { dir, keep };
        keys.save(&site.dir.join("keys")).map_err(io::Error::other)?;
        let secret = format!("whsec_{}", base64_simd::STANDARD.encode_to_string(SIGNING_SECRET));
        std::fs::write(site.dir.join("keys/signing.key"), secret)?;
        std::fs::write(site.config(), configuration(keys, shop))?;
        site.write_rules(keys)?;
        Ok(site)
    }

    fn write_rules(&self, keys: &Keys) -> io::Result<()> {
        let dir = self.dir.join("rules");
        starter_rules::write(&dir, &keys.merchant.mchid, &keys.merchant.appid)?;
        std::fs::write(dir.join("demo.yaml"), ENFORCED)
    }

    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("wxgate.toml")
    }

    pub(super) fn load(&self) -> Result<Config, config::Problems> {
        config::load(&self.config())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed is left to the system's cleaning of its temporary folder.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

fn configuration(keys: &Keys, shop: SocketAddr) -> String {
    format!(
        r#"# Written by `wxgate demo`.
[server]
listen = ["127.0.0.1:0"]

[admin]
listen = "127.0.0.1:0"

[store]
url = "file:store"

[audit]
path = "audit.ndjson"

[rules]
dir = "rules"

[endpoint.shop-pay]
path = "{NOTIFY_PATH}"
protocol = "pay-v3"
keys.api_v3 = {{ file = "keys/apiv3.key" }}
keys.public = [{{ id = "{public_key_id}", file = "keys/pub_key.pem" }}]
keys.certificates = ["keys/wechatpay_cert.pem"]
expect = {{ mchid = ["{mchid}"], appid = ["{appid}"] }}

[endpoint.shop-pay.upstream]
url = ["http://{shop}/events"]
timeout = "2s"
signing = {{ file = "keys/signing.key" }}

[endpoint.shop-risk]
path = "{RISK_PATH}"
protocol = "pay-v3"
rules = ["payment-core", "payment-risk"]
keys.api_v3 = {{ file = "keys/apiv3.key" }}
keys.certificates = ["keys/wechatpay_cert.pem"]
expect = {{ mchid = ["{mchid}"], appid = ["{appid}"] }}

[endpoint.shop-risk.upstream]
url = ["http://{shop}/events"]
timeout = "2s"
signing = {{ file = "keys/signing.key" }}
"#,
        public_key_id = keys.platform.public_key_id,
        mchid = keys.merchant.mchid,
        appid = keys.merchant.appid,
    )
}
