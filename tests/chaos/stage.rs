//! Everything that takes part: the gateways, the app, and what the gateways keep their memory in.

use std::net::SocketAddr;
use std::time::Duration;

use crate::node::Node;
use crate::plan::{OFFSETS, Whom};
use crate::ports;
use crate::proxy::{Proxy, Weather};
use crate::redis::Pair;
use crate::seed::Seed;
use crate::shop::{Mood, Shop};
use crate::site::{Addresses, Site, StoreLines};

pub(crate) struct Stage {
    /// Before the site: its folder goes when nobody writes into it any more.
    pub(crate) nodes: Vec<Node>,
    pub(crate) redis: Option<Shared>,
    pub(crate) shop: Shop,
    pub(crate) site: Site,
}

/// A Redis that the nodes share, each by a way of its own.
pub(crate) struct Shared {
    pub(crate) pair: Pair,
    pub(crate) ways: Vec<Proxy>,
}

/// How long a node waits for Redis.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_millis(200);

/// What stands in `[store]` of a node that finds Redis here.
pub(crate) fn on_redis(address: SocketAddr, on_outage: &str) -> StoreLines {
    let timeout = STORE_TIMEOUT.as_millis();
    StoreLines(format!(
        r#"
url = "redis://{address}/0"
on_outage = "{on_outage}"
timeout = "{timeout}ms"
seal_key = {{ file = "seal.key" }}
"#
    ))
}

impl Stage {
    /// One gateway with a `file:` store.
    pub(crate) async fn on_file(seed: &Seed) -> Self {
        let site = Site::new();
        let shop = Shop::start(seed.of(1), Mood::Well).await;
        let nodes = vec![node(&site, 0, &StoreLines("url = \"file:store.db\"".to_owned()), &shop)];
        Self { nodes, redis: None, shop, site }.up().await
    }

    /// Gateways that share a Redis, with clocks that differ.
    pub(crate) async fn on_redis(nodes: usize, on_outage: &str, seed: &Seed) -> Self {
        let site = Site::new();
        let shop = Shop::start(seed.of(1), Mood::Well).await;
        let pair = Pair::start(site.path("redis")).await;
        let mut stage = Self { nodes: Vec::new(), redis: None, shop, site };
        let mut ways = Vec::new();
        for number in 0..nodes {
            let way = Proxy::start(pair.primary()).await;
            stage.nodes.push(node(&stage.site, number, &on_redis(way.address, on_outage), &stage.shop));
            ways.push(way);
        }
        stage.redis = Some(Shared { pair, ways });
        stage.up().await
    }

    async fn up(mut self) -> Self {
        for (node, offset) in self.nodes.iter_mut().zip(OFFSETS) {
            node.start(offset).await;
        }
        self
    }

    pub(crate) fn shared(&mut self) -> &mut Shared {
        self.redis.as_mut().expect("a plan with faults of Redis is for a stage with one")
    }
}

fn node(site: &Site, number: usize, store: &StoreLines, shop: &Shop) -> Node {
    let at = Addresses { callbacks: ports::free(), admin: ports::free(), shop: shop.address };
    Node::new(site, &format!("node-{number}"), store, &at)
}

impl Shared {
    pub(crate) fn weather(&self, whom: Whom, weather: Weather) {
        match whom {
            Whom::One(node) => self.ways[node].be(weather),
            Whom::Everybody => self.ways.iter().for_each(|way| way.be(weather)),
        }
    }

    /// The replica takes over, and every way leads to it, as a name or an address that moves would.
    pub(crate) async fn fail_over(&mut self) {
        self.pair.fail_over().await;
        self.lead_to_primary();
    }

    /// The same after the primary's death.
    pub(crate) async fn replace_primary(&mut self) {
        self.pair.replace_primary().await;
        self.lead_to_primary();
    }

    fn lead_to_primary(&self) {
        self.ways.iter().for_each(|way| way.lead_to(self.pair.primary()));
    }
}
