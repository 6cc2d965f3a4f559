//! Step 2 for Pay v3: everything about the head that can be judged without cryptography and without the body, in the
//! order of protocol section 0: method, headers once each, probe, signature type, timestamp, key, form of the signature.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};

use super::super::head::{self, TimestampError};
use super::super::key::VerifyingKey;
use super::super::{Received, Refusal};
use super::PayV3;
use crate::clock::UnixTime;
use crate::reason::Reason;

pub(super) const TIMESTAMP: HeaderName = HeaderName::from_static("wechatpay-timestamp");
pub(super) const NONCE: HeaderName = HeaderName::from_static("wechatpay-nonce");
pub(super) const SERIAL: HeaderName = HeaderName::from_static("wechatpay-serial");
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("wechatpay-signature");
pub(super) const SIGNATURE_TYPE: HeaderName = HeaderName::from_static("wechatpay-signature-type");

/// The one type of signature that is supported; also meant where none is named (protocol 1.2).
pub(super) const RSA: &str = "WECHATPAY2-SHA256-RSA2048";
/// What WeChat's signature probes begin with (protocol 1.6).
pub(super) const PROBE: &[u8] = b"WECHATPAY/SIGNTEST/";
/// Longest values in bytes. WeChat's nonces have 32, its ids 45; the signature of the largest key has 684.
const MAX_NONCE: usize = 128;
const MAX_SERIAL: usize = 128;
const MAX_SIGNATURE: usize = 1024;

/// See [`super::super::Screened`].
#[derive(Debug)]
pub(in crate::wechat) struct Screened {
    /// As received: this text is what was signed, not the number.
    timestamp: HeaderValue,
    nonce: HeaderValue,
    signature: Vec<u8>,
    signed_at: UnixTime,
    key: Arc<VerifyingKey>,
}

/// A head that does not pass.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// Not POST.
    #[error("WeChat Pay notifies by POST")]
    Method,
    /// Absent or empty.
    #[error("the header {0} is absent or empty: does a proxy in front drop it?")]
    Missing(HeaderName),
    /// More than once.
    #[error("the header {0} came more than once")]
    Repeated(HeaderName),
    /// Characters or length that the value cannot have.
    #[error("the header {0} has a form that WeChat never sends")]
    Form(HeaderName),
    /// Compressed.
    #[error("the body is compressed, which WeChat never does: what is in front must pass bodies on as they are")]
    Compressed,
    /// A signature probe.
    #[error("a signature probe of WeChat's, refused as it must be")]
    Probe,
    /// Another signature type.
    #[error("the signature type is not WECHATPAY2-SHA256-RSA2048; guomi and brand signatures are not supported")]
    SignatureType,
    /// Not a number of seconds.
    #[error("the timestamp is no plain decimal number of seconds")]
    Timestamp,
    /// Too old, or ahead.
    #[error("the timestamp is {seconds} s {side} our clock; the window is {window} s: is the clock right?")]
    Window {
        /// How far.
        seconds: u64,
        /// Which side.
        side: &'static str,
        /// What is allowed.
        window: u64,
    },
    /// No such key.
    #[error("no key of the endpoint is named {0}: add it to keys.certificates or keys.public, if it is WeChat's")]
    UnknownSerial(String),
    /// Its certificate is not valid now.
    #[error("the certificate {0} is not valid now: WeChat does not sign with it")]
    Expired(Arc<str>),
    /// A signature that cannot be this key's.
    #[error("the signature has not the length of the key's")]
    SignatureLength,
}

impl Refusal for ScreenError {
    fn reason(&self) -> Reason {
        match self {
            Self::Method => Reason::BadMethod,
            Self::Missing(_) => Reason::MissingHeader,
            Self::Repeated(_) => Reason::DuplicateHeader,
            Self::Form(_) | Self::Compressed => Reason::BadEncoding,
            Self::Probe => Reason::SigntestProbe,
            Self::SignatureType => Reason::UnsupportedSignatureType,
            Self::Timestamp => Reason::BadTimestamp,
            Self::Window { .. } => Reason::TimestampOutOfWindow,
            Self::UnknownSerial(_) | Self::Expired(_) => Reason::UnknownSerial,
            Self::SignatureLength => Reason::BadSignature,
        }
    }

    fn unknown_key(&self) -> Option<&str> {
        match self {
            Self::UnknownSerial(serial) => Some(serial),
            Self::Method
            | Self::Missing(_)
            | Self::Repeated(_)
            | Self::Form(_)
            | Self::Compressed
            | Self::Probe
            | Self::SignatureType
            | Self::Timestamp
            | Self::Window { .. }
            | Self::Expired(_)
            | Self::SignatureLength => None,
        }
    }
}

