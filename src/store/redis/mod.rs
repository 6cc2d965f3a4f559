//! `redis:` — any number of gateways over one store: a server, a group that Sentinels watch, or a Cluster.
//!
//! [`link`] is the way there, for the engine and for the queues' rows alike; [`script`] is what runs there.

mod dial;
mod fault;
pub(in crate::store) mod link;
pub(in crate::store) mod rows;
pub(in crate::store) mod script;
#[cfg(test)]
pub(in crate::store) mod servers;
mod settings;
#[cfg(test)]
mod tests;

pub use settings::{Address, OnOutage, RedisSettings, Tls, Topology};
