//! Which configuration is at work, counted and told: a rejected one shows until it is mended, not for a scrape alone.

use prometheus::{IntCounter, IntGauge};

use crate::clock::UnixTime;

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The new configuration is at work, but for what takes a restart.
    Taken {
        /// Whether something in it takes one.
        needs_restart: bool,
    },
    /// Something in it is wrong; the last good one goes on.
    Rejected,
}

/// The metrics of the configuration.
pub(super) struct ReloadMetrics {
    pub(super) taken: IntCounter,
    pub(super) rejected: IntCounter,
    pub(super) is_ok: IntGauge,
    pub(super) loaded_at: IntGauge,
    pub(super) restart_needed: IntGauge,
}

impl ReloadMetrics {
    /// What the gateway was started with.
    pub(super) fn started(&self, now: UnixTime) {
        self.is_ok.set(1);
        self.loaded_at.set(now.secs());
    }

    pub(super) fn ended(&self, reload: Reload, now: UnixTime) {
        match reload {
            Reload::Taken { needs_restart } => {
                self.taken.inc();
                self.is_ok.set(1);
                self.loaded_at.set(now.secs());
                self.restart_needed.set(i64::from(needs_restart));
            }
            Reload::Rejected => {
                self.rejected.inc();
                self.is_ok.set(0);
            }
        }
    }
}
