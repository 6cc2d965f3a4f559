//! A folder with what a gateway needs: keys, rules, a configuration for each node.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use wxgate::sim::keys::Keys;

/// The shop's signing secret, decoded; in the configuration it is `whsec_` and base64.
pub(crate) const SIGNING: &[u8] = b"a secret of thirty-two bytes len";
/// How long the app may take.
pub(crate) const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a claim is its node's own at most: the app's time, and five seconds to write down what came of it.
pub(crate) const LEASE: Duration = Duration::from_secs(1 + 5);
/// Payments above this are held by the rules of `judged`, in fen.
pub(crate) const HELD_ABOVE: i64 = 500_000;

/// The endpoints of every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Endpoint {
    /// `ack = "after-upstream"`.
    Now,
    /// `ack = "after-store"`.
    Later,
    /// `ack = "after-upstream"`, behind rules that hold some.
    Judged,
}

impl Endpoint {
    pub(crate) const ALL: [Self; 3] = [Self::Now, Self::Later, Self::Judged];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Later => "later",
            Self::Judged => "judged",
        }
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Now => "/notify/now",
            Self::Later => "/notify/later",
            Self::Judged => "/notify/judged",
        }
    }
}

/// `[store]` of a node, but for what every node has.
#[derive(Clone, Debug)]
pub(crate) struct StoreLines(pub(crate) String);

pub(crate) struct Site {
    pub(crate) keys: Keys,
    dir: TempDir,
}

/// Where a node listens, and what it talks to.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub(crate) callbacks: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) shop: SocketAddr,
}

const RULES: &str = r"
apiVersion: wxgate.rules/v1
kind: RuleSet
name: chaos
version: 1
owner: tests
schema: pay-v3
defaults: { mode: enforce, on_error: hold }

counters:
  - name: pays
    count: events
    when: event.kind == Kind.TRANSACTION
    key: [ event.appid, event.payer.openid ]
    window: 1h

rules:
  - id: WXC-1001
    title: Large payment
    category: amount
    severity: high
    when: event.kind == Kind.TRANSACTION && event.amount.total > yuan(5000)
    action: hold
    reason: large
  - id: WXC-1002
    title: Payer pays twice
    description: In a campaign each payer pays once, so that it fires only for an event that was counted twice (I7).
    category: velocity
    severity: high
    when: event.kind == Kind.TRANSACTION && counter.pays > 1
    action: hold
    reason: counted_twice
";

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("wxgate-chaos-").tempdir().unwrap();
        let keys = Keys::bundled();
        keys.save(&dir.path().join("keys")).unwrap();
        let whsec = format!("whsec_{}", base64_simd::STANDARD.encode_to_string(SIGNING));
        fs::write(dir.path().join("signing.key"), whsec).unwrap();
        fs::write(dir.path().join("seal.key"), "5a".repeat(32)).unwrap();
        fs::create_dir(dir.path().join("rules")).unwrap();
        fs::write(dir.path().join("rules/chaos.yaml"), RULES).unwrap();
        Self { keys, dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Stays on the disk: somebody will want to look.
    pub(crate) fn keep(&mut self) -> &Path {
        self.dir.disable_cleanup(true);
        self.dir.path()
    }

    /// Writes the configuration of a node and tells where it is.
    pub(crate) fn write_config(&self, name: &str, store: &StoreLines, at: &Addresses) -> PathBuf {
        let Addresses { callbacks, admin, .. } = at;
        let StoreLines(store) = store;
        let mut text = format!(
            r#"
[server]
listen = ["{callbacks}"]
threads = 2
shutdown_grace = "5s"

[admin]
listen = "{admin}"

[store]
{store}

[rules]
dir = "rules"

[audit]
path = "audit-{name}.ndjson"
"#
        );
        for endpoint in Endpoint::ALL {
            text.push_str(&self.endpoint(endpoint, at.shop));
        }
        let path = self.path(&format!("{name}.toml"));
        fs::write(&path, text).unwrap();
        path
    }

    fn endpoint(&self, endpoint: Endpoint, shop: SocketAddr) -> String {
        let (platform, merchant) = (&self.keys.platform, &self.keys.merchant);
        let (ack, rules) = match endpoint {
            Endpoint::Now => ("after-upstream", ""),
            Endpoint::Later => ("after-store", ""),
            Endpoint::Judged => ("after-upstream", r#"rules = ["chaos"]"#),
        };
        format!(
            r#"
[endpoint.{name}]
path = "{path}"
protocol = "pay-v3"
keys.api_v3 = {{ file = "keys/apiv3.key" }}
keys.public = [{{ id = "{public}", file = "keys/pub_key.pem" }}]
keys.certificates = ["keys/wechatpay_cert.pem"]
expect = {{ mchid = ["{mchid}"], appid = ["{appid}"] }}
{rules}

[endpoint.{name}.upstream]
url = ["http://{shop}/events"]
timeout = "{timeout}ms"
ack = "{ack}"
signing = {{ file = "signing.key" }}
"#,
            name = endpoint.name(),
            path = endpoint.path(),
            public = platform.public_key_id,
            mchid = merchant.mchid,
            appid = merchant.appid,
            timeout = UPSTREAM_TIMEOUT.as_millis(),
        )
    }
}
