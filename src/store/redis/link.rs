//! The way to Redis: one connection that all requests share, a deadline for each, a bound on how many are on their way, and
//! a breaker, so that a store that is out costs one request its deadline and not every one.
//!
//! **States.** `Up`: requests are sent. `Dialing`: there is no connection yet, or it has just broken; requests wait for the
//! next one, within their deadlines. `Down`: connecting failed, or a request was not answered in time; requests fail at
//! once. In both of the latter a task of the link's own tries to connect, at once and then ever more slowly up to
//! [`SLOWEST`], and a connection counts only when a write was answered on it: a server that loads its data, or that follows
//! another one, is not up. So nobody has to restart a gateway, and no callback pays for the look.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Cmd, Value};
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
    state: watch::Sender<State>,
    is_dialing: AtomicBool,
    /// A tag whose keys were not served: what a new connection is tried by.
    tried_by: Mutex<Vec<u8>>,
    failures: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
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
        let shared = Shared {
            dialer,
            prefix: settings.prefix.clone(),
            timeout: settings.timeout,
            permits: Semaphore::new(MOST_IN_FLIGHT),
            state: watch::Sender::new(State::Dialing),
            is_dialing: AtomicBool::new(false),
            tried_by: Mutex::new(format!("{{{}}}", settings.prefix).into_bytes()),
            failures: Mutex::default(),
        };
        let link = Self { shared: Arc::new(shared) };
        link.redial();
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
        let absent = [tag, b"-"].concat();
        let with_absent = [keys, &[absent.as_slice()]].concat();
        let keys = if self.is_cluster() { &with_absent[..] } else { keys };
        let by_text = || script.by_text(keys, args);
        self.request(script.name, tag, &script.by_digest(keys, args), Some(&by_text)).await
    }

    /// Sends one plain command, which may be done twice like a script. `tag` is what its key begins with, `op` what
    /// metrics call it.
    pub(in crate::store) async fn command(&self, op: &'static str, tag: &[u8], cmd: &Cmd) -> Result<Value, StoreError> {
        self.request(op, tag, cmd, None).await
    }

    /// Whether a request would be sent now.
    pub(in crate::store) fn is_up(&self) -> bool {
        match &*self.shared.state.borrow() {
            State::Up(..) | State::Dialing => true,
            State::Down(_) | State::Closed => false,
        }
    }

    /// How long a request may take.
    pub(in crate::store) fn timeout(&self) -> Duration {
        self.shared.timeout
    }

    /// Waits until requests are sent. An error: they never will be.
    pub(in crate::store) async fn until_up(&self) -> Result<(), StoreError> {
        let mut states = self.shared.state.subscribe();
        let settled = states.wait_for(|state| matches!(state, State::Up(..) | State::Closed)).await;
        if settled.is_ok_and(|state| matches!(*state, State::Up(..))) { Ok(()) } else { Err(StoreError::Closed) }
    }

    pub(in crate::store) fn is_closed(&self) -> bool {
        matches!(*self.shared.state.borrow(), State::Closed)
    }

    /// Everything fails from here on.
    pub(in crate::store) fn close(&self) {
        self.shared.state.send_replace(State::Closed);
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
        match timeout(self.shared.timeout, self.attempt(tag, cmd, by_text)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(failure)) => Err(failed(failure)),
            Err(_) => {
                let within = self.shared.timeout;
                self.give_up(tag, &format!("no answer within {} ms", within.as_millis()));
                Err(failed((StoreError::Late { within }, "timeout")))
            }
        }
    }

    /// Sends a request, at most twice: what a broken connection swallowed is sent again on the next one.
    async fn attempt(
        &self,
        tag: &[u8],
        cmd: &Cmd,
        by_text: Option<&(dyn Fn() -> Cmd + Sync)>,
    ) -> Result<Value, (StoreError, &'static str)> {
        let mut is_again = false;
        loop {
            let (mut connection, number) = self.connection().await?;
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
                self.lose(number);
                if !std::mem::replace(&mut is_again, true) {
                    continue;
                }
                self.give_up(tag, &error.to_string());
            }
            return Err(fault.error(&error));
        }
    }

    async fn connection(&self) -> Result<(Connection, u64), (StoreError, &'static str)> {
        let mut states = None;
        loop {
            match &*self.shared.state.borrow() {
                State::Up(connection, number) => return Ok((connection.clone(), *number)),
                State::Down(cause) => {
                    return Err((StoreError::Unreachable { cause: Arc::clone(cause) }, "unreachable"));
                }
                State::Closed => return Err((StoreError::Closed, "closed")),
                State::Dialing => {}
            }
            // The receiver is older than the look at the state, so that no change is missed.
            let Some(states) = &mut states else {
                states = Some(self.shared.state.subscribe());
                self.redial();
                continue;
            };
            if states.changed().await.is_err() {
                return Err((StoreError::Closed, "closed"));
            }
        }
    }

    /// A connection is of no use any more: the next one is waited for.
    fn lose(&self, lost: u64) {
        let is_news = self.shared.state.send_if_modified(|state| match state {
            State::Up(_, number) if *number == lost => {
                *state = State::Dialing;
                true
            }
            State::Up(..) | State::Dialing | State::Down(_) | State::Closed => false,
        });
        if is_news {
            self.redial();
        }
    }

    /// The store is out: nobody waits until it answers again.
    fn give_up(&self, tag: &[u8], cause: &str) {
        let is_news = self.shared.state.send_if_modified(|state| match state {
            State::Up(..) | State::Dialing => {
                *state = State::Down(cause.into());
                true
            }
            State::Down(_) | State::Closed => false,
        });
        if is_news {
            if !tag.is_empty() {
                *self.shared.tried_by.lock() = tag.to_vec();
            }
            tracing::warn!(cause, "the store does not answer");
            self.redial();
        }
    }

    fn count_failure(&self, op: &'static str, kind: &'static str) {
        let mut failures = self.shared.failures.lock();
        let count = failures.entry((op, kind)).or_default();
        *count = count.saturating_add(1);
    }

    /// Has the link connect in the background, unless it does already.
    fn redial(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.shared.is_dialing.swap(true, Ordering::AcqRel) {
            return;
        }
        let dialing = Dialing(Some(Arc::downgrade(&self.shared)));
        runtime.spawn(dialing.dial());
    }
}

