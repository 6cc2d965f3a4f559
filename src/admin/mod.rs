//! The admin listener: `/metrics`, `/healthz`, `/readyz`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::gate::Gate;
use crate::secret::Secret;

/// `[admin]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Bearer token for `/v1`; needed off loopback.
    pub token: Option<Secret>,
}

/// The listener, bound.
pub struct Admin {}

impl Admin {
    /// Binds the address.
    pub async fn bind(settings: &Settings) -> io::Result<Self> {
        let _ = settings;
        unimplemented!()
    }

    /// The address with its real port.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        unimplemented!()
    }

    /// Serves until `stop` ends.
    pub async fn serve(self, gate: Arc<Gate>, stop: impl Future<Output = ()> + Send + 'static) {
        let _ = (gate, stop);
        unimplemented!()
    }
}
