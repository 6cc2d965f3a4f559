//! A sample merchant app behind a gateway: takes events, checks who sent them, remembers what it got, and can be told to
//! fail. What it does with a request is what any app should do, and is all that an app has to do.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Largest event that the app takes, in bytes.
const MAX_EVENT: usize = 4 * 1024 * 1024;
/// How far `webhook-timestamp` may be off, in seconds (Standard Webhooks: five minutes).
const TOLERANCE: u64 = 300;

/// How the app behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Takes everything.
    #[default]
    Healthy,
    /// Answers 500 to the first attempt at every n-th new event, and takes the next one.
    Flaky(usize),
    /// Answers 503 to everything.
    Down,
    /// Takes everything, but only after this time.
    Slow(Duration),
    /// Takes everything, with 200 and these words: what message push carries back.
    Says(&'static str),
}

/// One request that the app got.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `webhook-id`: the idempotency key.
    pub webhook_id: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The event.
    pub body: Bytes,
    /// Whether the signature of the gateway held.
    pub signed: bool,
    /// What the app answered.
    pub status: u16,
}

/// The app at work. Dropping it stops it.
pub struct Shop {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

struct State {
    key: hmac::Key,
    behaviour: Behaviour,
    deliveries: Vec<Delivery>,
    attempts: HashMap<String, usize>,
}

impl Shop {
    /// Listens on `address`; `secret` is the gateway's signing secret, decoded.
    pub async fn start(address: &str, secret: &[u8], behaviour: Behaviour) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            behaviour,
            deliveries: Vec::new(),
            attempts: HashMap::new(),
        }));
        let serving = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on behaves like this.
    pub fn behave(&self, behaviour: Behaviour) {
        lock(&self.state).behaviour = behaviour;
    }

    /// Every request so far, in the order of arrival.
    pub fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.state).deliveries.clone()
    }

    /// Every request since this was asked the last time; they are forgotten.
    pub fn take_deliveries(&self) -> Vec<Delivery> {
        std::mem::take(&mut lock(&self.state).deliveries)
    }

    /// The deliveries that were answered 2xx.
    pub fn accepted(&self) -> Vec<Delivery> {
        self.deliveries().into_iter().filter(|delivery| (200..300).contains(&delivery.status)).collect()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&state)));
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let service = service_fn(|request: Request<Incoming>| take(request, Arc::clone(&state)));
    // A caller that breaks off is no business of the app's.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn take(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_EVENT).collect().await else {
        return Ok(answer(StatusCode::PAYLOAD_TOO_LARGE, ""));
    };
    let body = body.to_bytes();
    let behaviour = lock(&state).behaviour;
    if let Behaviour::Slow(delay) = behaviour {
        tokio::time::sleep(delay).await;
    }
    let mut state = lock(&state);
    let webhook_id = text(&head.headers, "webhook-id").to_owned();
    let signed = is_signed(&state.key, &head.headers, &body);
    let status = state.decide(behaviour, &webhook_id, signed);
    state.deliveries.push(Delivery { webhook_id, headers: head.headers, body, signed, status: status.as_u16() });
    let words = if let Behaviour::Says(words) = behaviour { words } else { "" };
    Ok(answer(status, words))
}

impl State {
    fn decide(&mut self, behaviour: Behaviour, webhook_id: &str, signed: bool) -> StatusCode {
        if !signed {
            return StatusCode::UNAUTHORIZED;
        }
        let known = self.attempts.len();
        let attempts = self.attempts.entry(webhook_id.to_owned()).or_insert(0);
        *attempts = attempts.saturating_add(1);
        let is_nth = |n: usize| *attempts == 1 && known.checked_rem(n) == Some(0);
        match behaviour {
            Behaviour::Down => StatusCode::SERVICE_UNAVAILABLE,
            Behaviour::Flaky(n) if is_nth(n) => StatusCode::INTERNAL_SERVER_ERROR,
            Behaviour::Healthy | Behaviour::Flaky(_) | Behaviour::Slow(_) => StatusCode::NO_CONTENT,
            Behaviour::Says(_) => StatusCode::OK,
        }
    }
}

fn answer(status: StatusCode, words: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(words));
    *response.status_mut() = status;
    response
}

/// The check that an app makes: one of the signatures is the HMAC of `id.timestamp.body`, and it is fresh.
fn is_signed(key: &hmac::Key, headers: &HeaderMap, body: &[u8]) -> bool {
    let (id, timestamp) = (text(headers, "webhook-id"), text(headers, "webhook-timestamp"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let is_fresh = timestamp.parse::<u64>().is_ok_and(|at| at.abs_diff(now) <= TOLERANCE);
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    is_fresh
        && text(headers, "webhook-signature").split(' ').filter_map(|signature| signature.strip_prefix("v1,")).any(
            |signature| {
                let decoded = base64_simd::STANDARD.decode_to_vec(signature);
                decoded.is_ok_and(|mac| hmac::verify(key, &signed, &mac).is_ok())
            },
        )
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