/// The task that connects. However it ends, with its runtime for one, another may begin.
struct Dialing(Option<Weak<Shared>>);

impl Drop for Dialing {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take().and_then(|shared| shared.upgrade()) {
            shared.is_dialing.store(false, Ordering::Release);
        }
    }
}

impl Dialing {
    /// Tries until there is a connection, or the link is closed or gone.
    async fn dial(mut self) {
        let mut pause = FASTEST;
        loop {
            let Some(shared) = self.0.as_ref().and_then(Weak::upgrade) else { return };
            if matches!(*shared.state.borrow(), State::Closed) {
                return;
            }
            match shared.connect().await {
                Ok(connection) => {
                    // Before the state changes: who sees this connection break must be able to begin anew.
                    self.0 = None;
                    shared.is_dialing.store(false, Ordering::Release);
                    shared.take_up(connection);
                    return;
                }
                Err(cause) => shared.fail(&cause),
            }
            drop(shared);
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(SLOWEST);
        }
    }
}

impl Shared {
    async fn connect(self: &Arc<Self>) -> Result<Connection, String> {
        let key = [self.tried_by.lock().clone(), b"up".to_vec()].concat();
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

    fn take_up(&self, connection: Connection) {
        let mut was_down = false;
        self.state.send_if_modified(|state| match state {
            State::Closed => false,
            State::Dialing | State::Down(_) | State::Up(..) => {
                was_down = matches!(state, State::Down(_));
                *state = State::Up(connection, fresh_number());
                true
            }
        });
        if was_down {
            tracing::info!("the store answers again");
        }
    }

    fn fail(&self, cause: &str) {
        let is_news = self.state.send_if_modified(|state| match state {
            State::Dialing | State::Up(..) => {
                *state = State::Down(cause.into());
                true
            }
            State::Down(_) | State::Closed => false,
        });
        if is_news {
            tracing::warn!(cause, "the store cannot be reached");
        }
    }
}

/// Tells connections apart.
fn fresh_number() -> u64 {
    static NUMBERS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}
