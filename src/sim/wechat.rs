//! The simulated WeChat at work: its API on a socket, users who scan and pay, and the delivery of notifications with
//! WeChat's own schedule of retries.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::api::{ApiAnswer, ApiError, ApiRequest, Orders};
use super::client::{self, Target};
use super::keys::{Keys, SignedBy};
use super::notify::{Event, unix_now};
use super::{sample, schedule};

/// Largest request to the API, in bytes.
const MAX_REQUEST: usize = 64 * 1024;
/// Deliveries under way at once; more wait for their turn.
const MAX_AT_ONCE: usize = 64;

/// How the simulator runs.
#[derive(Clone)]
pub struct Settings {
    /// Address of the API.
    pub listen: String,
    /// Keys of both sides.
    pub keys: Keys,
    /// Where notifications go whose order names no URL of its own.
    pub notify_url: String,
    /// How much faster than in life the clock of retries runs.
    pub time_scale: f64,
}

/// One notification and what became of it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The notification's id.
    pub event_id: String,
    /// What each attempt was answered; 0: nothing.
    pub attempts: Vec<u16>,
    /// Answered 200 or 204.
    pub done: bool,
    /// Done, or out of retries.
    pub ended: bool,
}

/// The simulator at work. Dropping it stops it.
pub struct Wechat {
    address: SocketAddr,
    inner: Arc<Inner>,
    serving: tokio::task::JoinHandle<()>,
}

struct Inner {
    settings: Settings,
    state: Mutex<State>,
    turns: tokio::sync::Semaphore,
}

struct State {
    orders: Orders,
    by: SignedBy,
    deliveries: Vec<Delivery>,
    tasks: JoinSet<()>,
}

impl Settings {
    /// On loopback with the bundled keys, in real time.
    pub fn local(notify_url: &str) -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            keys: Keys::bundled(),
            notify_url: notify_url.to_owned(),
            time_scale: 1.0,
        }
    }
}

impl Wechat {
    /// Binds the API's address and begins to serve.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(&settings.listen).await?;
        let address = listener.local_addr()?;
        let state = State {
            orders: Orders::default(),
            by: SignedBy::Certificate,
            deliveries: Vec::new(),
            tasks: JoinSet::new(),
        };
        let turns = tokio::sync::Semaphore::new(MAX_AT_ONCE);
        let inner = Arc::new(Inner { settings, state: Mutex::new(state), turns });
        let serving = tokio::spawn(accept(listener, Arc::clone(&inner)));
        Ok(Self { address, inner, serving })
    }

    /// Address of the API.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// From now on signs with this kind of key.
    pub fn sign_with(&self, by: SignedBy) {
        self.inner.lock().by = by;
    }

    /// A user scans the code and pays; WeChat begins to tell the merchant.
    pub async fn pay(&self, code_url: &str) -> Result<(), ApiError> {
        self.inner.pay(code_url)
    }

    /// Begins to deliver an event that the caller made.
    pub fn notify(&self, event: Event) {
        let url = self.inner.settings.notify_url.clone();
        self.inner.notify(event, &url);
    }

    /// Every notification so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.inner.lock().deliveries.clone()
    }

    /// Waits until every notification has ended, at most so long. Whether it has.
    pub async fn wait_idle(&self, at_most: Duration) -> bool {
        let idle = async {
            while self.inner.lock().deliveries.iter().any(|delivery| !delivery.ended) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(at_most, idle).await.is_ok()
    }

    /// Stops serving and delivering.
    pub fn stop(&self) {
        self.serving.abort();
        self.inner.lock().tasks.abort_all();
    }
}

impl Drop for Wechat {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pay(self: &Arc<Self>, code_url: &str) -> Result<(), ApiError> {
        let placed = self.lock().orders.pay(code_url, unix_now())?;
        if let Some(sample) = sample::find("payment-native") {
            self.notify(sample.event(&placed.order), &placed.notify_url);
        }
        Ok(())
    }

    fn notify(self: &Arc<Self>, event: Event, url: &str) {
        let url = if url.is_empty() { self.settings.notify_url.clone() } else { url.to_owned() };
        let mut state = self.lock();
        let (index, by) = (state.deliveries.len(), state.by);
        let event_id = event.id.clone();
        state.deliveries.push(Delivery { event_id, attempts: Vec::new(), done: false, ended: false });
        let inner = Arc::clone(self);
        state.tasks.spawn(async move { inner.deliver(index, &event, &url, by).await });
    }

