//! Where Redis is and how it is reached: `store.url` and the keys beside it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::secret::Secret;

/// A callback that WeChat waits 5 s for has little to spare.
const TIMEOUT: Duration = Duration::from_millis(200);

/// A `redis:` store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// One server, a group that Sentinels watch, or a Cluster.
    pub topology: Topology,
    /// How servers are checked; none: in the clear.
    pub tls: Option<Tls>,
    /// The database; always 0 in a Cluster.
    pub database: u16,
    /// The ACL user; none: `default`.
    pub user: Option<String>,
    /// Of that user.
    pub password: Option<Secret>,
    /// Of the Sentinels themselves.
    pub sentinel_password: Option<Secret>,
    /// What every key begins with, inside of its hash tag.
    pub prefix: String,
    /// How long a request may take, all that it needs included.
    pub timeout: Duration,
    /// What goes on while the store does not answer.
    pub on_outage: OnOutage,
}

impl RedisSettings {
    /// What holds unless something else is said: nobody to log in as, no TLS, and nothing passes in an outage.
    pub fn new(topology: Topology) -> Self {
        Self {
            topology,
            tls: None,
            database: 0,
            user: None,
            password: None,
            sentinel_password: None,
            prefix: "wxgate".to_owned(),
            timeout: TIMEOUT,
            on_outage: OnOutage::default(),
        }
    }
}

/// Which servers make the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// `redis://` and `rediss://`
    Single(Address),
    /// `redis-sentinel://` and `rediss-sentinel://`
    Sentinel {
        /// The Sentinels, any of which is asked.
        sentinels: Vec<Address>,
        /// What they call the group.
        master: String,
    },
    /// `redis-cluster://` and `rediss-cluster://`: some of its nodes, which name the others.
    Cluster(Vec<Address>),
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How servers are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM of the authorities that are trusted; none: those of the machine.
    pub authorities: Option<Arc<str>>,
}

/// `store.on_outage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOutage {
    /// Nothing passes; WeChat tries again.
    #[default]
    Refuse,
    /// This node goes on with what it remembers itself, and every verdict says so.
    Local,
}
