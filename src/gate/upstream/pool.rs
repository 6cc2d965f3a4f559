//! Connections to upstreams, kept open. One pool a worker, so that a connection is driven by the thread that uses it;
//! hyper's own connection API, because the general client costs a third more CPU for a plain request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;

/// Idle connections kept for one upstream by one worker; more are closed after use.
const MAX_IDLE: usize = 256;
/// An idle connection older than this is not used again: shorter than what servers and balancers usually allow.
const IDLE_FOR: Duration = Duration::from_secs(30);
/// Longest time to connect; the attempt's own deadline may be shorter.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How much of an answer is read, in bytes; of a longer one only the status counts.
const MAX_ANSWER: usize = 64 * 1024;

/// Idle connections by authority (`host:port`).
#[derive(Default)]
pub struct Pool {
    idle: Mutex<HashMap<Arc<str>, Vec<Idle>>>,
}

struct Idle {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

/// What an upstream answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// None if it was longer than is read, or broke off.
    pub(super) body: Option<Bytes>,
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// Nothing was sent.
    #[error("connecting failed: {0}")]
    Connect(std::io::Error),
    /// It may have been sent.
    #[error("the connection broke: {0}")]
    Broken(hyper::Error),
}

impl Pool {
    /// Sends what `request` makes and gives the answer.
    ///
    /// A kept connection that turns out to be closed is no failure: the server may close it at any moment. What was not
    /// written goes to the next one; what may have been read is made again once, on a new connection. The upstream may
    /// then see it twice, both with one `webhook-id`; it has not acknowledged the first.
    pub(super) async fn send(
        &self,
        authority: &Arc<str>,
        request: impl Fn() -> Request<Full<Bytes>>,
    ) -> Result<Reply, SendError> {
        while let Some(mut sender) = self.take(authority) {
            match sender.try_send_request(request()).await {
                Ok(response) => return Ok(self.finish(authority, sender, response).await),
                Err(mut error) => {
                    let was_written = error.take_message().is_none();
                    if was_written {
                        break;
                    }
                }
            }
        }
        let mut sender = connect(authority).await?;
        let response = sender.send_request(request()).await.map_err(SendError::Broken)?;
        Ok(self.finish(authority, sender, response).await)
    }

    async fn finish(
        &self,
        authority: &Arc<str>,
        mut sender: SendRequest<Full<Bytes>>,
        response: http::Response<hyper::body::Incoming>,
    ) -> Reply {
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.ok().map(Collected::to_bytes);
        if body.is_some() && sender.ready().await.is_ok() {
            self.put(authority, sender);
        }
        Reply { status, body }
    }

    fn take(&self, authority: &str) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock();
        let kept = idle.get_mut(authority)?;
        while let Some(connection) = kept.pop() {
            if connection.since.elapsed() < IDLE_FOR && connection.sender.is_ready() {
                return Some(connection.sender);
            }
        }
        None
    }

    fn put(&self, authority: &Arc<str>, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock();
        let kept = match idle.get_mut(authority) {
            Some(kept) => kept,
            None => idle.entry(Arc::clone(authority)).or_default(),
        };
        if kept.len() < MAX_IDLE {
            kept.push(Idle { sender, since: Instant::now() });
        }
    }
}

async fn connect(authority: &str) -> Result<SendRequest<Full<Bytes>>, SendError> {
    let address = if has_port(authority) { authority.to_owned() } else { format!("{authority}:80") };
    let stream = match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(SendError::Connect)?,
        Err(_elapsed) => return Err(SendError::Connect(std::io::ErrorKind::TimedOut.into())),
    };
    stream.set_nodelay(true).map_err(SendError::Connect)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(SendError::Broken)?;
    // Ends with the connection; an error on it reaches whoever waits for an answer.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

fn has_port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn get() -> Request<Full<Bytes>> {
        Request::get("/").header("host", "upstream.test").body(Full::default()).unwrap()
    }

    /// Answers each connection's first `answers` requests, then closes it; says how many connections it saw.
    async fn server(answers: usize) -> (Arc<str>, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = Arc::from(listener.local_addr().unwrap().to_string());
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut head = [0; 1024];
                    for _ in 0..answers {
                        if stream.read(&mut head).await.unwrap_or(0) == 0 {
                            return;
                        }
                        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
                    }
                    // Takes one more request and breaks off without an answer.
                    drop(stream.read(&mut head).await);
                });
            }
        });
        (authority, seen)
    }

    #[tokio::test]
    async fn a_connection_is_used_again() {
        let (authority, connections) = server(10).await;
        let pool = Pool::default();
        for _ in 0..5 {
            assert_eq!(pool.send(&authority, get).await.unwrap().status, 204);
        }
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_kept_connection_that_breaks_is_no_failure() {
        let (authority, connections) = server(1).await;
        let pool = Pool::default();
        for _ in 0..3 {
            assert_eq!(pool.send(&authority, get).await.unwrap().status, 204);
        }
        assert_eq!(connections.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_new_connection_that_breaks_is_a_failure() {
        let (authority, _) = server(0).await;
        assert!(matches!(Pool::default().send(&authority, get).await, Err(SendError::Broken(_))));
    }

    #[tokio::test]
    async fn nobody_listening_is_a_connect_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority: Arc<str> = Arc::from(listener.local_addr().unwrap().to_string());
        drop(listener);
        assert!(matches!(Pool::default().send(&authority, get).await, Err(SendError::Connect(_))));
    }
}
