//! The app behind the gateways: takes events and writes down which, or fails in one of the ways in which apps fail. What it
//! has not answered with 2xx it has not taken.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::seed::Seed;
use crate::site::SIGNING;

/// How the app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Takes what comes, but for one in fifty, to which it answers 500.
    Well,
    /// Takes what comes.
    Perfect,
    /// Takes what comes, after this time.
    Slow(Duration),
    /// Answers 503.
    Fails,
    /// Never answers.
    Hangs,
    /// Reads the request and closes the connection.
    BreaksOff,
}

/// One event that was answered with 2xx.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) at: Instant,
    pub(crate) event_id: String,
    pub(crate) webhook_id: String,
    pub(crate) endpoint: String,
    pub(crate) body: Bytes,
}

pub(crate) struct Shop {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

struct State {
    mood: Mood,
    seed: Seed,
    taken: Vec<Taken>,
    /// Requests whose signature did not hold. They were not taken.
    unsigned: usize,
    refused: usize,
}

impl Shop {
    pub(crate) async fn start(seed: Seed, mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { mood, seed, taken: Vec::new(), unsigned: 0, refused: 0 }));
        let serving = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, serving }
    }

    pub(crate) fn be(&self, mood: Mood) {
        self.state.lock().mood = mood;
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.state.lock().taken.clone()
    }

    pub(crate) fn unsigned(&self) -> usize {
        self.state.lock().unsigned
    }

    /// How often it answered that it failed.
    pub(crate) fn refused(&self) -> usize {
        self.state.lock().refused
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&state)));
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    stream.set_nodelay(true).unwrap();
    let service = service_fn(|request| take(request, Arc::clone(&state)));
    // A caller that breaks off is no business of the app's.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// The app breaks off: an error of the service closes the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("breaks off")]
struct BreaksOff;

async fn take(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Full<Bytes>>, BreaksOff> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Err(BreaksOff) };
    let body = body.to_bytes();
    let (mood, work) = {
        let mut state = state.lock();
        (state.mood, Duration::from_millis(1 + state.seed.next() % 4))
    };
    match mood {
        Mood::Hangs => return Ok(std::future::pending::<Result<_, Infallible>>().await.unwrap()),
        Mood::BreaksOff => return Err(BreaksOff),
        Mood::Slow(work) => tokio::time::sleep(work).await,
        Mood::Well | Mood::Perfect | Mood::Fails => tokio::time::sleep(work).await,
    }
    let mut state = state.lock();
    let status = state.answer(mood, &head.headers, body);
    if status.is_server_error() {
        state.refused += 1;
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    Ok(response)
}

impl State {
    fn answer(&mut self, mood: Mood, headers: &HeaderMap, body: Bytes) -> StatusCode {
        if !is_signed(headers, &body) {
            self.unsigned += 1;
            return StatusCode::UNAUTHORIZED;
        }
        if mood == Mood::Fails {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        if mood == Mood::Well && self.seed.chance(20) {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        let named = |name: &str| text(headers, name).to_owned();
        self.taken.push(Taken {
            at: Instant::now(),
            event_id: named("ce-id"),
            webhook_id: named("webhook-id"),
            endpoint: named("wxgate-endpoint"),
            body,
        });
        StatusCode::NO_CONTENT
    }
}

/// Whether one of the signatures is the HMAC of `id.timestamp.body` (Standard Webhooks).
fn is_signed(headers: &HeaderMap, body: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SIGNING);
    let (id, timestamp) = (text(headers, "webhook-id"), text(headers, "webhook-timestamp"));
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    text(headers, "webhook-signature").split(' ').filter_map(|signature| signature.strip_prefix("v1,")).any(
        |signature| {
            let mac = base64_simd::STANDARD.decode_to_vec(signature);
            mac.is_ok_and(|mac| hmac::verify(&key, &signed, &mac).is_ok())
        },
    )
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
