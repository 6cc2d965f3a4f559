//! Deliveries in the background: what is pending goes to the upstream, with the same code and under the same idempotency key
//! as a callback's own forward. One thread for all endpoints, with its own connections; deliveries wait for the network,
//! not for a processor.
//!
//! A row is tried at least once, however long it waited. After a failure it waits (`backoff`), and when its next try would
//! come after `queue.max_age`, it goes to `dead` instead. Rows of one subject go one after the other, in the order in which
//! they came: one that fails keeps the later ones back until it is delivered or dead.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::endpoint::Endpoint;
use super::upstream::{Pool, UpstreamError};
use super::{Gate, backoff};
use crate::observe::{Delivery, DeliveryEnd};
use crate::reason::Reason;
use crate::store::{Opened, StoreError};

/// How often it is looked for what has become due by itself, or by another node's doing.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long the queues are left alone after the store has failed.
const AFTER_TROUBLE: Duration = Duration::from_secs(2);

/// `[endpoint.NAME.queue]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a delivery is tried before it is given up.
    pub max_age: Duration,
    /// Deliveries under way at once.
    pub concurrency: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_age: Duration::from_hours(24), concurrency: 8 }
    }
}

/// The deliveries at work.
pub struct Deliveries {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Deliveries {
    /// Begins to deliver what is pending, for the routes that the gate has at any time.
    pub fn start(gate: Arc<Gate>) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name("wxgate-deliver".to_owned()).spawn(move || {
            super::upstream::warm_up();
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(Deliverer { gate, pool: Pool::default() }.run(stopped)),
                Err(error) => tracing::error!(%error, "no runtime for deliveries: nothing leaves the queues"),
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Begins no more deliveries, and returns when those under way have ended. Blocking: call it off the runtime.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the thread of deliveries panicked");
        }
    }
}

struct Deliverer {
    gate: Arc<Gate>,
    pool: Pool,
}

/// Deliveries under way, and how many of each endpoint.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<Arc<str>>,
    of_endpoint: HashMap<Arc<str>, usize>,
}

impl Deliverer {
    async fn run(self, mut stopped: watch::Receiver<bool>) {
        let deliverer = Arc::new(self);
        let mut under_way = UnderWay::default();
        loop {
            // Before it is looked: what arrives in between is not missed.
            let arrival = deliverer.gate.store.arrival();
            let look_again = match deliverer.begin(&mut under_way).await {
                Ok(()) => LOOK_AGAIN,
                Err(error) => {
                    tracing::warn!(%error, "the queues cannot be read; nothing is delivered from them");
                    AFTER_TROUBLE
                }
            };
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break, // an error means that the app is gone: then stop as well
                () = arrival => {}
                Some(ended) = under_way.tasks.join_next() => under_way.ended(ended),
                () = tokio::time::sleep(look_again) => {}
            }
            while let Some(ended) = under_way.tasks.try_join_next() {
                under_way.ended(ended);
            }
        }
        // Each is bounded by the upstream's deadline and the store's.
        while under_way.tasks.join_next().await.is_some() {}
    }

    /// Takes what is due, as far as each endpoint has room.
    async fn begin(self: &Arc<Self>, under_way: &mut UnderWay) -> Result<(), StoreError> {
        for endpoint in self.gate.routes().endpoints() {
            let busy = under_way.of_endpoint.get(endpoint.name()).copied().unwrap_or(0);
            let room = endpoint.queue().concurrency.saturating_sub(busy);
            if room == 0 {
                continue;
            }
            let rows = self.gate.store.take(endpoint.name(), endpoint.terms.lease, room).await?;
            for row in rows {
                under_way.begin(endpoint.name());
                let (deliverer, endpoint) = (Arc::clone(self), Arc::clone(endpoint));
                under_way.tasks.spawn(async move {
                    deliverer.deliver(&endpoint, row).await;
                    Arc::clone(endpoint.name())
                });
            }
        }
        Ok(())
    }

    async fn deliver(&self, endpoint: &Endpoint, row: Opened) {
        let began = Instant::now();
        let now = self.gate.clock.now();
        let result = endpoint.upstream.deliver(&self.pool, &row, now).await;
        let mut told = Delivery {
            row: row.id().to_string(),
            event: row.event().id.clone(),
            kind: row.event().kind.clone(),
            subject: row.event().subject.clone(),
            attempt: row.attempt(),
            upstream_status: result.as_ref().map_or_else(UpstreamError::status, |delivered| Some(delivered.status())),
            took: began.elapsed(),
            end: DeliveryEnd::Delivered,
            reason: Reason::Forwarded,
            detail: String::new(),
        };
        let settled = match result {
            Ok(_delivered) => row.finish().await,
            Err(error) => {
                told.reason = error.reason();
                told.detail = error.to_string();
                let (end, settled) = self.failed(endpoint, row, error.reason()).await;
                told.end = end;
                settled
            }
        };
        if let Err(error) = settled {
            // Its lease runs out, and it is delivered once more: better twice under one key than never.
            let (row, endpoint) = (&told.row, endpoint.name());
            tracing::error!(row, %endpoint, %error, "what came of a delivery could not be written down");
        }
        self.gate.observe.delivery(&endpoint.metrics, &told);
    }

    /// Later, or never again.
    async fn failed(&self, endpoint: &Endpoint, row: Opened, reason: Reason) -> (DeliveryEnd, Result<(), StoreError>) {
        let now = self.gate.clock.now();
        let next_at = now.plus(backoff::delay(row.tries().saturating_add(1), row.id().seed()));
        if next_at.since(row.entered_at()) <= endpoint.queue().max_age {
            return (DeliveryEnd::Postponed, row.postpone(next_at).await);
        }
        (DeliveryEnd::Dead, row.bury(reason).await.map(drop))
    }
}

impl UnderWay {
    fn begin(&mut self, endpoint: &Arc<str>) {
        let count = self.of_endpoint.entry(Arc::clone(endpoint)).or_default();
        *count = count.saturating_add(1);
    }

    fn ended(&mut self, ended: Result<Arc<str>, tokio::task::JoinError>) {
        match ended {
            Ok(endpoint) => {
                if let Some(count) = self.of_endpoint.get_mut(&endpoint) {
                    *count = count.saturating_sub(1);
                }
            }
            Err(error) => {
                // Whose it was is not known any more: counting afresh gives one place too many for a while, never one less.
                tracing::error!(%error, "a delivery panicked");
                self.of_endpoint.clear();
            }
        }
    }
}
