//! The admin listener: `/metrics`, `/healthz`, `/readyz` (`health`) and the API (`v1`). It answers who watches and who
//! operates, never who calls back, and its load is kept small: few connections, one request each, a few seconds for all of
//! it.

mod guard;
mod health;
mod reply;
mod v1;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::gate::Gate;
use crate::secret::Secret;
use guard::Guard;
use reply::Reply;

/// Connections open at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;
/// Longest time for a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for a connection from its first byte to its last; also how long the end waits for it.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// How long to wait after a failed accept: the cause is usually that file descriptors ran out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// `[admin]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Bearer token, asked of whoever does not come from this machine.
    pub token: Option<Secret>,
}

/// The listener, bound.
pub struct Admin {
    listener: TcpListener,
    guard: Guard,
}

impl Admin {
    /// Binds the address.
    pub async fn bind(settings: &Settings) -> io::Result<Self> {
        let guard = Guard { token: settings.token.clone() };
        Ok(Self { listener: TcpListener::bind(settings.listen).await?, guard })
    }

    /// The address with its real port.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` ends.
    pub async fn serve(self, gate: Arc<Gate>, stop: impl Future<Output = ()> + Send + 'static) {
        let graceful = GracefulShutdown::new();
        let guard = Arc::new(self.guard);
        tokio::select! {
            () = accept(&self.listener, &gate, &guard, &graceful) => {}
            () = stop => {}
        }
        drop(self.listener);
        if tokio::time::timeout(CONNECTION_TIMEOUT, graceful.shutdown()).await.is_err() {
            tracing::warn!("admin connections were still open at the end");
        }
    }
}

async fn accept(listener: &TcpListener, gate: &Arc<Gate>, guard: &Arc<Guard>, graceful: &GracefulShutdown) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The permit comes before the accept: what is over the limit waits in the kernel, not here.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let caller = Caller { peer: peer.ip(), gate: Arc::clone(gate), guard: Arc::clone(guard) };
                let serving = serve_connection(stream, caller, graceful.watcher(), permit);
                tokio::spawn(async move {
                    if let Err(error) = serving.await {
                        tracing::debug!(%peer, %error, "admin connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting an admin connection failed");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// One connection's other end, and what it may ask.
#[derive(Clone)]
struct Caller {
    peer: IpAddr,
    gate: Arc<Gate>,
    guard: Arc<Guard>,
}

impl Caller {
    async fn answer(self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path();
        if path == "/v1" || path.starts_with("/v1/") {
            return match self.guard.lets_act(self.peer, request.headers()) {
                Ok(right) => v1::answer(&self.gate, v1::Who { peer: self.peer, right }, request).await,
                Err(denied) => v1::refuse(denied),
            };
        }
        let allowed = self.guard.lets_look(self.peer, request.headers());
        health::respond(request.method(), path, allowed, &self.gate).await
    }
}

async fn serve_connection(
    stream: TcpStream,
    caller: Caller,
    graceful: Watcher,
    _permit: OwnedSemaphorePermit,
) -> Result<(), Broken> {
    let service = service_fn(|request| {
        let answer = caller.clone().answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A reader who takes the answer byte by byte would keep his place for ever.
    Ok(tokio::time::timeout(CONNECTION_TIMEOUT, graceful.watch(connection)).await.map_err(|_| Broken::TooSlow)??)
}

/// Why a connection ended before its answer was out.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("not done within {CONNECTION_TIMEOUT:?}")]
    TooSlow,
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;
    use crate::clock::Clock;
    use crate::gate::Bounds;
    use crate::observe::{AuditSettings, AuditTarget, Observe};
    use crate::store::{self, EngineSettings, Store};

    /// A gate without routes, over memory.
    pub(super) fn gate() -> Arc<Gate> {
        let retention = Duration::from_hours(72);
        let store = store::Settings { engine: EngineSettings::Memory, retention, seal_keys: Vec::new() };
        let audit =
            AuditSettings { target: AuditTarget::Off, max_size: 0, max_age: Duration::ZERO, keep: 0, facts: None };
        let bounds = Bounds { max_body: 1024, body_timeout: Duration::from_secs(1), max_in_flight: 1 };
        let store = Store::open(&store, Clock::System).unwrap();
        Arc::new(Gate::new(store, Observe::new(&audit).unwrap(), Clock::System, bounds))
    }

    async fn admin() -> (SocketAddr, Arc<Gate>, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let settings = Settings { listen: "127.0.0.1:0".parse().unwrap(), token: None };
        let admin = Admin::bind(&settings).await.unwrap();
        let address = admin.local_addr().unwrap();
        let gate = gate();
        let (stop, stopped) = oneshot::channel();
        let serving = admin.serve(Arc::clone(&gate), async {
            let _ = stopped.await;
        });
        (address, gate, stop, tokio::spawn(serving))
    }

    async fn ask(address: SocketAddr, line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{line} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn each_path_has_its_answer_and_no_other_path_has_one() {
        let (address, gate, _stop, _serving) = admin().await;
        let metrics = ask(address, "GET /metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200 "), "{metrics}");
        assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
        assert!(metrics.contains("\nwxgate_in_flight 0\n"), "{metrics}");
        assert!(ask(address, "GET /healthz").await.ends_with("\r\n\r\nok\n"));
        assert!(ask(address, "GET /readyz?verbose").await.ends_with("\r\n\r\nready\n"));
        for unknown in ["GET /", "GET /metrics/", "POST /notify/shop", "GET /v1", "GET /v1x/held", "GET /v1/none"] {
            assert!(ask(address, unknown).await.starts_with("HTTP/1.1 404 "), "{unknown}");
        }
        let refused = ask(address, "POST /metrics").await;
        assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET, HEAD"), "{refused}");
        assert!(ask(address, "HEAD /metrics").await.ends_with("\r\n\r\n"), "HEAD has no body");
        let list = ask(address, "GET /v1/held").await;
        assert!(list.ends_with("{\"rows\":[],\"next\":null}\n"), "{list}");

        gate.store().close().await;
        let unready = ask(address, "GET /readyz").await;
        assert!(unready.starts_with("HTTP/1.1 503 ") && unready.ends_with("the store does not answer\n"), "{unready}");
        assert!(ask(address, "GET /healthz").await.starts_with("HTTP/1.1 200 "), "alive, though not ready");
        assert!(ask(address, "GET /v1/held").await.starts_with("HTTP/1.1 503 "));
    }

    #[tokio::test]
    async fn connections_over_the_limit_wait_for_a_place() {
        let (address, _gate, _stop, _serving) = admin().await;
        let mut idle = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let waiting = tokio::time::timeout(Duration::from_millis(200), ask(address, "GET /healthz")).await;
        assert!(waiting.is_err(), "all places are taken");
        idle.clear();
        assert!(ask(address, "GET /healthz").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn stopping_closes_the_listener_and_does_not_wait_for_who_says_nothing() {
        let (address, _gate, stop, serving) = admin().await;
        let _silent = TcpStream::connect(address).await.unwrap();
        assert!(ask(address, "GET /healthz").await.starts_with("HTTP/1.1 200 "));
        stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(2), serving).await.expect("ends at once").unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
