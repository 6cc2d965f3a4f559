//! What an error of Redis means for who asked.

#![allow(clippy::wildcard_enum_match_arm, reason = "kinds of errors are added to")]

use redis::{ErrorKind, RedisError, RetryMethod, ServerErrorKind};

use crate::store::StoreError;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The server does not have the script. Nothing was done.
    NoScript,
    /// The connection is gone; whether the request was served is not known.
    Dropped,
    /// The server does not serve now: it loads, follows another, or its Cluster is incomplete. Nothing was done.
    NotServing,
    /// The keys are on their way to another node of the Cluster. Nothing was done; other keys are served.
    Moving,
    /// The server has no memory left. Nothing was done.
    Full,
    /// The server does not do what it was asked, and would not do it the next time.
    Refused,
}

impl Fault {
    pub(super) fn of(error: &RedisError) -> Self {
        if error.code() == Some("OOM") {
            return Self::Full;
        }
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoScript) => Self::NoScript,
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown,
            ) => Self::NotServing,
            ErrorKind::Server(ServerErrorKind::TryAgain | ServerErrorKind::Moved | ServerErrorKind::Ask) => {
                Self::Moving
            }
            ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound => Self::Dropped,
            _ => match error.retry_method() {
                RetryMethod::Reconnect | RetryMethod::ReconnectFromInitialConnections => Self::Dropped,
                _ => match error.code() {
                    // A replica that was promoted takes writes again only when enough replicas follow it.
                    Some("NOREPLICAS" | "MISCONF" | "BUSY") => Self::NotServing,
                    _ => Self::Refused,
                },
            },
        }
    }

    /// Whether the store as a whole is out, for every request alike.
    pub(super) fn is_outage(self) -> bool {
        matches!(self, Self::Dropped | Self::NotServing)
    }

    /// The error for who asked, and its kind in metrics.
    pub(super) fn error(self, error: &RedisError) -> (StoreError, &'static str) {
        let cause = error.to_string().into();
        match self {
            Self::Full => (StoreError::OutOfMemory, "out-of-memory"),
            Self::Refused | Self::NoScript => (StoreError::Refused { cause }, "refused"),
            Self::Dropped => (StoreError::Unreachable { cause }, "unreachable"),
            Self::NotServing => (StoreError::Unreachable { cause }, "not-serving"),
            Self::Moving => (StoreError::Unreachable { cause }, "moving"),
        }
    }
}
