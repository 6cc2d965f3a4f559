//! One callback, from top to bottom. The order of the steps is the security argument (`docs/architecture.md`): cheap
//! checks stand before dear ones, and nothing that is not authentic touches the store or the upstream.
//!
//! ```text
//! 1 admit    route, source address, limits, place in flight        no bytes of the body read
//!            (WeChat's check of a URL, a GET, is answered here)
//! 2 screen   headers, timestamp window, serial                     no crypto
//!   (read)   the body, bounded in size and time
//! 3 verify   signature over the exact bytes
//! 4 open     decrypt, decode, check that it belongs here
//! 5 claim    nonce, event, counters: one round trip to the store
//! 6 decide   risk policy
//! 7 act      forward to the upstream, or keep for that; commit or release
//! 8 answer   in the protocol's own form, with one audit record
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Uri};
use hyper::body::Body;

use super::body;
use super::endpoint::Endpoint;
use super::judgement::Surroundings;
use super::reply::Reply;
use super::stop::{At as _, Stop};
use super::upstream::{Ack, Attempt, Pool, UpstreamError, verdict_as_json};
use super::{Gate, InFlight};
use crate::clock::UnixTime;
use crate::observe::{Record, Stage};
use crate::reason::Reason;
use crate::risk::Decided;
use crate::store::{Beside, Claimed};
use crate::wechat::{self, Answer, Received, Screened};

/// One worker thread's share of the gate: its own connections to upstreams.
pub struct Worker {
    gate: Arc<Gate>,
    pool: Pool,
}

/// A callback whose head passed and whose body is here: what is left does not need the sender's connection.
struct Arrived {
    endpoint: Arc<Endpoint>,
    screened: Screened,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    client: IpAddr,
    now: UnixTime,
    /// Given back when the callback has ended, wherever that is.
    _place: InFlight,
}

/// What came to an endpoint.
enum Arrival {
    /// Large, and handed on once.
    Callback(Box<Arrived>),
    UrlCheck(Answer),
}

impl Worker {
    /// A worker of this gate.
    pub fn new(gate: Arc<Gate>) -> Self {
        Self { gate, pool: Pool::default() }
    }

    /// The gate that this worker belongs to.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Takes one request and gives the answer to it. `client` is the caller's address as far as it can be believed.
    pub async fn handle<B>(self: &Arc<Self>, client: IpAddr, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut record = self.gate.observe.begin(client);
        let (head, body) = request.into_parts();
        record.request(&head.method, head.uri.path(), &head.headers);
        match self.arrive(client, head, body, &mut record).await {
            Err((endpoint, stop)) => self.answer(endpoint.as_deref(), record, &Err(stop), Reply::default()),
            Ok(Arrival::UrlCheck(answer)) => {
                self.gate.observe.finish(record, Reason::UrlCheck, answer.status);
                answer
            }
            Ok(Arrival::Callback(arrived)) => {
                // From here on the callback is finished whether or not the caller waits: a caller who hangs up in the
                // middle of a forward must not leave it unknown whether the upstream took the event (I1).
                let worker = Arc::clone(self);
                let endpoint = Arc::clone(&arrived.endpoint);
                let rest = tokio::spawn(async move {
                    let endpoint = Arc::clone(&arrived.endpoint);
                    let mut reply = Reply::default();
                    let end = worker.settle(*arrived, &mut record, &mut reply).await;
                    worker.answer(Some(&endpoint), record, &end, reply)
                });
                rest.await.unwrap_or_else(|_panicked| endpoint.protocol.answer(Reason::InternalError))
            }
        }
    }

