//! The admin listener: `/metrics`, `/healthz`, `/readyz`.

use std::net::SocketAddr;

use crate::secret::Secret;

/// `[admin]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Bearer token for `/v1`; needed off loopback.
    pub token: Option<Secret>,
}