    /// Tries until it is taken or WeChat gives up. Each attempt is signed afresh.
    async fn deliver(&self, index: usize, event: &Event, url: &str, by: SignedBy) {
        let target = url.parse::<Target>().ok();
        for retry in 0.. {
            let status = match &target {
                Some(target) => self.attempt(event, target, by).await,
                None => 0,
            };
            let done = matches!(status, 200 | 204);
            let gap = schedule::gap(retry, self.settings.time_scale);
            if let Some(delivery) = self.lock().deliveries.get_mut(index) {
                delivery.attempts.push(status);
                delivery.done = done;
                delivery.ended = done || gap.is_none();
            }
            match gap {
                Some(gap) if !done => tokio::time::sleep(gap).await,
                Some(_) | None => break,
            }
        }
    }

    /// What an attempt was answered; 0 if nothing within WeChat's patience.
    async fn attempt(&self, event: &Event, target: &Target, by: SignedBy) -> u16 {
        let Ok(_turn) = self.turns.acquire().await else { return 0 };
        let callback = event.callback(&self.settings.keys, by, &target.path, unix_now());
        let callback = callback.with_header("Connection", "close");
        let request = callback.to_http(&target.authority);
        client::exchange(&target.authority, &request, schedule::PATIENCE).await.map_or(0, |answer| answer.status)
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, MAX_REQUEST).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        if head.method == http::Method::POST && target == "/sim/pay" {
            return Ok(self.scan(&body));
        }
        let authorization = head.headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let request = ApiRequest {
            method: head.method.as_str(),
            target,
            authorization: authorization.unwrap_or_default(),
            body: &body,
        };
        let mut state = self.lock();
        let by = state.by;
        Ok(response(state.orders.handle(&self.settings.keys, by, request, unix_now())))
    }

    /// `POST /sim/pay {"code_url": …}`: what a user does with a telephone.
    fn scan(self: &Arc<Self>, body: &[u8]) -> Response<Full<Bytes>> {
        let asked: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let (status, body) = match self.pay(asked["code_url"].as_str().unwrap_or_default()) {
            Ok(()) => (200, serde_json::json!({ "paid": true })),
            Err(error) => (400, serde_json::json!({ "message": error.to_string() })),
        };
        response(ApiAnswer { status, headers: Vec::new(), body: body.to_string().into_bytes() })
    }
}

fn response(answer: ApiAnswer) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(answer.status).header("Content-Type", "application/json");
    for (name, value) in answer.headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(answer.body.into())).unwrap_or_default()
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&inner)));
        }
    }
}

async fn serve(stream: TcpStream, inner: Arc<Inner>) {
    let service = service_fn(|request: Request<Incoming>| Arc::clone(&inner).answer(request));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
    // A caller that breaks off is its own business.
    drop(http.serve_connection(TokioIo::new(stream), service).await);
}

#[cfg(test)]
mod tests {
    use super::super::merchant::Client;
    use super::super::shop::{Behaviour, Shop};
    use super::*;

    #[tokio::test]
    async fn an_order_is_made_over_the_wire_and_told_with_retries() {
        // The sample shop refuses what has no gateway's signature: a notify URL that always says no.
        let shop = Shop::start("127.0.0.1:0", b"secret", Behaviour::Healthy).await.unwrap();
        let mut settings = Settings::local(&format!("http://{}/notify", shop.address()));
        settings.time_scale = 100_000.0;
        let wechat = Wechat::start(settings.clone()).await.unwrap();
        let client = Client::new(wechat.addr(), settings.keys.merchant.clone());
        let code = client.native_order("ORDER001", "tea", 1).await;
        assert!(code.is_err(), "an order without notify_url");
        let client = client.with_notify_url(&settings.notify_url);
        let code = client.native_order("ORDER001", "tea", 1).await.unwrap();
        wechat.pay(&code).await.unwrap();
        assert!(wechat.wait_idle(Duration::from_secs(10)).await);
        let delivery = wechat.deliveries().remove(0);
        assert_eq!(delivery.attempts, [401; 16], "one attempt and fifteen retries");
        assert!(!delivery.done);
        assert_eq!(client.query("ORDER001").await.unwrap()["trade_state"], "SUCCESS");
    }
}
