//! The admin listener: `/metrics`, `/healthz`, `/readyz`, `/v1/keys`. It answers who watches, never who calls back, and its load is
//! kept small: few connections, one request each, a few seconds for all of it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::gate::Gate;
use crate::observe::Readings;
use crate::secret::Secret;

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

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Prometheus' text format.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

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
        self.serve_watched(gate, stop).await;
    }

    async fn serve_watched<W: Watched>(self, watched: Arc<W>, stop: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let guard = Arc::new(self.guard);
        tokio::select! {
            () = accept(&self.listener, &watched, &guard, &graceful) => {}
            () = stop => {}
        }
        drop(self.listener);
        if tokio::time::timeout(CONNECTION_TIMEOUT, graceful.shutdown()).await.is_err() {
            tracing::warn!("admin connections were still open at the end");
        }
    }
}

/// Who may see more than whether the gateway lives.
struct Guard {
    token: Option<Secret>,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denied {
    /// He came without the token, or with another.
    Token,
    /// There is no token that he could come with. `wxgate check` does not let that happen; if it does, nothing is shown.
    Unset,
}

impl Guard {
    /// From this machine nothing is asked: who is there can read the gateway's memory.
    fn lets_in(&self, peer: IpAddr, request: &HeaderMap) -> Result<(), Denied> {
        if peer.to_canonical().is_loopback() {
            return Ok(());
        }
        let expected = self.token.as_ref().filter(|token| !token.is_empty()).ok_or(Denied::Unset)?;
        let shown = request.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        // Constant time: `Secret` compares so.
        if shown.is_some_and(|shown| Secret::new(shown.to_vec()) == *expected) { Ok(()) } else { Err(Denied::Token) }
    }
}

/// The token of `Bearer TOKEN`; the scheme in any case (RFC 9110, 11.1).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = authorization.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(token.trim_ascii())
}

/// What is shown of the gateway.
trait Watched: Send + Sync + 'static {
    /// In Prometheus' text format.
    fn metrics(&self) -> String;
    /// Which keys are trusted, in JSON.
    fn keys(&self) -> String;
    /// Whether callbacks should be sent here, and if not, why.
    fn ready(&self) -> Result<(), &'static str>;
}

impl Watched for Gate {
    fn metrics(&self) -> String {
        let routes = self.routes();
        self.observe().read(&Readings {
            bans_active: routes.endpoints().map(|endpoint| endpoint.limits().bans_active()).sum(),
            is_store_up: self.store().is_up(),
            expiries: routes.endpoints().flat_map(|endpoint| endpoint.key_expiries()).collect(),
        });
        self.observe().render()
    }

    fn keys(&self) -> String {
        serde_json::to_string(&Gate::keys(self)).expect("a struct of strings and numbers has a JSON form")
    }

    fn ready(&self) -> Result<(), &'static str> {
        if self.is_draining() {
            Err("shutting down\n")
        } else if self.store().is_up() {
            Ok(())
        } else {
            Err("the store does not answer\n")
        }
    }
}

async fn accept<W: Watched>(listener: &TcpListener, watched: &Arc<W>, guard: &Arc<Guard>, graceful: &GracefulShutdown) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The permit comes before the accept: what is over the limit waits in the kernel, not here.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let show = show_to(peer.ip(), Arc::clone(watched), Arc::clone(guard));
                let serving = serve_connection(stream, show, graceful.watcher(), permit);
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

/// Answers the requests of one peer.
fn show_to<W: Watched>(
    peer: IpAddr,
    watched: Arc<W>,
    guard: Arc<Guard>,
) -> impl Fn(Request<Incoming>) -> Response<Full<Bytes>> {
    move |request| {
        let allowed = guard.lets_in(peer, request.headers());
        respond(request.method(), request.uri().path(), allowed, &*watched)
    }
}