impl PayV3 {
    pub(in crate::wechat) fn screen(&self, received: Received<'_>, now: UnixTime) -> Result<Screened, ScreenError> {
        if *received.method != Method::POST {
            return Err(ScreenError::Method);
        }
        let headers = received.headers;
        let timestamp = once(headers, TIMESTAMP)?;
        let nonce = once(headers, NONCE)?;
        let serial = once(headers, SERIAL)?;
        let signature = once(headers, SIGNATURE)?;
        if signature.as_bytes().starts_with(PROBE) {
            return Err(ScreenError::Probe);
        }
        if !head::is_plain(headers) {
            return Err(ScreenError::Compressed);
        }
        is_rsa(headers)?;
        let signed_at = self.within_window(timestamp, now)?;
        if nonce.len() > MAX_NONCE || !nonce.as_bytes().iter().all(|byte| byte.is_ascii_graphic() && *byte != b',') {
            return Err(ScreenError::Form(NONCE));
        }
        let key = self.key_named(serial, now)?;
        let signature = decode(signature)?;
        if signature.len() != key.rsa().signature_len() {
            return Err(ScreenError::SignatureLength);
        }
        Ok(Screened { timestamp: timestamp.clone(), nonce: nonce.clone(), signature, signed_at, key })
    }

    fn within_window(&self, timestamp: &HeaderValue, now: UnixTime) -> Result<UnixTime, ScreenError> {
        head::timestamp(timestamp.as_bytes(), now, self.window).map_err(|error| match error {
            TimestampError::Form => ScreenError::Timestamp,
            TimestampError::Window { seconds, side, window } => ScreenError::Window { seconds, side, window },
        })
    }

    /// The key is chosen by the serial of this message, never by a mode (protocol 1.4). Configured keys come first.
    fn key_named(&self, serial: &HeaderValue, now: UnixTime) -> Result<Arc<VerifyingKey>, ScreenError> {
        if serial.len() > MAX_SERIAL {
            return Err(ScreenError::Form(SERIAL));
        }
        let name = serial.to_str().map_err(|_| ScreenError::Form(SERIAL))?;
        let downloaded = self.downloaded.load();
        let key = self.verifying_keys.iter().chain(downloaded.iter()).find(|key| key.is_named(name));
        let key = key.ok_or_else(|| ScreenError::UnknownSerial(name.escape_default().to_string()))?;
        if key.is_valid(now) { Ok(Arc::clone(key)) } else { Err(ScreenError::Expired(Arc::clone(key.id()))) }
    }
}

impl Screened {
    /// Whether the signature is the key's over these bytes.
    pub(super) fn signs(&self, body: &[u8]) -> bool {
        self.key.rsa().verifies(self.timestamp.as_bytes(), self.nonce.as_bytes(), body, &self.signature)
    }

    #[cfg(fuzzing)]
    pub(super) fn for_fuzzing(keys: &[Arc<VerifyingKey>]) -> Self {
        Self {
            timestamp: HeaderValue::from_static("0"),
            nonce: HeaderValue::from_static("n"),
            signature: Vec::new(),
            signed_at: UnixTime::default(),
            key: Arc::clone(keys.first().expect("an endpoint has a key")),
        }
    }

    pub(super) fn nonce(&self) -> &str {
        // It passed the screen, so it is visible ASCII.
        self.nonce.to_str().unwrap_or_default()
    }

    pub(super) fn signed_at(&self) -> UnixTime {
        self.signed_at
    }

    pub(super) fn key_id(&self) -> &Arc<str> {
        self.key.id()
    }
}

/// A header that must be there, once: two values, even equal ones, could be judged by one and signed by the other.
pub(super) fn once(headers: &HeaderMap, name: HeaderName) -> Result<&HeaderValue, ScreenError> {
    let mut values = headers.get_all(&name).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(ScreenError::Missing(name)),
        (Some(_), Some(_)) => Err(ScreenError::Repeated(name)),
        (Some(value), None) if value.is_empty() => Err(ScreenError::Missing(name)),
        (Some(value), None) => Ok(value),
    }
}

/// Absent or empty means RSA; what is unknown is refused, never ignored (protocol 1.2).
pub(super) fn is_rsa(headers: &HeaderMap) -> Result<(), ScreenError> {
    let mut types = headers.get_all(SIGNATURE_TYPE).iter();
    match (types.next(), types.next()) {
        (_, Some(_)) => Err(ScreenError::Repeated(SIGNATURE_TYPE)),
        (Some(named), None) if !named.is_empty() && named.as_bytes() != RSA.as_bytes() => {
            Err(ScreenError::SignatureType)
        }
        (_, None) => Ok(()),
    }
}

/// Standard alphabet, padded, canonical: one signature has one spelling (protocol 6.17).
pub(super) fn decode(signature: &HeaderValue) -> Result<Vec<u8>, ScreenError> {
    let refused = ScreenError::Form(SIGNATURE);
    if signature.len() > MAX_SIGNATURE {
        return Err(refused);
    }
    base64_simd::STANDARD.decode_to_vec(signature.as_bytes()).map_err(|_| refused)
}
