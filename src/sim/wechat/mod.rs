//! The server: takes orders, lets a user pay them, and tells the merchant until it says that it knows.

mod delivery;
mod orders;
mod service;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::api::ApiError;
use super::keys::{Keys, Listed, SignedBy};
use super::notify::{Event, unix_now};
use super::sample;
use orders::Orders;

pub use delivery::{Attempt, Delivery, RETRY_GAPS, gap};

/// Most tries under way at once.
const MAX_ATTEMPTS: usize = 128;

/// How the simulated WeChat is run.
#[derive(Clone)]
pub struct Settings {
    /// Where it listens.
    pub listen: String,
    /// Its keys and its merchant's.
    pub keys: Keys,
    /// Where it notifies orders that name no `notify_url`.
    pub notify_url: Option<String>,
    /// How much faster than in life the gaps between tries pass.
    pub time_scale: f64,
    /// Longest time for the answer to a notification; not scaled. In life 5 s.
    pub answer_within: Duration,
}

impl Settings {
    /// On a free port of this machine, with the bundled keys, notifying `notify_url`.
    pub fn local(notify_url: &str) -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            keys: Keys::bundled(),
            notify_url: Some(notify_url.to_owned()),
            time_scale: 1.0,
            answer_within: Duration::from_secs(5),
        }
    }
}

/// A WeChat at work. Dropping it stops it, with all that is not yet told.
pub struct Wechat {
    address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

struct State {
    settings: Settings,
    /// The keys of now.
    keys: Mutex<Arc<Keys>>,
    signed_by: Mutex<SignedBy>,
    /// What `/v3/certificates` lists.
    listed: Mutex<Vec<Listed>>,
    /// Requests to it.
    downloads: AtomicUsize,
    orders: Mutex<Orders>,
    deliveries: Mutex<Vec<Delivery>>,
    /// How many deliveries are under way.
    pending: watch::Sender<usize>,
    tasks: Mutex<JoinSet<()>>,
    places: Semaphore,
}

impl Wechat {
    /// Listens and serves.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(&settings.listen).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            keys: Mutex::new(Arc::new(settings.keys.clone())),
            listed: Mutex::new(vec![settings.keys.platform.listed()]),
            downloads: AtomicUsize::new(0),
            settings,
            signed_by: Mutex::new(SignedBy::Certificate),
            orders: Mutex::default(),
            deliveries: Mutex::default(),
            pending: watch::Sender::new(0),
            tasks: Mutex::default(),
            places: Semaphore::new(MAX_ATTEMPTS),
        });
        let serving = tokio::spawn(service::accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, serving })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// From now on new notifications are signed with this key; tries of older ones keep theirs.
    pub fn sign_with(&self, by: SignedBy) {
        *lock(&self.state.signed_by) = by;
    }

    /// From now on notifications, their further tries, and answers of the API are made with these keys. What the API lists
    /// stays: in life a new certificate is listed before it signs.
    pub fn change_keys(&self, keys: Keys) {
        *lock(&self.state.keys) = Arc::new(keys);
    }

    /// What the API lists as platform certificates. Nothing: the merchant has public keys alone, and is told that there are
    /// none.
    pub fn list_certificates(&self, certificates: Vec<Listed>) {
        *lock(&self.state.listed) = certificates;
    }

    /// How often the certificates were asked for, whether or not the request was authorized.
    pub fn downloads(&self) -> usize {
        self.state.downloads.load(Ordering::SeqCst)
    }

    /// A user scans `code_url` and pays. The result is WeChat's `transaction_id`; the notification is on its way. Must be
    /// called on a runtime.
    pub fn pay(&self, code_url: &str) -> Result<String, ApiError> {
        self.state.pay(code_url)
    }

    /// Tells `url` of an event, with all tries. Must be called on a runtime.
    pub fn notify(&self, event: Event, url: &str) {
        self.state.notify(event, url.to_owned());
    }

    /// Waits until every notification is delivered or given up, at most this long; whether that is so.
    pub async fn wait_idle(&self, limit: Duration) -> bool {
        let mut pending = self.state.pending.subscribe();
        tokio::time::timeout(limit, pending.wait_for(|pending| *pending == 0)).await.is_ok_and(|idle| idle.is_ok())
    }

    /// Every notification so far, in the order in which they began.
    pub fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.state.deliveries).clone()
    }

    /// Ends it, with all that is not yet told.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Wechat {
    fn drop(&mut self) {
        self.serving.abort();
        lock(&self.state.tasks).abort_all();
    }
}

impl State {
    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&lock(&self.keys))
    }

    fn pay(self: &Arc<Self>, code_url: &str) -> Result<String, ApiError> {
        let paid = lock(&self.orders).pay(code_url, unix_now())?;
        let sample = sample::find("payment-native").expect("a sample of this name is in the list");
        let transaction_id = paid.order.transaction_id.clone();
        self.notify(sample.event(&paid.order), paid.notify_url);
        Ok(transaction_id)
    }

    fn notify(self: &Arc<Self>, event: Event, url: String) {
        let by = *lock(&self.signed_by);
        let number = {
            let mut deliveries = lock(&self.deliveries);
            deliveries.push(Delivery::new(&event, &url));
            deliveries.len().saturating_sub(1)
        };
        self.pending.send_modify(|pending| *pending = pending.saturating_add(1));
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(delivery::deliver(Arc::clone(self), number, event, by, url));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
