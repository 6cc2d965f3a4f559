//! The one way out: forwards cleared events to the merchant app, and nothing else.
//!
//! What it takes is a [`Cleared<Claimed>`]: an event that was verified, is ours alone, and that the policy let through. Or an
//! [`Opened`]: such an event that waited in a queue, under a seal that only the gateway can make.
//! There is no function here that takes bytes from a stranger.
//!
//! ```compile_fail,E0308
//! # async fn leak(upstream: wxgate::gate::upstream::Upstream, pool: wxgate::gate::upstream::Pool,
//! #               claimed: wxgate::store::Claimed) {
//! upstream.forward(&pool, &claimed, todo!()).await; // claimed, but no policy has judged it
//! # }
//! ```

mod headers;
mod outgoing;
mod pool;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;

use crate::clock::UnixTime;
use crate::reason::Reason;
use crate::risk::Cleared;
use crate::secret::Secret;
use crate::store::{Claimed, Opened};
use headers::Signer;
use outgoing::Outgoing;
use pool::{Reply, SendError};

pub(super) use outgoing::verdict_as_json;
pub use pool::Pool;

/// How long a target that could not be reached is passed over while another one is up.
const DOWN_FOR: Duration = Duration::from_secs(5);

/// `[endpoint.NAME.upstream]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to POST; `http://` only. Several are balanced.
    pub urls: Vec<Uri>,
    /// What to send.
    pub format: Format,
    /// Longest time from the first byte out to the last byte in, connecting included.
    pub timeout: Duration,
    /// When WeChat is answered.
    pub ack: Ack,
    /// Standard Webhooks secrets, decoded (without `whsec_`), newest first; each signs.
    pub signing: Vec<Secret>,
}

/// `upstream.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The decrypted event with CloudEvents headers.
    Event,
    /// WeChat's request as it was, with the same headers added.
    Original,
}

/// `upstream.ack`: what has to be done before WeChat is told that its event was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// The app has answered.
    AfterUpstream,
    /// The event is stored; it is delivered in the background.
    AfterStore,
}

/// Proof that the upstream took an event: it answered 2xx. Only [`Upstream::forward`] makes one.
///
/// ```compile_fail,E0451
/// let forged = wxgate::gate::upstream::Delivered { status: 200, reply: None }; // private fields
/// ```
#[derive(Debug)]
#[must_use = "a delivered event is to be committed"]
pub struct Delivered {
    status: u16,
    reply: Option<Bytes>,
}

/// Why an event was not delivered. WeChat's schedule is the retry.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It answered, but not 2xx.
    #[error("the upstream answered {status}, which is not 2xx")]
    Refused {
        /// What it answered.
        status: u16,
    },
    /// It answered 2xx and asks for the event again, in the words of message push.
    #[error("the upstream answered 2xx with an ErrCode that is not 0: it wants the push again")]
    WantsRetry,
    /// It could not be reached, or broke off.
    #[error("the upstream {target} cannot be reached: {cause}")]
    Unreachable {
        /// Host and port.
        target: Arc<str>,
        /// What the socket said.
        cause: String,
    },
    /// No answer in time.
    #[error("the upstream did not answer within {limit:?} (upstream.timeout)")]
    Timeout {
        /// The limit.
        limit: Duration,
    },
}

impl UpstreamError {
    /// The stable reason.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Refused { .. } | Self::WantsRetry => Reason::UpstreamRefused,
            Self::Unreachable { .. } => Reason::UpstreamUnreachable,
            Self::Timeout { .. } => Reason::UpstreamTimeout,
        }
    }

    /// The status that the upstream answered, if it did.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status } => Some(*status),
            Self::WantsRetry => Some(200),
            Self::Unreachable { .. } | Self::Timeout { .. } => None,
        }
    }
}

impl Delivered {
    /// The upstream's 2xx status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// What it answered, for protocols that carry an answer back; none if it was too long, or broke off.
    pub fn reply(&self) -> Option<&Bytes> {
        self.reply.as_ref()
    }
}

/// The merchant app of one endpoint.
pub struct Upstream {
    endpoint: Arc<str>,
    targets: Vec<Target>,
    next: AtomicUsize,
    format: Format,
    timeout: Duration,
    ack: Ack,
    signer: Signer,
}

struct Target {
    /// Host and port to connect to; also the `Host` header.
    authority: Arc<str>,
    path: Uri,
    /// Until when this target is passed over, in milliseconds since the epoch; 0: it is up.
    down_until: AtomicI64,
}

/// What goes out with an event beside the event itself.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The head of WeChat's request, for `format = "original"`.
    pub received: &'a HeaderMap,
    /// When this attempt is made; signed into `webhook-signature`.
    pub now: UnixTime,
}

/// Does on the calling thread what the first forward would otherwise wait for.
pub fn warm_up() {
    headers::warm_up();
}

