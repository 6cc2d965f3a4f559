//! The one way out: forwards cleared events to the merchant app.

use std::time::Duration;

use crate::secret::Secret;

/// `[endpoint.NAME.upstream]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to POST; `http://` only. Several are balanced.
    pub urls: Vec<http::Uri>,
    /// What to send.
    pub format: Format,
    /// Longest time from the first byte out to the last byte in, connecting included.
    pub timeout: Duration,
    /// Standard Webhooks secrets, decoded (without `whsec_`), newest first; each signs.
    pub signing: Vec<Secret>,
}

/// `upstream.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The decrypted event with CloudEvents headers.
    Event,
    /// WeChat's request as it was, with the same headers added.
    Original,
}

/// Proof that the upstream took an event.
#[derive(Debug)]
pub struct Delivered(());
