//! Rate limits and bans of one endpoint, with bounded memory.

use std::net::IpAddr;
use std::time::Duration;

/// Events per period, as in `"50/s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub count: std::num::NonZeroU32,
    /// In how long.
    pub per: Duration,
}

/// `[endpoint.NAME] limits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Requests of one address.
    pub per_ip: Option<Rate>,
    /// Requests of the endpoint.
    pub total: Option<Rate>,
    /// Refused requests of one address before it is banned.
    pub failures_per_ip: Option<Rate>,
    /// How long a ban lasts.
    pub ban: Duration,
}

/// Over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limited {
    /// A rate limit.
    #[error("over the rate limit {limit:?}")]
    Rate {
        /// Which one.
        limit: Limit,
    },
    /// A ban.
    #[error("the address is banned")]
    Banned,
}

/// The limits by name, as in the label of `wxgate_rate_limited_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// `per_ip`
    PerIp,
    /// `total`
    Total,
    /// `failures_per_ip`
    FailuresPerIp,
}

/// The limits of one endpoint at work.
pub struct Limits {}

impl Limits {
    /// From settings.
    pub fn new(settings: &Settings) -> Self {
        let _ = settings;
        unimplemented!()
    }

    /// Before anything else is done for a request.
    pub fn admit(&self, client: IpAddr) -> Result<(), Limited> {
        let _ = client;
        unimplemented!()
    }

    /// After verification: counts an authentic request.
    pub fn authentic(&self, client: IpAddr) -> Result<(), Limited> {
        let _ = client;
        unimplemented!()
    }

    /// After a refusal that speaks of a forger; may ban the address.
    pub fn failed(&self, client: IpAddr) {
        let _ = client;
        unimplemented!()
    }
}