impl Upstream {
    /// The upstream of the endpoint of this name.
    pub fn new(endpoint: &Arc<str>, settings: &Settings) -> Self {
        let targets = settings.urls.iter().map(Target::new).collect();
        Self {
            endpoint: Arc::clone(endpoint),
            targets,
            next: AtomicUsize::new(0),
            format: settings.format,
            timeout: settings.timeout,
            ack: settings.ack,
            signer: Signer::new(&settings.signing),
        }
    }

    /// Longest time that [`Upstream::forward`] takes.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether one of its targets could be connected to at the last try, or none was tried yet.
    pub fn is_up(&self) -> bool {
        self.targets.iter().any(|target| target.down_until.load(Ordering::Relaxed) == 0)
    }

    /// When WeChat is answered.
    pub fn ack(&self) -> Ack {
        self.ack
    }

    /// Step 7: one attempt. A target that cannot be connected to costs a try of the next one, not the attempt.
    pub async fn forward(
        &self,
        pool: &Pool,
        event: &Cleared<Claimed>,
        attempt: Attempt<'_>,
    ) -> Result<Delivered, UpstreamError> {
        self.send(pool, &Outgoing::cleared(event, attempt.received), attempt.now).await
    }

    /// One attempt at what waited in a queue.
    pub async fn deliver(&self, pool: &Pool, row: &Opened, now: UnixTime) -> Result<Delivered, UpstreamError> {
        self.send(pool, &Outgoing::opened(row), now).await
    }

    async fn send(&self, pool: &Pool, outgoing: &Outgoing<'_>, now: UnixTime) -> Result<Delivered, UpstreamError> {
        match tokio::time::timeout(self.timeout, self.try_targets(pool, outgoing, now)).await {
            Ok(Ok(Reply { status, body })) if (200..300).contains(&status) => Ok(Delivered { status, reply: body }),
            Ok(Ok(Reply { status, .. })) => Err(UpstreamError::Refused { status }),
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => Err(UpstreamError::Timeout { limit: self.timeout }),
        }
    }

    async fn try_targets(&self, pool: &Pool, outgoing: &Outgoing<'_>, now: UnixTime) -> Result<Reply, UpstreamError> {
        let body = match self.format {
            Format::Event => &outgoing.event.body,
            Format::Original => outgoing.received_body,
        };
        let headers = self.headers(outgoing, body, now);
        let mut last = None;
        for target in self.in_turn(now) {
            let request = || target.request(&headers, body);
            match pool.send(&target.authority, request).await {
                Ok(reply) => {
                    target.down_until.store(0, Ordering::Relaxed);
                    return Ok(reply);
                }
                Err(SendError::Connect(cause)) => {
                    target.down_until.store(now.plus(DOWN_FOR).millis(), Ordering::Relaxed);
                    last = Some(target.unreachable(cause.to_string()));
                }
                Err(SendError::Broken(cause)) => return Err(target.unreachable(cause.to_string())),
            }
        }
        Err(last.unwrap_or_else(|| UpstreamError::Unreachable {
            target: Arc::clone(&self.endpoint),
            cause: "no upstream url is configured".to_owned(),
        }))
    }

    /// The targets from the next one on, those that are up first.
    fn in_turn(&self, now: UnixTime) -> impl Iterator<Item = &Target> {
        let start = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(self.targets.len()).unwrap_or(0);
        let (before, from) = self.targets.split_at_checked(start).unwrap_or((&[], &self.targets));
        let is_up = move |target: &&Target| target.down_until.load(Ordering::Relaxed) <= now.millis();
        let turn = from.iter().chain(before);
        turn.clone().filter(move |t| is_up(t)).chain(turn.filter(move |t| !is_up(t)))
    }

    fn headers(&self, outgoing: &Outgoing<'_>, body: &Bytes, now: UnixTime) -> HeaderMap {
        let mut headers = match self.format {
            Format::Event => HeaderMap::with_capacity(24),
            Format::Original => headers::passed_on(outgoing.received_headers),
        };
        headers::describe(&mut headers, &self.endpoint, outgoing);
        self.signer.sign(&mut headers, &outgoing.idempotency_key, now, body);
        headers
    }
}

impl Target {
    fn new(url: &Uri) -> Self {
        let authority = url.authority().map_or("", http::uri::Authority::as_str);
        let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Self { authority: Arc::from(authority), path: path.parse().unwrap_or_default(), down_until: AtomicI64::new(0) }
    }

    fn request(&self, headers: &HeaderMap, body: &Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = headers.clone();
        if let Ok(host) = http::HeaderValue::from_str(&self.authority) {
            request.headers_mut().insert(http::header::HOST, host);
        }
        request
    }

    fn unreachable(&self, cause: String) -> UpstreamError {
        UpstreamError::Unreachable { target: Arc::clone(&self.authority), cause }
    }
}
