//! The contract of engines, on every kind of store that Redis makes.

use std::sync::OnceLock;

use super::{address, addresses, settings, shared};
use crate::clock::{Clock, UnixTime};
use crate::secret::Secret;
use crate::store::conformance::{Fixture, conformance};
use crate::store::engine::{Engine, Kind};
use crate::store::redis::servers::groups::{Cluster, Guarded, Watched};
use crate::store::redis::{RedisEngine, RedisSettings, Tls, Topology};

fn open(settings: &RedisSettings, now: UnixTime) -> Engine {
    Engine(Kind::Redis(RedisEngine::open(settings, &Clock::manual(now)).unwrap()))
}

macro_rules! fixture {
    ($(#[$doc:meta])* $name:ident, $settings:expr) => {
        $(#[$doc])*
        struct $name(RedisSettings);

        impl Fixture for $name {
            fn new() -> Self {
                Self($settings)
            }

            async fn open(&self, now: UnixTime) -> Engine {
                open(&self.0, now)
            }

            /// A gateway that crashes takes nothing with it. What a server takes is in `outage`.
            async fn crash(&self, engine: Engine, now: UnixTime) -> Option<Engine> {
                drop(engine);
                Some(open(&self.0, now))
            }
        }
    };
}

fixture!(
    /// One server.
    Single,
    settings(Topology::Single(address(shared())))
);

fixture!(
    /// TLS, and a user with no more rights than a gateway needs.
    Secured,
    {
        static GUARDED: OnceLock<Guarded> = OnceLock::new();
        let guarded = GUARDED.get_or_init(Guarded::start);
        RedisSettings {
            tls: Some(Tls { authorities: Some(guarded.authority.as_str().into()) }),
            user: Some(Guarded::USER.to_owned()),
            password: Some(Secret::new(Guarded::PASSWORD.as_bytes().to_vec())),
            ..settings(Topology::Single(address(&guarded.server)))
        }
    }
);

fixture!(
    /// A group that a Sentinel watches.
    Sentinel,
    {
        static WATCHED: OnceLock<Watched> = OnceLock::new();
        let watched = WATCHED.get_or_init(Watched::start);
        let (sentinels, master) = (vec![address(&watched.sentinel)], Watched::MASTER.to_owned());
        settings(Topology::Sentinel { sentinels, master })
    }
);

fixture!(
    /// Three nodes that share the slots.
    Sharded,
    {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        settings(Topology::Cluster(addresses(CLUSTER.get_or_init(Cluster::start))))
    }
);

mod single {
    super::conformance!(super::Single, 64);
}

mod tls_and_acl_user {
    super::conformance!(super::Secured, 16, all at once);
}

mod sentinel {
    super::conformance!(super::Sentinel, 16, all at once);
}

mod cluster {
    super::conformance!(super::Sharded, 16, all at once);
}