async fn serve_connection(
    stream: TcpStream,
    show: impl Fn(Request<Incoming>) -> Response<Full<Bytes>>,
    graceful: Watcher,
    _permit: OwnedSemaphorePermit,
) -> Result<(), Broken> {
    let service = service_fn(|request| {
        let response = show(request);
        async move { Ok::<_, Infallible>(response) }
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

/// Health and readiness are for everybody who reaches the listener: probes carry no secrets, and learn no more than that
/// the gateway lives.
fn respond(method: &Method, path: &str, allowed: Result<(), Denied>, watched: &impl Watched) -> Response<Full<Bytes>> {
    let is_known = matches!(path, "/metrics" | "/healthz" | "/readyz" | "/v1/keys");
    if is_known && !matches!(*method, Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n");
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/metrics" => match allowed {
            Ok(()) => text(StatusCode::OK, METRICS, watched.metrics()),
            Err(denied) => refuse(denied),
        },
        "/v1/keys" => match allowed {
            Ok(()) => text(StatusCode::OK, JSON, watched.keys()),
            Err(denied) => refuse(denied),
        },
        "/healthz" => text(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => match watched.ready() {
            Ok(()) => text(StatusCode::OK, TEXT, "ready\n"),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, TEXT, why),
        },
        _ => text(StatusCode::NOT_FOUND, TEXT, "here are /metrics, /healthz, /readyz and /v1/keys\n"),
    }
}

fn refuse(denied: Denied) -> Response<Full<Bytes>> {
    let why = match denied {
        Denied::Token => "needs `authorization: Bearer TOKEN`, the token of admin.token\n",
        Denied::Unset => "shown to this machine only, since admin.token is not set\n",
    };
    let mut refused = text(StatusCode::UNAUTHORIZED, TEXT, why);
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refused
}

fn text(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;

    #[derive(Default)]
    struct Shown {
        is_unready: AtomicBool,
    }

    impl Watched for Shown {
        fn metrics(&self) -> String {
            "wxgate_in_flight 0\n".to_owned()
        }

        fn keys(&self) -> String {
            r#"{"endpoints":[]}"#.to_owned()
        }

        fn ready(&self) -> Result<(), &'static str> {
            if self.is_unready.load(Ordering::SeqCst) { Err("the store does not answer\n") } else { Ok(()) }
        }
    }

    async fn admin() -> (SocketAddr, Arc<Shown>, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let settings = Settings { listen: "127.0.0.1:0".parse().unwrap(), token: None };
        let admin = Admin::bind(&settings).await.unwrap();
        let address = admin.local_addr().unwrap();
        let shown = Arc::new(Shown::default());
        let (stop, stopped) = oneshot::channel();
        let serving = admin.serve_watched(Arc::clone(&shown), async {
            let _ = stopped.await;
        });
        (address, shown, stop, tokio::spawn(serving))
    }

    async fn ask(address: SocketAddr, line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{line} HTTP/1.1\r\nhost: admin\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn each_path_has_its_answer_and_no_other_path_has_one() {
        let (address, shown, _stop, _serving) = admin().await;
        let metrics = ask(address, "GET /metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200 "), "{metrics}");
        assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
        assert!(metrics.ends_with("wxgate_in_flight 0\n"), "{metrics}");
        assert!(ask(address, "GET /healthz").await.ends_with("\r\n\r\nok\n"));
        assert!(ask(address, "GET /readyz?verbose").await.ends_with("\r\n\r\nready\n"));
        for unknown in ["GET /", "GET /metrics/", "POST /notify/shop"] {
            assert!(ask(address, unknown).await.starts_with("HTTP/1.1 404 "), "{unknown}");
        }
        let refused = ask(address, "POST /metrics").await;
        assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET, HEAD"), "{refused}");
        assert!(ask(address, "HEAD /metrics").await.ends_with("\r\n\r\n"), "HEAD has no body");

        shown.is_unready.store(true, Ordering::SeqCst);
        let unready = ask(address, "GET /readyz").await;
        assert!(unready.starts_with("HTTP/1.1 503 ") && unready.ends_with("the store does not answer\n"), "{unready}");
        assert!(ask(address, "GET /healthz").await.starts_with("HTTP/1.1 200 "), "alive, though not ready");
    }

    fn asked_by(peer: &str, token: Option<&str>, shown: Option<&str>) -> Result<(), Denied> {
        let guard = Guard { token: token.map(|token| Secret::new(token.as_bytes().to_vec())) };
        let mut headers = HeaderMap::new();
        if let Some(shown) = shown {
            headers.insert(header::AUTHORIZATION, shown.parse().unwrap());
        }
        guard.lets_in(peer.parse().unwrap(), &headers)
    }

    #[test]
    fn off_loopback_the_token_is_asked_and_exactly_that_one_is_taken() {
        let far = "192.0.2.7";
        assert_eq!(asked_by(far, Some("s3cret"), Some("Bearer s3cret")), Ok(()));
        assert_eq!(asked_by(far, Some("s3cret"), Some("bearer  s3cret ")), Ok(()));
        for wrong in ["Bearer s3cre", "Bearer s3cret2", "Bearer ", "Bearer", "s3cret", "Basic s3cret", ""] {
            assert_eq!(asked_by(far, Some("s3cret"), Some(wrong)), Err(Denied::Token), "{wrong}");
        }
        assert_eq!(asked_by(far, Some("s3cret"), None), Err(Denied::Token));
        assert_eq!(asked_by("2001:db8::1", Some("s3cret"), None), Err(Denied::Token));
    }

    #[test]
    fn without_a_token_only_this_machine_is_shown_anything() {
        for near in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(asked_by(near, None, None), Ok(()), "{near}");
            assert_eq!(asked_by(near, Some("s3cret"), None), Ok(()), "{near}");
        }
        for nothing in [None, Some("")] {
            assert_eq!(asked_by("192.0.2.7", nothing, Some("Bearer ")), Err(Denied::Unset));
        }
    }

    #[test]
    fn probes_need_no_token_and_all_else_does() {
        let shown = Shown::default();
        for denied in [Denied::Token, Denied::Unset] {
            let status = |path| respond(&Method::GET, path, Err(denied), &shown).status();
            assert_eq!([status("/healthz"), status("/readyz")], [StatusCode::OK, StatusCode::OK]);
            for path in ["/metrics", "/v1/keys"] {
                let refused = respond(&Method::GET, path, Err(denied), &shown);
                assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
                assert_eq!(refused.headers()[header::WWW_AUTHENTICATE], "Bearer");
            }
        }
    }

    #[tokio::test]
    async fn connections_over_the_limit_wait_for_a_place() {
        let (address, _shown, _stop, _serving) = admin().await;
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
        let (address, _shown, stop, serving) = admin().await;
        let _silent = TcpStream::connect(address).await.unwrap();
        assert!(ask(address, "GET /healthz").await.starts_with("HTTP/1.1 200 "));
        stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(2), serving).await.expect("ends at once").unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
