//! Wiring: settings in, a running gateway out. The one place where the parts meet; commands, tests and the demo start
//! the same gateway by it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

use crate::admin::{self, Admin};
use crate::clock::Clock;
use crate::config::Config;
use crate::gate::endpoint::{Endpoint, Settings as EndpointSettings};
use crate::gate::routes::Routes;
use crate::gate::worker::Deliveries;
use crate::gate::{Bounds, Gate, SNOOZES_EVERY};
use crate::keyring::Keyring;
use crate::keyring::expiry::Expiries;
use crate::observe::Observe;
use crate::server::{self, Server};
use crate::store::{self, Store};

/// How often the ends of certificates are looked at.
const EXPIRIES_EVERY: Duration = Duration::from_hours(1);

/// A gateway at work.
pub struct App {
    gate: Arc<Gate>,
    keyring: Keyring,
    expiries: AbortHandle,
    snoozes: AbortHandle,
    server: Server,
    deliveries: Deliveries,
    admin: Option<(SocketAddr, JoinHandle<()>)>,
    stop_admin: watch::Sender<bool>,
    shutdown_delay: Duration,
}

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error("the store does not open: {0}")]
    Store(#[from] store::OpenError),
    /// The audit log.
    #[error("the audit log cannot be written: {0}")]
    Audit(io::Error),
    /// The admin listener.
    #[error("cannot listen on {address} (admin.listen): {cause}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The thread that delivers.
    #[error("cannot start the thread of deliveries: {0}")]
    Deliveries(io::Error),
    /// The server.
    #[error(transparent)]
    Server(#[from] server::StartError),
}

impl App {
    /// Opens the store, binds every listener and begins to serve. Nothing is served unless everything starts.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        let observe = Observe::new(&config.audit).map_err(StartError::Audit)?;
        let store = Store::open(&config.store, clock.clone())?;
        observe.config_loaded(clock.now());
        let bounds = Bounds {
            max_body: config.server.max_body,
            body_timeout: config.server.body_timeout,
            max_in_flight: config.server.max_in_flight,
        };
        let keyring = Keyring::new(clock.clone(), observe.clone());
        let gate = Arc::new(Gate::new(store, observe, clock, bounds));
        gate.set_routes(routes(&gate, &keyring, config.endpoints));
        read_snoozes(&gate).await;

        let (stop_admin, stopped) = watch::channel(false);
        let admin = match &config.admin {
            Some(settings) => Some(start_admin(settings, &gate, stopped).await?),
            None => None,
        };
        let server = Server::start(&config.server, &gate)?;
        let expiries = tokio::spawn(watch_expiries(Arc::clone(&gate))).abort_handle();
        let snoozes = tokio::spawn(watch_snoozes(Arc::clone(&gate))).abort_handle();
        let deliveries = Deliveries::start(Arc::clone(&gate)).map_err(StartError::Deliveries)?;
        let shutdown_delay = config.server.shutdown_delay;
        Ok(Self { gate, keyring, expiries, snoozes, server, deliveries, admin, stop_admin, shutdown_delay })
    }

    /// Takes keys, endpoints and limits of a new configuration; callbacks under way finish on the old ones. Listeners,
    /// threads and the store stay as they are: `Config::needs_restart` says what is not taken.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, if certificates are to be downloaded.
    pub fn reload(&self, endpoints: Vec<EndpointSettings>) {
        self.gate.set_routes(routes(&self.gate, &self.keyring, endpoints));
    }

    /// The gate, for what is asked of it from beside: counts, routes, the store.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Addresses that callbacks are taken on.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// Address of the admin listener.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(address, _)| *address)
    }

    /// Not ready first and, for `server.shutdown_delay`, at work still; then no new connections, then what is in flight
    /// finishes, deliveries included, then the store is closed: in this order, so that no callback is sent to a listener
    /// that is gone, nothing that was answered is lost and nothing that is lost was answered.
    pub async fn shutdown(self) {
        self.gate.leave();
        tokio::time::sleep(self.shutdown_delay).await;
        self.gate.drain();
        self.expiries.abort();
        self.snoozes.abort();
        let (server, deliveries) = (self.server, self.deliveries);
        let ended = tokio::task::spawn_blocking(move || {
            server.shutdown();
            deliveries.stop();
        });
        if ended.await.is_err() {
            tracing::error!("the server did not shut down cleanly");
        }
        self.gate.store().close().await;
        self.gate.observe().close().await;
        // Last, so that probes see the drain; it may have ended by itself.
        self.stop_admin.send_replace(true);
        if let Some((_, task)) = self.admin
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the admin listener did not end cleanly");
        }
    }
}

/// Says in the log which certificates end.
async fn watch_expiries(gate: Arc<Gate>) {
    let mut expiries = Expiries::default();
    loop {
        let now = gate.clock().now();
        for endpoint in gate.routes().endpoints() {
            expiries.look(endpoint.name(), &endpoint.verifying_keys(), now);
        }
        tokio::time::sleep(EXPIRIES_EVERY).await;
    }
}

/// Takes over what other nodes and people said about snoozes.
async fn watch_snoozes(gate: Arc<Gate>) {
    loop {
        tokio::time::sleep(SNOOZES_EVERY).await;
        read_snoozes(&gate).await;
    }
}

/// Those that are known stay if the store does not answer: each ends by itself.
async fn read_snoozes(gate: &Gate) {
    if let Err(error) = gate.snoozes().refresh(gate.store(), gate.clock().now()).await {
        tracing::warn!(%error, "snoozes of rules cannot be read: those that are known go on until their end");
    }
}

fn routes(gate: &Gate, keyring: &Keyring, endpoints: Vec<EndpointSettings>) -> Routes {
    let before = gate.routes();
    Routes::new(endpoints.into_iter().map(|settings| {
        let earlier = before.named(&settings.name).map(|endpoint| &**endpoint);
        Arc::new(Endpoint::new(settings, earlier, gate.observe(), keyring))
    }))
}

async fn start_admin(
    settings: &admin::Settings,
    gate: &Arc<Gate>,
    mut stopped: watch::Receiver<bool>,
) -> Result<(SocketAddr, JoinHandle<()>), StartError> {
    let failed = |cause| StartError::Admin { address: settings.listen, cause };
    let admin = Admin::bind(settings).await.map_err(failed)?;
    let address = admin.local_addr().map_err(failed)?;
    let gate = Arc::clone(gate);
    let task = tokio::spawn(admin.serve(gate, async move {
        // An error means that the app is gone: then stop as well.
        drop(stopped.wait_for(|stop| *stop).await);
    }));
    Ok((address, task))
}
