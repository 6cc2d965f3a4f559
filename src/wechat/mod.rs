//! WeChat's protocols, pure: bytes and keys in, an authentic event or a refusal out; an outcome in, an answer out.
//!
//! A callback goes through three steps, each consuming the last: [`Protocol::screen`] (headers only, no crypto),
//! [`Protocol::verify`] (signature over the exact bytes received) and [`Protocol::open`] (decrypt, decode, check that
//! it belongs here). Adding a protocol touches this folder, a line in `config/` and the docs.

pub mod answer;
mod biz_msg_crypt;
mod crypto;
pub mod diagnosis;
#[cfg(fuzzing)]
pub mod fuzzing;
mod head;
mod json;
pub mod key;
pub mod message;
pub mod pay_v2;
pub mod pay_v3;
mod protocol;
mod query;
pub mod wecom;
mod xml;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::clock::UnixTime;
use crate::event::Event;
use crate::reason::Reason;

pub use answer::Answer;
pub use protocol::Protocol;

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

/// A head whose form, time and serial passed. No crypto has been done.
#[derive(Debug)]
pub struct Screened(ScreenedAs);

#[derive(Debug)]
enum ScreenedAs {
    PayV3(pay_v3::Screened),
    PayV2(pay_v2::Screened),
    Message(message::Screened),
    WeCom(message::sealed::Screened),
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
    PayV2(pay_v2::Verified),
    Message(message::Verified),
    WeCom(message::sealed::Verified),
}

/// A callback that was verified, decrypted and found to belong to its endpoint. Only this module can make one.
///
/// ```compile_fail,E0451
/// let event: Box<wxgate::event::Event> = todo!();
/// let forged = wxgate::wechat::Authentic { event, freshness: None, signed_by: todo!(), scheme: None, reply_to: None,
///     received_body: todo!() };
/// ```
#[derive(Debug)]
pub struct Authentic {
    /// In a box, since it is large and goes through many hands.
    event: Box<Event>,
    freshness: Option<Freshness>,
    signed_by: Arc<str>,
    scheme: Option<&'static str>,
    reply_to: Option<message::ReplyTo>,
    received_body: Bytes,
}

/// What a signature says about when it was made, so that a captured request cannot come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The nonce that was signed: a second callback with it is a replay.
    pub nonce: String,
    /// The signed timestamp.
    pub signed_at: UnixTime,
}

impl Authentic {
    /// What WeChat told.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Nonce and time of the signature; none where the protocol signs neither: there an event is known by its identity
    /// alone (WeChat Pay v2).
    pub fn freshness(&self) -> Option<&Freshness> {
        self.freshness.as_ref()
    }

    /// The id of the key that verified it: a certificate serial, a `PUB_KEY_ID_…`, or `token-1` for the first token.
    pub fn signed_by(&self) -> &Arc<str> {
        &self.signed_by
    }

    /// How it was signed, in WeChat's word: `WECHATPAY2-SHA256-RSA2048`, `MD5`, `HMAC-SHA256` or `SHA1`. None if it was
    /// encrypted and not signed: a refund of WeChat Pay v2.
    pub fn scheme(&self) -> Option<&'static str> {
        self.scheme
    }

    /// How what the upstream says goes back to WeChat; none where WeChat asks for an acknowledgement alone.
    pub fn reply_to(&self) -> Option<&message::ReplyTo> {
        self.reply_to.as_ref()
    }

    /// The body as it was received and signed, for apps that go on verifying for themselves.
    pub fn received_body(&self) -> &Bytes {
        &self.received_body
    }

    /// An authentic callback out of nothing, so that the layers below can be tested by themselves.
    #[cfg(test)]
    pub(crate) fn for_test(event: Event, nonce: &str, signed_at: UnixTime) -> Self {
        let received_body = event.body.clone();
        let freshness = Some(Freshness { nonce: nonce.to_owned(), signed_at });
        let signed_by = Arc::from("TEST");
        Self { event: Box::new(event), freshness, signed_by, scheme: None, reply_to: None, received_body }
    }
}

/// Why a callback was refused by its protocol. `Display` is for the operator; the sender learns only the status.
pub trait Refusal: std::error::Error {
    /// The stable reason.
    fn reason(&self) -> Reason;

    /// The key that it named, if that is all that is wrong.
    fn unknown_key(&self) -> Option<&str> {
        None
    }
}

/// A refusal of whichever protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    /// The stable reason.
    pub reason: Reason,
    /// What the operator should know.
    pub detail: String,
    /// The key that it named, if no key of that name is known: a download may be due.
    pub unknown_key: Option<String>,
}

impl<E: Refusal> From<E> for Refused {
    fn from(refusal: E) -> Self {
        Self {
            reason: refusal.reason(),
            detail: refusal.to_string(),
            unknown_key: refusal.unknown_key().map(str::to_owned),
        }
    }
}
