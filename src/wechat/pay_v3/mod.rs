//! WeChat Pay APIv3 notifications (protocol 1). `screen` judges the head, this file verifies and opens, `resource`
//! reads what was inside.

pub mod certificates;
pub mod diagnosis;
mod resource;
mod screen;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::json::{self, At, JsonError, Take};
use super::key::{ApiV3Key, SharedKeys, VerifyingKey};
use super::{Authentic, Freshness, Refusal};
use crate::reason::Reason;

pub use screen::ScreenError;
pub(super) use screen::Screened;

/// The one algorithm of resources that is supported (protocol 1.8).
const AEAD_AES_256_GCM: &str = "AEAD_AES_256_GCM";
/// Longest event id and event type that are taken, in bytes: both go into headers. WeChat's have 36 and 32.
const MAX_NAME: usize = 128;

/// What an endpoint of this protocol is made from.
pub struct Settings {
    /// Largest distance between `Wechatpay-Timestamp` and our clock, past or future; at the distance itself it is refused.
    pub window: Duration,
    /// Keys that may sign, by id. At least one, unless certificates are downloaded.
    pub verifying_keys: Vec<VerifyingKey>,
    /// Certificates that may sign as well, as whoever downloads them has them.
    pub downloaded: SharedKeys,
    /// APIv3 keys, newest first; more than one while the key rotates.
    pub api_v3: Vec<ApiV3Key>,
    /// Merchants that this endpoint serves; empty: any.
    pub mchids: Vec<String>,
    /// Apps that this endpoint serves; empty: any.
    pub appids: Vec<String>,
}

/// WeChat Pay APIv3 with the keys and bindings of one endpoint.
#[derive(Debug)]
pub struct PayV3 {
    window: Duration,
    verifying_keys: Vec<Arc<VerifyingKey>>,
    downloaded: SharedKeys,
    api_v3: Vec<ApiV3Key>,
    mchids: Vec<String>,
    appids: Vec<String>,
}

/// See [`super::Verified`].
#[derive(Debug)]
pub(super) struct Verified {
    screened: Screened,
    body: Bytes,
}

/// A signature that does not pass.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Not the named key's, over these bytes.
    #[error(
        "the signature is not that of key {key} over these bytes: was the body changed on its way, or is the key file another one's?"
    )]
    Signature {
        /// The key that the message named.
        key: Arc<str>,
    },
}

/// A verified callback that does not open, or belongs elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The body.
    #[error("the body is not strict JSON: {0}")]
    Envelope(JsonError),
    /// What was encrypted.
    #[error("the decrypted resource is not strict JSON: {0}")]
    Resource(JsonError),
    /// A member that must be there.
    #[error("`{0}` is absent, empty or no string")]
    MissingField(&'static str),
    /// A name that cannot be WeChat's: it goes into headers, records and the store.
    #[error("`{0}` is longer than {MAX_NAME} bytes or holds control characters")]
    BadName(&'static str),
    /// Another algorithm.
    #[error("resource.algorithm is not {AEAD_AES_256_GCM}; SM4 (guomi) is not supported")]
    UnsupportedAlgorithm,
    /// Does not decrypt.
    #[error(
        "the resource decrypts with none of the endpoint's APIv3 keys: was the key changed on the merchant platform?"
    )]
    BadCiphertext,
    /// Another merchant's.
    #[error("`{field}` is not in expect.mchid: this is another merchant's event, or the number is missing there")]
    Mchid {
        /// The member that named it.
        field: &'static str,
    },
    /// Another app's.
    #[error("`{field}` is not in expect.appid: this is another app's event, or the id is missing there")]
    Appid {
        /// The member that named it.
        field: &'static str,
    },
}

impl Refusal for VerifyError {
    fn reason(&self) -> Reason {
        match self {
            Self::Signature { .. } => Reason::BadSignature,
        }
    }
}

impl Refusal for OpenError {
    fn reason(&self) -> Reason {
        match self {
            Self::Envelope(_) | Self::Resource(_) | Self::BadName(_) => Reason::BadJson,
            Self::MissingField(_) => Reason::MissingField,
            Self::UnsupportedAlgorithm => Reason::UnsupportedAlgorithm,
            Self::BadCiphertext => Reason::BadCiphertext,
            Self::Mchid { .. } => Reason::MchidMismatch,
            Self::Appid { .. } => Reason::AppidMismatch,
        }
    }
}

impl PayV3 {
    /// An endpoint's protocol from its keys and bindings.
    pub fn new(settings: Settings) -> Self {
        let Settings { window, verifying_keys, downloaded, api_v3, mchids, appids } = settings;
        let verifying_keys = verifying_keys.into_iter().map(Arc::new).collect();
        Self { window, verifying_keys, downloaded, api_v3, mchids, appids }
    }

    /// The configured keys that may sign.
    pub fn verifying_keys(&self) -> &[Arc<VerifyingKey>] {
        &self.verifying_keys
    }

