//! One connection: HTTP/1.1 or HTTP/2 by its first bytes, bounded in heads, streams and time.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use super::client_address::ClientAddress;
use crate::gate::pipeline::Worker;
use crate::wechat::Answer;

/// Largest head of an HTTP/1 request, in bytes. WeChat's are below 1 KiB.
const MAX_HEAD: usize = 32 * 1024;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// Streams open at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// What every HTTP/2 connection begins with (RFC 9113, 3.4), as far as is needed to tell it from any HTTP/1 method.
const PREFACE: &[u8] = b"PRI";

/// Serves the connections of one worker.
pub(super) struct Connections {
    worker: Arc<Worker>,
    client_address: ClientAddress,
    header_timeout: Duration,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Connections {
    pub(super) fn new(worker: Arc<Worker>, client_address: ClientAddress, header_timeout: Duration) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS);
        // Not `pipeline_flush`: it keeps an answer back while there are bytes to read, and where reading has ended (a broken
        // chunk, a head that is too large, `Connection: close` with something behind the body) the answer is never sent.
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
            .keep_alive_interval(header_timeout)
            .keep_alive_timeout(header_timeout);
        Self { worker, client_address, header_timeout, http1, http2 }
    }

    /// Serves a connection as a task of its own. The permit is given back when it ends.
    pub(super) fn serve(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        watcher: Watcher,
    ) {
        let connections = Arc::clone(self);
        tokio::spawn(async move {
            let counted = connections.worker.gate().observe().connection();
            if let Err(error) = connections.run(stream, peer.ip(), watcher).await {
                // A caller that breaks off, is too slow or speaks no HTTP: its business, at most of interest in debugging.
                tracing::debug!(%peer, %error, "connection ended");
            }
            drop((counted, permit));
        });
    }

    async fn run(&self, stream: TcpStream, peer: IpAddr, watcher: Watcher) -> Result<(), hyper::Error> {
        // Without it answers wait for the caller's acknowledgements; a socket that refuses is closed already.
        let _ = stream.set_nodelay(true);
        let Some(is_http2) = begins_http2(&stream, self.header_timeout).await else { return Ok(()) };
        let service = service_fn(|request: Request<Incoming>| {
            let worker = Arc::clone(&self.worker);
            let client = self.client_address.of(peer, request.headers());
            let is_http1 = request.version() < http::Version::HTTP_2;
            async move {
                let answer = worker.handle(client, request).await;
                Ok::<_, Infallible>(response(answer, is_http1 && worker.gate().is_draining()))
            }
        });
        let io = TokioIo::new(stream);
        if is_http2 {
            watcher.watch(self.http2.serve_connection(io, service)).await
        } else {
            watcher.watch(self.http1.serve_connection(io, service)).await
        }
    }
}

/// Looks at the first bytes without taking them; none if the caller closes or sends nothing in time.
async fn begins_http2(stream: &TcpStream, timeout: Duration) -> Option<bool> {
    let mut first = [0_u8; PREFACE.len()];
    let look = async {
        loop {
            let seen = stream.peek(&mut first).await.ok()?;
            let (Some(seen), Some(wanted)) = (first.get(..seen), PREFACE.get(..seen)) else { return None };
            if seen.is_empty() {
                return None;
            }
            if seen != wanted {
                return Some(false);
            }
            if seen.len() == PREFACE.len() {
                return Some(true);
            }
            // "P" or "PR" alone: peeking again would not wait for more.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(timeout, look).await.ok().flatten()
}

fn response(answer: Answer, close: bool) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(seconds) = answer.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
