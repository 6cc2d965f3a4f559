//! Listeners: connections in, requests to the gate, drain on shutdown.

use std::net::SocketAddr;
use std::time::Duration;

/// `[server]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Largest body in bytes.
    pub max_body: usize,
    /// Longest time for a request's head.
    pub header_timeout: Duration,
    /// Longest time for a request's body.
    pub body_timeout: Duration,
    /// Connections open at once; more wait in the kernel's queue.
    pub max_connections: usize,
    /// Callbacks in flight at once; more are answered `overloaded`.
    pub max_in_flight: usize,
    /// Proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// How long a shutdown waits for what is in flight.
    pub shutdown_grace: Duration,
    /// Worker threads; 0: one per core.
    pub threads: usize,
}
