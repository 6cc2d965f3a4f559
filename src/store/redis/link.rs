//! The way to Redis: connections that requests share, a deadline for each, a bound on how many are on their way, and a
//! breaker, so that a store that is out costs one request its deadline and not every one.
//!
//! **Lanes.** A worker thread has a runtime of its own, and a connection belongs to the runtime that reads from it. So each
//! thread has its own lane with its own connection, and no request waits for another thread to wake up.
//!
//! **States of a lane.** `Up`: requests are sent. `Dialing`: there is no connection yet, or it has just broken; requests wait for the
//! next one, within their deadlines. `Down`: connecting failed, or a request was not answered in time; requests fail at
//! once. In both of the latter a task of the link's own tries to connect, at once and then ever more slowly up to
//! [`SLOWEST`], and a connection counts only when a write was answered on it: a server that loads its data, or that follows
//! another one, is not up. So nobody has to restart a gateway, and no callback pays for the look.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Cmd, Value};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::dial::{Connection, Dialer};
use super::fault::Fault;
use super::script::Script;
use super::settings::RedisSettings;
use crate::store::{OpenError, StoreError};

/// Most requests on their way at a time; what is more is refused, not queued. Far more than one server answers within the
/// usual deadline.
const MOST_IN_FLIGHT: usize = 8192;

/// How long one try to connect may take, handshakes and a first write included.
const DIAL_WITHIN: Duration = Duration::from_secs(2);

const FASTEST: Duration = Duration::from_millis(25);
/// The longest pause between two tries to connect.
const SLOWEST: Duration = Duration::from_secs(1);

/// The way to Redis. Clones share it.
#[derive(Clone)]
pub(in crate::store) struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    dialer: Dialer,
    prefix: String,
    timeout: Duration,
    permits: Semaphore,
    lanes: Box<[Lane]>,
    failures: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

struct Lane {
    state: watch::Sender<State>,
    is_dialing: AtomicBool,
    /// A tag whose keys were not served: what a new connection is tried by.
    tried_by: Mutex<Vec<u8>>,
}

#[derive(Clone)]
enum State {
    Dialing,
    Up(Connection, u64),
    Down(Arc<str>),
    Closed,
}

impl Link {
    /// Begins to connect if there is a runtime to do it on; else the first request does.
    pub(in crate::store) fn open(settings: &RedisSettings) -> Result<Self, OpenError> {
        let dialer = Dialer::new(settings.clone()).map_err(|cause| OpenError::Redis { cause: cause.to_string() })?;
        let lane = || Lane {
            state: watch::Sender::new(State::Dialing),
            is_dialing: AtomicBool::new(false),
            tried_by: Mutex::new(format!("{{{}}}", settings.prefix).into_bytes()),
        };
        // Workers, and those beside them: deliveries, the admin listener.
        let threads = std::thread::available_parallelism().map_or(1, usize::from).saturating_mul(2).saturating_add(2);
        let shared = Shared {
            dialer,
            prefix: settings.prefix.clone(),
            timeout: settings.timeout,
            permits: Semaphore::new(MOST_IN_FLIGHT),
            lanes: (0..threads).map(|_| lane()).collect(),
            failures: Mutex::default(),
        };
        let link = Self { shared: Arc::new(shared) };
        link.redial(link.lane());
        Ok(link)
    }

    /// What every key of `name` begins with: keys of the same tag lie in the same slot.
    pub(in crate::store) fn tag(&self, name: &str) -> String {
        format!("{{{}:{name}}}", self.shared.prefix)
    }

    /// Whether keys of different tags may lie on different servers.
    pub(in crate::store) fn is_cluster(&self) -> bool {
        self.shared.dialer.is_cluster()
    }

    /// Runs a script; `keys` begins with the tag. It may run twice: see [`super::script`].
    pub(in crate::store) async fn run(
        &self,
        script: &Script,
        keys: &[&[u8]],
        args: &[&[u8]],
    ) -> Result<Value, StoreError> {
        let tag = keys.first().copied().unwrap_or_default();
        // While a slot moves from one node of a Cluster to another, each has some of its keys, and a script that makes
        // their names itself would take those that are elsewhere for keys that are nowhere. A last key that never is has
        // both nodes answer TRYAGAIN until the slot has moved.
        let (absent, with_absent);
        let keys = if self.is_cluster() {
            absent = [tag, b"-"].concat();
            with_absent = [keys, &[absent.as_slice()]].concat();
            &with_absent[..]
        } else {
            keys
        };
        let by_text = || script.by_text(keys, args);
        self.request(script.name, tag, &script.by_digest(keys, args), Some(&by_text)).await
    }