    /// The downloaded certificates that may sign now.
    pub fn downloaded(&self) -> &SharedKeys {
        &self.downloaded
    }

    pub(super) fn verify(screened: Screened, body: Bytes) -> Result<Verified, VerifyError> {
        if screened.signs(&body) {
            Ok(Verified { screened, body })
        } else {
            Err(VerifyError::Signature { key: Arc::clone(screened.key_id()) })
        }
    }

    pub(super) fn open(&self, verified: Verified) -> Result<Authentic, OpenError> {
        let Verified { screened, body } = verified;
        let mut envelope = Envelope::default();
        json::read(&body, &mut envelope).map_err(OpenError::Envelope)?;
        let id = required_name(envelope.id, "id")?;
        let event_type = required_name(envelope.event_type, "event_type")?;
        if required(envelope.algorithm, "resource.algorithm")? != AEAD_AES_256_GCM {
            return Err(OpenError::UnsupportedAlgorithm);
        }
        let ciphertext = required(envelope.ciphertext, "resource.ciphertext")?;
        let nonce = required(envelope.nonce, "resource.nonce")?;
        let plaintext = self.decrypt(&nonce, &envelope.associated_data, &ciphertext)?;

        let found = resource::read(&plaintext).map_err(OpenError::Resource)?;
        found.belongs_to(&self.mchids, &self.appids)?;
        let kind = format!("wechatpay.{}", event_type.to_ascii_lowercase());
        let time = envelope.create_time.as_deref().and_then(resource::parse_time);
        let event = found.into_event(id.into_owned(), kind, time, plaintext.clone());
        Ok(Authentic {
            event: Box::new(event),
            freshness: Some(Freshness { nonce: screened.nonce().to_owned(), signed_at: screened.signed_at() }),
            signed_by: Arc::clone(screened.key_id()),
            scheme: Some(screen::RSA),
            reply_to: None,
            received_body: body,
        })
    }

    /// Step 4 without step 3, for [`super::fuzzing`].
    #[cfg(fuzzing)]
    pub(super) fn open_unverified(&self, body: Bytes) -> Result<Authentic, OpenError> {
        self.open(Verified { screened: Screened::for_fuzzing(&self.verifying_keys), body })
    }

    /// The newest key first; during a rotation messages of both come.
    fn decrypt(&self, nonce: &str, associated_data: &str, ciphertext: &str) -> Result<Bytes, OpenError> {
        let ciphertext =
            base64_simd::STANDARD.decode_to_vec(ciphertext.as_bytes()).map_err(|_| OpenError::BadCiphertext)?;
        let open = |key: &ApiV3Key| key.cipher().open(nonce.as_bytes(), associated_data.as_bytes(), &ciphertext);
        self.api_v3.iter().find_map(open).ok_or(OpenError::BadCiphertext)
    }
}

/// What reads a decrypted resource, for [`super::fuzzing`].
#[cfg(fuzzing)]
pub(super) fn read_resource(plaintext: &Bytes) {
    if let Ok(found) = resource::read(plaintext) {
        drop(found.into_event(String::new(), String::new(), None, plaintext.clone()));
    }
}

fn required<'a>(value: Option<Cow<'a, str>>, name: &'static str) -> Result<Cow<'a, str>, OpenError> {
    value.filter(|value| !value.is_empty()).ok_or(OpenError::MissingField(name))
}

fn required_name<'a>(value: Option<Cow<'a, str>>, name: &'static str) -> Result<Cow<'a, str>, OpenError> {
    let value = required(value, name)?;
    let is_name = value.len() <= MAX_NAME && !value.chars().any(char::is_control);
    if is_name { Ok(value) } else { Err(OpenError::BadName(name)) }
}

/// The members of the body that matter (protocol 1.7); unknown ones are read over.
#[derive(Default)]
struct Envelope<'de> {
    id: Option<Cow<'de, str>>,
    create_time: Option<Cow<'de, str>>,
    event_type: Option<Cow<'de, str>>,
    algorithm: Option<Cow<'de, str>>,
    ciphertext: Option<Cow<'de, str>>,
    nonce: Option<Cow<'de, str>>,
    /// Empty if absent or null.
    associated_data: Cow<'de, str>,
}

impl<'de> Take<'de> for Envelope<'de> {
    fn text(&mut self, at: At<'_>, value: Cow<'de, str>) {
        match at {
            At::Top("id") => self.id = Some(value),
            At::Top("create_time") => self.create_time = Some(value),
            At::Top("event_type") => self.event_type = Some(value),
            At::In("resource", "algorithm") => self.algorithm = Some(value),
            At::In("resource", "ciphertext") => self.ciphertext = Some(value),
            At::In("resource", "nonce") => self.nonce = Some(value),
            At::In("resource", "associated_data") => self.associated_data = value,
            At::Top(_) | At::In(..) | At::Each(_) | At::OfEach(..) | At::InEach(..) | At::Elsewhere => {}
        }
    }
}