    /// Steps 1 and 2, and the body.
    async fn arrive<B>(
        &self,
        client: IpAddr,
        head: Parts,
        body: B,
        record: &mut Record,
    ) -> Result<Arrival, (Option<Arc<Endpoint>>, Stop)>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let now = self.gate.clock.now();
        let endpoint = self.route(&head, record).map_err(|stop| (None, stop))?;
        let passed = async {
            let place = self.admit(&endpoint, client).at(record, Stage::Admit)?; // overloaded, banned, rate-limited
            if let Some(checked) = endpoint.protocol.echo(received(&head), now) {
                return Ok(Err(checked.at(record, Stage::Screen)?)); // missing-param, bad-signature, …
            }
            let screened = endpoint.protocol.screen(received(&head), now).inspect_err(|error| endpoint.refused(error));
            let screened = screened.at(record, Stage::Screen)?; // missing-header, …
            let bounds = &self.gate.bounds;
            let body = body::read(body, bounds.max_body, bounds.body_timeout).await.at(record, Stage::Read)?;
            Ok(Ok((place, screened, body)))
        };
        match passed.await {
            Ok(Ok((place, screened, body))) => {
                let Parts { method, uri, headers, .. } = head;
                let arrived = Arrived { endpoint, screened, method, uri, headers, body, client, now, _place: place };
                Ok(Arrival::Callback(Box::new(arrived)))
            }
            Ok(Err(answer)) => Ok(Arrival::UrlCheck(answer)),
            Err(stop) => {
                punish(&endpoint, client, &stop);
                Err((Some(endpoint), stop))
            }
        }
    }

    /// Steps 3 to 7.
    async fn settle(&self, arrived: Arrived, record: &mut Record, reply: &mut Reply) -> Result<Reason, Stop> {
        let Arrived { endpoint, screened, method, uri, headers, body, client, now, _place } = arrived;
        let verified = endpoint
            .protocol
            .verify(screened, body)
            .at(record, Stage::Verify)
            .inspect_err(|stop| punish(&endpoint, client, stop))?; // bad-signature
        let authentic = endpoint.protocol.open(verified).at(record, Stage::Open)?; // bad-ciphertext, mchid-mismatch, …
        record.authentic(&authentic, now);
        reply.note(&authentic);
        endpoint.limits().authentic(client).at(record, Stage::Open)?; // rate-limited

        let snoozes = self.gate.snoozes.current();
        let (method, path) = (method.as_str(), uri.path());
        let surroundings = Surroundings { endpoint: &endpoint, client, method, path, now, snoozes: &snoozes };
        let inquiry = surroundings.inquire(&authentic);
        let claimed = self.gate.store.claim(authentic, &headers, &endpoint.terms, inquiry.asks(), now).await;
        let claimed = claimed.at(record, Stage::Claim)?; // replayed, duplicate, in-flight, id-conflict
        record.attempt(claimed.attempt());
        let decided =
            surroundings.decide(&self.gate.store, claimed, inquiry, record).await.at(record, Stage::Decide)?;
        record.judged(decided.verdict());
        self.act(&endpoint, decided, Attempt { received: &headers, now }, record, reply).await
    }

    /// Step 7: what was cleared is forwarded, or kept for that; what was not is kept for a person.
    async fn act(
        &self,
        endpoint: &Endpoint,
        decided: Decided<Claimed>,
        attempt: Attempt<'_>,
        record: &mut Record,
        reply: &mut Reply,
    ) -> Result<Reason, Stop> {
        let headers = attempt.received;
        let cleared = match decided {
            Decided::Cleared(cleared) if endpoint.upstream.ack() == Ack::AfterStore => {
                let verdict = &verdict_as_json(cleared.verdict());
                let kept = cleared.into_subject().queue(Beside { verdict, headers }).await;
                return kept.map(|()| Reason::Queued).at(record, Stage::Settle);
            }
            Decided::Cleared(cleared) => cleared,
            Decided::Held { subject, verdict } => {
                let (terms, verdict) = (verdict.hold(), &verdict_as_json(&verdict));
                let kept = subject.hold(terms, Beside { verdict, headers }).await;
                return kept.map(|()| Reason::Held).at(record, Stage::Settle);
            }
            Decided::Rejected { subject, verdict } => {
                let (answer, verdict) = (verdict.answer(), &verdict_as_json(&verdict));
                let kept = subject.reject(answer, Beside { verdict, headers }).await;
                return kept.at(record, Stage::Settle);
            }
        };

        let end = endpoint.upstream.forward(&self.pool, &cleared, attempt).await;
        let end = end.and_then(|delivered| reply.hear(delivered, attempt.now));
        record.upstream(end.as_ref().map_or_else(UpstreamError::status, |delivered| Some(delivered.status())));
        record.close(Stage::Forward);

        // The end is written down before it is answered: a success that is forgotten would be delivered twice (I1).
        let claimed = cleared.into_subject();
        match end {
            Ok(_delivered) => claimed.commit().await.map(|()| Reason::Forwarded).at(record, Stage::Settle),
            Err(error) => {
                claimed.release().await.at(record, Stage::Settle)?;
                Err(error.into())
            }
        }
    }

    /// Step 1, first half: only paths of endpoints lead anywhere.
    fn route(&self, head: &Parts, record: &mut Record) -> Result<Arc<Endpoint>, Stop> {
        if self.gate.is_draining() {
            return Err(Stop::new(Reason::ShuttingDown, "the gateway is shutting down"));
        }
        let host = head.uri.host().or_else(|| head.headers.get(http::header::HOST).and_then(|h| h.to_str().ok()));
        let routes = self.gate.routes.load();
        let Some(endpoint) = routes.find(head.uri.path(), host) else {
            return Err(Stop::new(Reason::UnknownRoute, "no endpoint has this path and host"));
        };
        record.endpoint(&endpoint.metrics);
        Ok(Arc::clone(endpoint))
    }

    /// Step 1, second half: a place in flight, and the address's own limits.
    fn admit(&self, endpoint: &Endpoint, client: IpAddr) -> Result<InFlight, Stop> {
        if !endpoint.allows(client) {
            return Err(Stop::new(Reason::SourceNotAllowed, "not in allow_from"));
        }
        endpoint.limits().admit(client)?;
        let limit = self.gate.bounds.max_in_flight;
        self.gate.enter().ok_or_else(|| {
            Stop::new(Reason::Overloaded, format!("{limit} callbacks are in flight (server.max_in_flight)"))
        })
    }

    /// Step 8.
    fn answer(
        &self,
        endpoint: Option<&Endpoint>,
        mut record: Record,
        end: &Result<Reason, Stop>,
        reply: Reply,
    ) -> Answer {
        let reason = match end {
            Ok(reason) => *reason,
            Err(stop) => {
                record.detail(&stop.detail);
                stop.reason
            }
        };
        let mut answer = endpoint.map_or_else(|| wechat::answer::pay_v3(reason), |e| reply.answer(&e.protocol, reason));
        answer.retry_after = end.as_ref().err().and_then(|stop| stop.retry_after).or(answer.retry_after);
        self.gate.observe.finish(record, reason, answer.status);
        answer
    }
}

fn received(head: &Parts) -> Received<'_> {
    Received {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
    }
}

/// What speaks of a forger is charged to the failure budget of the address.
fn punish(endpoint: &Endpoint, client: IpAddr, stop: &Stop) {
    if stop.reason.spends_failure_budget() {
        endpoint.limits().failed(client);
    }
}