    /// Sends one plain command, which may be done twice like a script. `tag` is what its key begins with, `op` what
    /// metrics call it.
    pub(in crate::store) async fn command(&self, op: &'static str, tag: &[u8], cmd: &Cmd) -> Result<Value, StoreError> {
        self.request(op, tag, cmd, None).await
    }

    /// Whether a request would be sent now, on whatever thread.
    pub(in crate::store) fn is_up(&self) -> bool {
        self.shared.is_up()
    }

    /// How long a request may take.
    pub(in crate::store) fn timeout(&self) -> Duration {
        self.shared.timeout
    }

    /// Waits until requests are sent. An error: they never will be.
    pub(in crate::store) async fn until_up(&self) -> Result<(), StoreError> {
        let lane = self.lane();
        let mut states = self.shared.lane(lane).state.subscribe();
        self.redial(lane);
        let settled = states.wait_for(|state| matches!(state, State::Up(..) | State::Closed)).await;
        if settled.is_ok_and(|state| matches!(*state, State::Up(..))) { Ok(()) } else { Err(StoreError::Closed) }
    }

    pub(in crate::store) fn is_closed(&self) -> bool {
        self.shared.lanes.iter().any(|lane| matches!(*lane.state.borrow(), State::Closed))
    }

    /// Everything fails from here on.
    pub(in crate::store) fn close(&self) {
        for lane in &self.shared.lanes {
            lane.state.send_replace(State::Closed);
        }
    }

    /// How often requests failed since the start: by what was asked, and by the kind of the failure.
    pub(in crate::store) fn failures(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.shared.failures.lock().iter().map(|((op, kind), count)| (*op, *kind, *count)).collect()
    }

    async fn request(
        &self,
        op: &'static str,
        tag: &[u8],
        cmd: &Cmd,
        by_text: Option<&(dyn Fn() -> Cmd + Sync)>,
    ) -> Result<Value, StoreError> {
        let failed = |(error, kind)| {
            self.count_failure(op, kind);
            error
        };
        let _permit = self.shared.permits.try_acquire().map_err(|_| failed((StoreError::Busy, "busy")))?;
        let lane = self.lane();
        match timeout(self.shared.timeout, self.attempt(lane, tag, cmd, by_text)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(failure)) => Err(failed(failure)),
            Err(_) => {
                let within = self.shared.timeout;
                self.shared.give_up(lane, tag, &format!("no answer within {} ms", within.as_millis()));
                self.redial(lane);
                Err(failed((StoreError::Late { within }, "timeout")))
            }
        }
    }

    /// Sends a request, at most twice: what a broken connection swallowed is sent again on the next one.
    async fn attempt(
        &self,
        lane: usize,
        tag: &[u8],
        cmd: &Cmd,
        by_text: Option<&(dyn Fn() -> Cmd + Sync)>,
    ) -> Result<Value, (StoreError, &'static str)> {
        let mut is_again = false;
        loop {
            let (mut connection, number) = self.connection(lane).await?;
            let mut answer = connection.send(cmd).await;
            if let (Err(error), Some(by_text)) = (&answer, by_text)
                && Fault::of(error) == Fault::NoScript
            {
                answer = connection.send(&by_text()).await;
            }
            let error = match answer {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let fault = Fault::of(&error);
            if fault.is_outage() {
                self.shared.lose(lane, number);
                self.redial(lane);
                if !std::mem::replace(&mut is_again, true) {
                    continue;
                }
                self.shared.give_up(lane, tag, &error.to_string());
            }
            return Err(fault.error(&error));
        }
    }

    async fn connection(&self, lane: usize) -> Result<(Connection, u64), (StoreError, &'static str)> {
        let mut states = None;
        loop {
            match &*self.shared.lane(lane).state.borrow() {
                State::Up(connection, number) => return Ok((connection.clone(), *number)),
                State::Down(cause) => {
                    return Err((StoreError::Unreachable { cause: Arc::clone(cause) }, "unreachable"));
                }
                State::Closed => return Err((StoreError::Closed, "closed")),
                State::Dialing => {}
            }
            // The receiver is older than the look at the state, so that no change is missed.
            let Some(states) = &mut states else {
                states = Some(self.shared.lane(lane).state.subscribe());
                self.redial(lane);
                continue;
            };
            if states.changed().await.is_err() {
                return Err((StoreError::Closed, "closed"));
            }
        }
    }

    fn count_failure(&self, op: &'static str, kind: &'static str) {
        let mut failures = self.shared.failures.lock();
        let count = failures.entry((op, kind)).or_default();
        *count = count.saturating_add(1);
    }

    /// The lane of this thread.
    fn lane(&self) -> usize {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        NUMBER.with(|number| number.checked_rem(self.shared.lanes.len()).unwrap_or(0))
    }

    /// Has a lane connect in the background if it has no connection, unless it does already.
    fn redial(&self, lane: usize) {
        let Ok(runtime) = Handle::try_current() else { return };
        let Lane { state, is_dialing, .. } = self.shared.lane(lane);
        let is_wanted = matches!(*state.borrow(), State::Dialing | State::Down(_));
        if is_wanted && !is_dialing.swap(true, Ordering::AcqRel) {
            runtime.spawn(Dialing { shared: Some(Arc::downgrade(&self.shared)), lane }.dial());
        }
    }
}

