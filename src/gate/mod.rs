//! The flow: one callback from top to bottom ([`pipeline`]), what it belongs to ([`endpoint`]), the one way out
//! ([`upstream`]), and what goes that way later ([`worker`]).

mod backoff;
mod body;
pub mod endpoint;
mod judgement;
pub mod pipeline;
mod reply;
pub mod routes;
mod snoozes;
mod stop;
pub mod upstream;
pub mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock::{Clock, UnixTime};
use crate::keyring::report::{self, Report};
use crate::observe::Observe;
use crate::store::Store;
use routes::Routes;
use snoozes::Snoozes;

pub use snoozes::{EVERY as SNOOZES_EVERY, MOST as MOST_SNOOZES};

/// Bounds that hold for every callback, whatever its endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Largest body, in bytes.
    pub max_body: usize,
    /// Longest time for a body to arrive.
    pub body_timeout: Duration,
    /// Callbacks in flight at once, over all workers.
    pub max_in_flight: usize,
}

/// What all workers share. Routes are swapped whole on a reload: a callback sees one set from start to end.
pub struct Gate {
    routes: ArcSwap<Routes>,
    store: Store,
    observe: Observe,
    clock: Clock,
    bounds: Bounds,
    in_flight: Arc<AtomicUsize>,
    leaving: AtomicBool,
    draining: AtomicBool,
    snoozes: Snoozes,
    /// When it began to count.
    since: UnixTime,
}

/// A place among the callbacks in flight, given back when dropped.
#[derive(Debug)]
pub struct InFlight(Arc<AtomicUsize>);

impl Gate {
    /// A gate without routes: every path is unknown until [`Gate::set_routes`].
    pub fn new(store: Store, observe: Observe, clock: Clock, bounds: Bounds) -> Self {
        let since = clock.now();
        Self {
            routes: ArcSwap::from_pointee(Routes::default()),
            store,
            observe,
            clock,
            bounds,
            in_flight: Arc::new(AtomicUsize::new(0)),
            leaving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            snoozes: Snoozes::default(),
            since,
        }
    }

    /// Takes new routes; callbacks under way finish on the ones they began with, so that none sees half a policy.
    pub fn set_routes(&self, routes: Routes) {
        self.observe.rules_loaded(routes.endpoints().flat_map(|endpoint| endpoint.policy.sets()));
        self.routes.store(Arc::new(routes));
    }

    /// The routes that new callbacks take.
    pub fn routes(&self) -> Arc<Routes> {
        self.routes.load_full()
    }

    /// Which keys each endpoint trusts, and what they were good for. Endpoints that verify by a shared secret are left out.
    pub fn keys(&self) -> Report {
        let routes = self.routes();
        let now = self.clock.now();
        let keys = routes.endpoints().map(|endpoint| endpoint.keys(self.since, now));
        let mut endpoints: Vec<_> = keys.filter(|of| !of.keys.is_empty() || of.download.is_some()).collect();
        endpoints.sort_by(|one, other| one.endpoint.cmp(&other.endpoint));
        Report { since: Some(report::rfc3339(self.since)), endpoints }
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Metrics and audit.
    pub fn observe(&self) -> &Observe {
        &self.observe
    }

    /// Rules that are quiet for some events.
    pub fn snoozes(&self) -> &Snoozes {
        &self.snoozes
    }

    /// When it began to count.
    pub fn since(&self) -> UnixTime {
        self.since
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Callbacks in flight now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// From now on it is not ready, and takes callbacks still: whoever spreads them has to notice first.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether callbacks should go elsewhere: [`Gate::leave`] or [`Gate::drain`] was called.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire) || self.is_draining()
    }

    /// From now on every new callback is answered `shutting-down`; those in flight finish.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether [`Gate::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// A place in flight, or none when all are taken.
    fn enter(&self) -> Option<InFlight> {
        // Adding first and looking after never lets two callers share the last place.
        let before = self.in_flight.fetch_add(1, Ordering::AcqRel);
        let place = InFlight(Arc::clone(&self.in_flight));
        (before < self.bounds.max_in_flight).then_some(place)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
