//! How a callback leaves the pipeline before its end: a reason for machines and words for the operator. Every layer's
//! error becomes one here, so that the pipeline itself is `?` and nothing else.

use super::body::BodyError;
use super::upstream::UpstreamError;
use crate::limit::Limited;
use crate::observe::{Record, Stage};
use crate::reason::Reason;
use crate::store::{StoreError, Unclaimed};
use crate::wechat::Refused;

/// Why a callback goes no further.
pub(super) struct Stop {
    pub(super) reason: Reason,
    pub(super) detail: String,
    /// `Retry-After` in seconds, where more is known than the protocol's usual one.
    pub(super) retry_after: Option<u32>,
}

impl Stop {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), retry_after: None }
    }
}

/// Closes a stage: its time goes to the record, and an error becomes a [`Stop`].
pub(super) trait At<T> {
    fn at(self, record: &mut Record, stage: Stage) -> Result<T, Stop>;
}

impl<T, E: Into<Stop>> At<T> for Result<T, E> {
    fn at(self, record: &mut Record, stage: Stage) -> Result<T, Stop> {
        record.close(stage);
        self.map_err(Into::into)
    }
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::new(refused.reason, refused.detail)
    }
}

impl From<BodyError> for Stop {
    fn from(error: BodyError) -> Self {
        Self::new(error.reason(), error.to_string())
    }
}

impl From<Limited> for Stop {
    fn from(limited: Limited) -> Self {
        let reason = match limited {
            Limited::Rate { .. } => Reason::RateLimited,
            Limited::Banned { .. } => Reason::Banned,
        };
        Self { retry_after: Some(limited.retry_after()), ..Self::new(reason, limited.to_string()) }
    }
}

impl From<Unclaimed> for Stop {
    fn from(unclaimed: Unclaimed) -> Self {
        let reason = match unclaimed {
            Unclaimed::Replayed => Reason::Replayed,
            Unclaimed::Duplicate => Reason::Duplicate,
            Unclaimed::InFlight => Reason::InFlight,
            Unclaimed::IdConflict => Reason::IdConflict,
            Unclaimed::Store(_) => Reason::StoreUnavailable,
        };
        Self::new(reason, unclaimed.to_string())
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::new(Reason::StoreUnavailable, error.to_string())
    }
}

impl From<UpstreamError> for Stop {
    fn from(error: UpstreamError) -> Self {
        Self::new(error.reason(), error.to_string())
    }
}
