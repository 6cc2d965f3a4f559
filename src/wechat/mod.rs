//! WeChat's protocols, pure: bytes and keys in, an authentic event or a refusal out; an outcome in, an answer out.
//!
//! A callback goes through three steps, each consuming the last: [`Protocol::screen`] (headers only, no crypto),
//! [`Protocol::verify`] (signature over the exact bytes received) and [`Protocol::open`] (decrypt, decode, check that
//! it belongs here). Adding a protocol touches this folder, a line in `config/` and the docs.

pub mod answer;
mod crypto;
mod json;
pub mod key;
pub mod pay_v3;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::clock::UnixTime;
use crate::event::Event;
use crate::reason::Reason;

pub use answer::Answer;

/// The head of a callback as it came off the wire: anybody may have written it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Request method.
    pub method: &'a Method,
    /// Path, not decoded.
    pub path: &'a str,
    /// Query without the question mark, not decoded; empty if there is none.
    pub query: &'a str,
    /// All headers, repeated ones included.
    pub headers: &'a HeaderMap,
}

/// A protocol together with the keys and bindings of one endpoint.
#[derive(Debug)]
pub enum Protocol {
    /// WeChat Pay APIv3 notifications.
    PayV3(pay_v3::PayV3),
}

/// A head whose form, time and serial passed. No crypto has been done.
#[derive(Debug)]
pub struct Screened(ScreenedAs);

#[derive(Debug)]
enum ScreenedAs {
    PayV3(pay_v3::Screened),
}

/// A callback whose signature is WeChat's over exactly these bytes.
///
/// ```compile_fail,E0423
/// let forged = wxgate::wechat::Verified(todo!()); // private field
/// ```
#[derive(Debug)]
pub struct Verified(VerifiedAs);

#[derive(Debug)]
enum VerifiedAs {
    PayV3(pay_v3::Verified),
}

/// A callback that was verified, decrypted and found to belong to its endpoint. Only this module can make one.
///
/// ```compile_fail,E0451
/// let event: wxgate::event::Event = todo!();
/// let forged = wxgate::wechat::Authentic { event, nonce: todo!(), signed_at: todo!(), signed_by: todo!(),
///     received_body: todo!() };
/// ```
#[derive(Debug)]
pub struct Authentic {
    event: Event,
    nonce: String,
    signed_at: UnixTime,
    signed_by: Arc<str>,
    received_body: Bytes,
}

impl Authentic {
    /// What WeChat told.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The nonce that was signed: a second callback with it is a replay.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The signed timestamp.
    pub fn signed_at(&self) -> UnixTime {
        self.signed_at
    }

    /// The id of the key that verified it: a certificate serial or a `PUB_KEY_ID_…`.
    pub fn signed_by(&self) -> &Arc<str> {
        &self.signed_by
    }

    /// The body as it was received and signed, for apps that go on verifying for themselves.
    pub fn received_body(&self) -> &Bytes {
        &self.received_body
    }

    /// An authentic callback out of nothing, so that the layers below can be tested by themselves.
    #[cfg(test)]
    pub(crate) fn for_test(event: Event, nonce: &str, signed_at: UnixTime) -> Self {
        let received_body = event.body.clone();
        Self { event, nonce: nonce.to_owned(), signed_at, signed_by: Arc::from("TEST"), received_body }
    }
}

/// Why a callback was refused by its protocol. `Display` is for the operator; the sender learns only the status.
pub trait Refusal: std::error::Error {
    /// The stable reason.
    fn reason(&self) -> Reason;
}

impl Protocol {
    /// Step 2: headers present, once each, well-formed; timestamp within the window; serial known. No crypto.
    pub fn screen(&self, received: Received<'_>, now: UnixTime) -> Result<Screened, ScreenError> {
        match self {
            Self::PayV3(pay) => pay.screen(received, now).map(|s| Screened(ScreenedAs::PayV3(s))),
        }
    }

    /// Step 3: the signature, over exactly `body`.
    pub fn verify(&self, screened: Screened, body: Bytes) -> Result<Verified, VerifyError> {
        match (self, screened.0) {
            (Self::PayV3(_), ScreenedAs::PayV3(s)) => {
                pay_v3::PayV3::verify(s, body).map(|v| Verified(VerifiedAs::PayV3(v)))
            }
        }
    }

    /// Step 4: decrypt, decode, and check that it belongs to this endpoint.
    pub fn open(&self, verified: Verified) -> Result<Authentic, OpenError> {
        match (self, verified.0) {
            (Self::PayV3(pay), VerifiedAs::PayV3(v)) => pay.open(v),
        }
    }

    /// The configured keys that verify callbacks; none where a shared secret does.
    pub fn configured_keys(&self) -> &[Arc<key::VerifyingKey>] {
        match self {
            Self::PayV3(pay) => pay.verifying_keys(),
        }
    }

    /// Every key that verifies callbacks now, configured ones first.
    pub fn verifying_keys(&self) -> Vec<Arc<key::VerifyingKey>> {
        let downloaded = match self {
            Self::PayV3(pay) => pay.downloaded().get(),
        };
        self.configured_keys().iter().chain(downloaded.iter()).cloned().collect()
    }

    /// The protocol's name in configuration and audit.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PayV3(_) => "pay-v3",
        }
    }

    /// Turns a reason into the protocol's own answer.
    pub fn answer(&self, reason: Reason) -> Answer {
        match self {
            Self::PayV3(_) => answer::pay_v3(reason),
        }
    }
}

pub use pay_v3::{OpenError, ScreenError, VerifyError};
