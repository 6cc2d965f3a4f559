//! What the cases are made of: genuine callbacks to spoil, and the requests that come of it.

use std::fmt;

use crate::sim::keys::{Keys, SignedBy};
use crate::sim::notify::{self, Callback, Event, Stamp, unix_now};
use crate::sim::sample::{self, Order};
use crate::sim::sign;
use crate::sim::wire::Target;

/// Where and when a case happens.
pub(super) struct Scene<'a> {
    pub(super) keys: &'a Keys,
    pub(super) path: &'a str,
    pub(super) host: &'a str,
    pub(super) now: i64,
}

/// One request of a case.
pub(super) struct Shot {
    pub(super) message: Vec<u8>,
    pub(super) want: Want,
    /// Whether the connection is half closed after the message, for one that ends too soon.
    pub(super) is_cut: bool,
}

/// What must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// 200 or 204.
    Success,
    /// 200, or 409 or 503 for a copy of what is under way.
    SuccessOrBusy,
    /// 4xx.
    Refusal,
    /// An error or no answer at all.
    NoSuccess,
}

impl Want {
    pub(super) fn is_met(self, status: Option<u16>) -> bool {
        match (self, status) {
            (Self::Success, Some(status)) => matches!(status, 200 | 204),
            (Self::SuccessOrBusy, Some(status)) => matches!(status, 200 | 204 | 409 | 503),
            (Self::Refusal, Some(status)) => (400..500).contains(&status),
            (Self::NoSuccess, Some(status)) => (400..600).contains(&status),
            (Self::NoSuccess, None) => true,
            (Self::Success | Self::SuccessOrBusy | Self::Refusal, None) => false,
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "200",
            Self::SuccessOrBusy => "200, 409 or 503",
            Self::Refusal => "a refusal (4xx)",
            Self::NoSuccess => "a refusal or a closed connection",
        })
    }
}

impl<'a> Scene<'a> {
    pub(super) fn new(keys: &'a Keys, target: &'a Target) -> Self {
        Self { keys, path: &target.path, host: &target.host, now: unix_now() }
    }

    /// A payment of an order of this merchant.
    pub(super) fn event(&self) -> Event {
        Self::event_of(&Order::new(&self.keys.merchant, self.now))
    }

    pub(super) fn event_of(order: &Order) -> Event {
        sample::find("payment-native").expect("a sample of this name is in the list").event(order)
    }

    /// A payment whose plaintext is this.
    pub(super) fn event_with(&self, resource: impl Into<String>) -> Event {
        Event { resource: resource.into(), ..self.event() }
    }

    /// A callback in which nothing is wrong.
    pub(super) fn genuine(&self) -> Callback {
        self.sign(self.event().body(self.keys))
    }

    /// Any body, genuinely signed.
    pub(super) fn sign(&self, body: Vec<u8>) -> Callback {
        notify::sign_now(self.keys, SignedBy::Certificate, self.path, self.now, body)
    }

    /// A callback that is genuine but for the text of its timestamp, which is signed with the rest.
    pub(super) fn stamped(&self, timestamp: &str) -> Callback {
        let stamp = Stamp { by: SignedBy::Certificate, timestamp, nonce: &sign::random_text::<32>() };
        notify::signed(self.keys, stamp, self.path, self.event().body(self.keys))
    }

    /// A genuine callback whose signature was changed, as bytes before base64.
    pub(super) fn with_signature_bytes(&self, change: impl FnOnce(&mut Vec<u8>)) -> Callback {
        let genuine = self.genuine();
        let signature = genuine.header("wechatpay-signature").unwrap_or_default();
        let mut bytes = base64_simd::STANDARD.decode_to_vec(signature).unwrap_or_default();
        change(&mut bytes);
        genuine.with("Wechatpay-Signature", &base64_simd::STANDARD.encode_to_string(bytes))
    }

    /// A genuine callback whose signature's text was changed.
    pub(super) fn with_signature_text(&self, change: impl FnOnce(&str) -> String) -> Callback {
        let genuine = self.genuine();
        let signature = change(genuine.header("wechatpay-signature").unwrap_or_default());
        genuine.with("Wechatpay-Signature", &signature)
    }

    /// A genuine envelope whose text was changed before it was signed.
    pub(super) fn with_envelope(&self, change: impl FnOnce(&str) -> String) -> Callback {
        let body = self.event().body(self.keys);
        self.sign(change(&String::from_utf8_lossy(&body)).into_bytes())
    }

    pub(super) fn refused(&self, callback: &Callback) -> Vec<Shot> {
        vec![self.shot(callback, Want::Refusal)]
    }

    pub(super) fn shot(&self, callback: &Callback, want: Want) -> Shot {
        Shot { message: callback.to_http(self.host), want, is_cut: false }
    }

    /// Bytes that are no request as a gateway takes it.
    pub(super) fn raw(message: impl Into<Vec<u8>>) -> Vec<Shot> {
        vec![Shot { message: message.into(), want: Want::NoSuccess, is_cut: false }]
    }

    /// Bytes after which the sender closes its side.
    pub(super) fn cut(message: impl Into<Vec<u8>>) -> Vec<Shot> {
        vec![Shot { message: message.into(), want: Want::NoSuccess, is_cut: true }]
    }
}