/// The task that connects. However it ends, with its runtime for one, another may begin.
struct Dialing {
    shared: Option<Weak<Shared>>,
    lane: usize,
}

impl Drop for Dialing {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take().and_then(|shared| shared.upgrade()) {
            shared.lane(self.lane).is_dialing.store(false, Ordering::Release);
        }
    }
}

impl Dialing {
    /// Tries until there is a connection, or the link is closed or gone.
    async fn dial(mut self) {
        let mut pause = FASTEST;
        loop {
            let Some(shared) = self.shared.as_ref().and_then(Weak::upgrade) else { return };
            let lane = shared.lane(self.lane);
            if matches!(*lane.state.borrow(), State::Closed) {
                return;
            }
            match shared.connect(lane).await {
                Ok(connection) => {
                    // Before the state changes: who sees this connection break must be able to begin anew.
                    self.shared = None;
                    lane.is_dialing.store(false, Ordering::Release);
                    shared.take_up(lane, connection);
                    return;
                }
                Err(cause) => shared.put_down(lane, &cause),
            }
            drop(shared);
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(SLOWEST);
        }
    }
}

impl Shared {
    fn lane(&self, number: usize) -> &Lane {
        self.lanes.get(number).expect("a remainder is below the number of lanes")
    }

    fn is_up(&self) -> bool {
        !self.lanes.iter().any(|lane| matches!(*lane.state.borrow(), State::Down(_) | State::Closed))
    }

    async fn connect(&self, lane: &Lane) -> Result<Connection, String> {
        let key = [lane.tried_by.lock().clone(), b"up".to_vec()].concat();
        let dial = async {
            let mut connection = self.dialer.dial(DIAL_WITHIN).await?;
            let mut write = redis::cmd("SET");
            write.arg(key).arg(1).arg("PX").arg(1000);
            connection.send(&write).await.map(|_| connection)
        };
        match timeout(DIAL_WITHIN, dial).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no connection within {} s", DIAL_WITHIN.as_secs())),
        }
    }

    fn take_up(&self, lane: &Lane, connection: Connection) {
        let was_up = self.is_up();
        lane.state.send_if_modified(|state| {
            let is_open = !matches!(state, State::Closed);
            if is_open {
                *state = State::Up(connection, fresh_number());
            }
            is_open
        });
        if !was_up && self.is_up() {
            tracing::info!("the store answers again");
        }
    }

    /// A connection is of no use any more: the next one is waited for.
    fn lose(&self, lane: usize, lost: u64) {
        self.lane(lane).state.send_if_modified(|state| {
            let is_current = matches!(state, State::Up(_, number) if *number == lost);
            if is_current {
                *state = State::Dialing;
            }
            is_current
        });
    }

    /// The store did not answer, or not as it should: nobody waits until it does again.
    fn give_up(&self, lane: usize, tag: &[u8], cause: &str) {
        let lane = self.lane(lane);
        if !tag.is_empty() {
            *lane.tried_by.lock() = tag.to_vec();
        }
        self.put_down(lane, cause);
    }

    fn put_down(&self, lane: &Lane, cause: &str) {
        let was_up = self.is_up();
        lane.state.send_if_modified(|state| {
            let is_news = matches!(state, State::Up(..) | State::Dialing);
            if is_news {
                *state = State::Down(cause.into());
            }
            is_news
        });
        if was_up && !self.is_up() {
            tracing::warn!(cause, "the store does not answer");
        }
    }
}

/// Tells connections apart.
fn fresh_number() -> u64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}
