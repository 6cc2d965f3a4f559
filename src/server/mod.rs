//! Listeners: connections in, requests to the gate, drain on shutdown.
//!
//! One thread a core, each with its own runtime, its own listening socket (`SO_REUSEPORT`: the kernel spreads the
//! connections) and its own connections to upstreams, so that a callback is handled by one thread from its first byte
//! to its last.

mod client_address;
mod connection;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::gate::Gate;
use crate::gate::pipeline::Worker;
use client_address::ClientAddress;
use connection::Connections;

/// Connections that the kernel keeps waiting on one listener.
const BACKLOG: i32 = 4096;
/// How long to wait after a failed accept: the cause is usually that file descriptors ran out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// `[server]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Largest body in bytes.
    pub max_body: usize,
    /// Longest time for a request's head; also how long an idle connection is kept.
    pub header_timeout: Duration,
    /// Longest time for a request's body.
    pub body_timeout: Duration,
    /// Connections open at once; more wait in the kernel's queue.
    pub max_connections: usize,
    /// Callbacks in flight at once; more are answered `overloaded`.
    pub max_in_flight: usize,
    /// Proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// How long callbacks are still taken after `/readyz` says that none should be sent here.
    pub shutdown_delay: Duration,
    /// How long a shutdown waits for what is in flight.
    pub shutdown_grace: Duration,
    /// Worker threads; 0: one per core.
    pub threads: usize,
}

/// A server at work.
pub struct Server {
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {cause}; is another process using it?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// A thread does not start.
    #[error("cannot start a worker thread: {0}")]
    Thread(io::Error),
}

impl Server {
    /// Binds every address on every worker and starts serving.
    pub fn start(settings: &Settings, gate: &Arc<Gate>) -> Result<Self, StartError> {
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            told => told,
        };
        let mut addresses = settings.listen.clone();
        let (stop, stopped) = watch::channel(false);
        let permits = Arc::new(Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS)));
        let mut workers = Vec::with_capacity(threads);
        for index in 0..threads {
            // Bound in turn: port 0 becomes a real port at the first worker, and the others share that one.
            let listeners = bind(&mut addresses)?;
            let serving = Serving {
                listeners,
                worker: Arc::new(Worker::new(Arc::clone(gate))),
                client_address: ClientAddress::new(&settings.trusted_proxies),
                permits: Arc::clone(&permits),
                header_timeout: settings.header_timeout,
                grace: settings.shutdown_grace,
                stopped: stopped.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("wxgate-{index}"));
            workers.push(thread.spawn(move || serving.run()).map_err(StartError::Thread)?);
        }
        Ok(Self { addresses, stop, workers })
    }

    /// The addresses listened on, with real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops accepting, lets what is in flight finish within the grace, and returns when every worker has ended.
    /// Blocking: call it off the runtime.
    pub fn shutdown(self) {
        self.stop.send_replace(true);
        for worker in self.workers {
            if worker.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}

fn bind(addresses: &mut [SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let listener = listen(*address).map_err(|cause| StartError::Listen { address: *address, cause })?;
        *address = listener.local_addr().map_err(|cause| StartError::Listen { address: *address, cause })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What one worker thread needs to serve.
struct Serving {
    listeners: Vec<TcpListener>,
    worker: Arc<Worker>,
    client_address: ClientAddress,
    permits: Arc<Semaphore>,
    header_timeout: Duration,
    grace: Duration,
    stopped: watch::Receiver<bool>,
}

impl Serving {
    fn run(self) {
        crate::gate::upstream::warm_up();
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "a worker has no runtime and serves nothing");
                return;
            }
        };
        runtime.block_on(self.serve());
    }

    async fn serve(self) {
        let connections =
            Arc::new(Connections::new(Arc::clone(&self.worker), self.client_address, self.header_timeout));
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    let (permits, connections) = (Arc::clone(&self.permits), Arc::clone(&connections));
                    accepting.spawn(accept_until_stopped(self.stopped.clone(), listener, permits, connections));
                }
                Err(error) => tracing::error!(%error, "a listener cannot be served"),
            }
        }
        let mut graceful = Vec::new();
        while let Some(ended) = accepting.join_next().await {
            graceful.extend(ended);
        }
        drain(&self.worker, graceful, self.grace).await;
    }
}

/// Accepts for ever; what is accepted is known to the shutdown that is given along.
async fn accept(
    listener: tokio::net::TcpListener,
    permits: Arc<Semaphore>,
    connections: Arc<Connections>,
    graceful: &GracefulShutdown,
) {
    loop {
        // The permit comes before the accept: what is over the limit waits in the kernel, not here.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => connections.serve(stream, peer, permit, graceful.watcher()),
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Accepts until told to stop, then closes the listener and gives what is left to drain.
async fn accept_until_stopped(
    mut stopped: watch::Receiver<bool>,
    listener: tokio::net::TcpListener,
    permits: Arc<Semaphore>,
    connections: Arc<Connections>,
) -> GracefulShutdown {
    let graceful = GracefulShutdown::new();
    tokio::select! {
        () = accept(listener, permits, connections, &graceful) => {}
        // An error means that the server itself is gone: then stop as well.
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    graceful
}

/// Lets connections finish their request, then what still runs for callers who have gone.
async fn drain(worker: &Worker, listeners: Vec<GracefulShutdown>, grace: Duration) {
    let in_time = tokio::time::timeout(grace, async {
        let mut ending: JoinSet<()> = listeners.into_iter().map(GracefulShutdown::shutdown).collect();
        while ending.join_next().await.is_some() {}
        while worker.gate().in_flight() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    if in_time.await.is_err() {
        let left = worker.gate().in_flight();
        tracing::warn!(left, "shutdown grace is over; what is in flight is left to WeChat's next try");
    }
}
