//! What Redis does when its memory is full. A Redis that then evicts keys at will (`allkeys-…`) loses rows that wait, and
//! nobody would know: nothing is put there. `volatile-…` spares the queues, whose keys have no expiry.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::Value;

use super::script;
use crate::store::StoreError;
use crate::store::redis::link::Link;
use crate::store::redis::script::Script;

/// How long what was seen is believed: the setting can be changed while Redis runs.
const BELIEVED_FOR: Duration = Duration::from_mins(1);

static EVICTION: Script = script!("queue-eviction": "eviction.lua");

/// What was seen last.
#[derive(Default)]
pub(super) struct Eviction {
    seen: Mutex<Option<Seen>>,
}

#[derive(Clone)]
enum Seen {
    /// Rows stay.
    Kept { at: Instant },
    /// It could not be asked: the user may not. It is said once, and taken for good.
    Unknown,
    /// Rows may be evicted, by this policy.
    Feared { policy: String },
}

impl Eviction {
    /// Whether rows may be evicted, as far as was seen.
    pub(super) fn is_feared(&self) -> bool {
        matches!(*self.seen.lock(), Some(Seen::Feared { .. }))
    }

    /// Fails while rows may be evicted. Asks Redis once a minute, and every time while it is so.
    pub(super) async fn check(&self, link: &Link, tag: &str) -> Result<(), StoreError> {
        match &*self.seen.lock() {
            Some(Seen::Unknown) => return Ok(()),
            Some(Seen::Kept { at }) if at.elapsed() < BELIEVED_FOR => return Ok(()),
            Some(Seen::Kept { .. } | Seen::Feared { .. }) | None => {}
        }
        let answer = link.run(&EVICTION, &[tag.as_bytes()], &[]).await?;
        let seen = seen(&answer);
        let result = match &seen {
            Seen::Kept { .. } => Ok(()),
            Seen::Unknown => {
                tracing::warn!(
                    "redis does not tell this user its maxmemory-policy (ACL: +info): make sure that it is `noeviction`, \
                     or what waits in the queues may be evicted"
                );
                Ok(())
            }
            Seen::Feared { policy } => {
                let cause = format!(
                    "redis has maxmemory-policy `{policy}` and may evict what waits: set maxmemory-policy noeviction"
                );
                if !self.is_feared() {
                    tracing::error!("the queues take nothing: {cause}");
                }
                Err(StoreError::NotKept { cause: cause.into() })
            }
        };
        *self.seen.lock() = Some(seen);
        result
    }
}

fn seen(answer: &Value) -> Seen {
    let Value::Array(told) = answer else { return Seen::Unknown };
    match told.as_slice() {
        [Value::BulkString(most), Value::BulkString(policy)] if !policy.is_empty() => {
            if most == b"0" || !policy.starts_with(b"allkeys-") {
                Seen::Kept { at: Instant::now() }
            } else {
                Seen::Feared { policy: String::from_utf8_lossy(policy).into_owned() }
            }
        }
        _ => Seen::Unknown,
    }
}
