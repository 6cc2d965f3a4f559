//! WeChat Pay v2 notifications (protocol 2): XML that is signed inside its body, or, of refunds, not signed but encrypted.
//! `fields` is what is signed, `sign` the signature, `notice` what is said.
//!
//! Nothing that is signed is fresh: no timestamp, no nonce of one use. What a captured notification is worth is decided
//! by the event's identity (the payment and how it ended) and how long that is remembered; beside it stand an oldest
//! `time_end` and the list of source addresses.
//!
//! A refund has no integrity: AES-ECB lets blocks be dropped, repeated and spliced from other captured refunds (protocol
//! 2.4). What is left of it must be whole: strict XML, every member of a refund, each in its form, once.

pub mod diagnosis;
mod fields;
mod notice;
mod sign;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::key::ApiV2Key;
use super::xml::{self, XmlError};
use super::{Authentic, Received, Refusal, head};
use crate::clock::UnixTime;
use crate::event::Event;
use crate::reason::Reason;
use fields::Fields;
use sign::Algorithm;

/// The members that name the merchant and the app: each that is there must be the endpoint's. Partners' `sub_` members
/// name others.
const MCHIDS: [&str; 2] = ["mch_id", "combine_mch_id"];
const APPIDS: [&str; 2] = ["appid", "combine_appid"];
/// What is said to encrypt a refund, in [`Authentic::signed_by`].
const AES: &str = "AES-256-ECB";

/// What an endpoint of this protocol is made from.
pub struct Settings {
    /// APIv2 keys, newest first; more than one while the key rotates. At least one.
    pub api_v2: Vec<ApiV2Key>,
    /// The algorithm that the merchant's orders ask for.
    pub sign_type: SignType,
    /// Merchants that this endpoint serves; empty: any.
    pub mchids: Vec<String>,
    /// Apps that this endpoint serves; empty: any.
    pub appids: Vec<String>,
    /// How long ago, at most, a payment or refund may have happened; none: any time. WeChat tells for 24 hours.
    pub max_age: Option<Duration>,
}

/// The algorithm of signatures. The endpoint decides: a message that may choose it chooses the weaker one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignType {
    /// MD5, which WeChat uses where an order names none.
    Md5,
    /// HMAC-SHA256.
    HmacSha256,
    /// Both, for orders of both kinds. Forging takes no more than the weaker one.
    Either,
}

/// WeChat Pay v2 with the keys and bindings of one endpoint.
#[derive(Debug)]
pub struct PayV2 {
    api_v2: Vec<ApiV2Key>,
    sign_type: SignType,
    mchids: Vec<String>,
    appids: Vec<String>,
    max_age: Option<Duration>,
}

/// See [`super::Screened`].
#[derive(Debug)]
pub(super) struct Screened {
    now: UnixTime,
}

/// See [`super::Verified`].
#[derive(Debug)]
pub(super) struct Verified {
    now: UnixTime,
    fields: Fields,
    proof: Proof,
    signed_by: Arc<str>,
    body: Bytes,
}

/// What shows that it is WeChat's.
#[derive(Debug)]
enum Proof {
    /// The signature over the members, by which algorithm. Holds them as JSON.
    Signature(Bytes, Algorithm),
    /// That this was encrypted with the key.
    Encryption(Bytes),
}

/// A head that does not pass.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// Not POST.
    #[error("WeChat Pay notifies by POST")]
    Method,
    /// Compressed.
    #[error("the body is compressed, which WeChat never does: what is in front must pass bodies on as they are")]
    Compressed,
}

/// A notification that is not shown to be WeChat's.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The body.
    #[error("the body is not strict XML: {0}")]
    Xml(#[from] XmlError),
    /// Another document.
    #[error("the root element is not `xml`")]
    Root,
    /// No `return_code`.
    #[error("`return_code` is absent or empty")]
    NoReturnCode,
    /// WeChat says that something went wrong.
    #[error("`return_code` is not SUCCESS: the notification is not signed and tells nothing")]
    ReturnCode,
    /// No `sign`.
    #[error("`sign` is absent or empty")]
    Unsigned,
    /// Another's, or changed.
    #[error(
        "the signature is by none of the endpoint's APIv2 keys over these values: is keys.api_v2 the v2 key (not the APIv3 key), and was the body passed on as it was?"
    )]
    Signature,
    /// By an algorithm that the endpoint does not take.
    #[error("the signature is genuine, but by {found}: set sign_type = \"{found}\" if that is what the orders ask for")]
    SignType {
        /// By what it is.
        found: &'static str,
    },
    /// Names an algorithm that the endpoint does not take.
    #[error("`sign_type` names another algorithm than the endpoint's sign_type: the message may not choose it")]
    SignTypeNamed,
    /// Does not decrypt.
    #[error(
        "`req_info` decrypts with none of the endpoint's APIv2 keys: was the key changed on the merchant platform?"
    )]
    BadCiphertext,
}

/// A verified notification that says nothing of use, or belongs elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// What was encrypted.
    #[error("the decrypted `req_info` is not strict XML: {0}")]
    Xml(#[from] XmlError),
    /// Another document.
    #[error("the root element of `req_info` is not `root`")]
    Root,
    /// A member that must be there.
    #[error("`{0}` is absent or empty")]
    MissingField(&'static str),
    /// A member that cannot be WeChat's.
    #[error("`{0}` has a form or a value that WeChat never sends")]
    Form(&'static str),
    /// A member inside another one.
    #[error("`{0}` is hidden in the value before it, which signs the same: a genuine notification was written again")]
    Hidden(&'static str),
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
    /// Older than `max_age`, or of the future.
    #[error("it happened {seconds} s {side} our clock; max_age is {max_age} s")]
    Age {
        /// How far.
        seconds: u64,
        /// Which side.
        side: &'static str,
        /// What is allowed.
        max_age: u64,
    },
}

impl Refusal for ScreenError {
    fn reason(&self) -> Reason {
        match self {
            Self::Method => Reason::BadMethod,
            Self::Compressed => Reason::BadEncoding,
        }
    }
}

impl Refusal for VerifyError {
    fn reason(&self) -> Reason {
        match self {
            Self::Xml(_) | Self::Root => Reason::BadXml,
            Self::NoReturnCode => Reason::MissingField,
            Self::ReturnCode => Reason::ReturnCodeFail,
            Self::Unsigned | Self::Signature => Reason::BadSignature,
            Self::SignType { .. } | Self::SignTypeNamed => Reason::SignTypeMismatch,
            Self::BadCiphertext => Reason::BadCiphertext,
        }
    }
}

impl Refusal for OpenError {
    fn reason(&self) -> Reason {
        match self {
            Self::Xml(_) | Self::Root | Self::Form(_) => Reason::BadXml,
            Self::MissingField(_) | Self::Hidden(_) => Reason::MissingField,
            Self::Mchid { .. } => Reason::MchidMismatch,
            Self::Appid { .. } => Reason::AppidMismatch,
            Self::Age { .. } => Reason::TimestampOutOfWindow,
        }
    }
}

impl PayV2 {
    /// An endpoint's protocol from its keys and bindings.
    pub fn new(settings: Settings) -> Self {
        let Settings { api_v2, sign_type, mchids, appids, max_age } = settings;
        Self { api_v2, sign_type, mchids, appids, max_age }
    }

    /// Method and encoding: a v2 head has nothing else to judge.
    pub(super) fn screen(received: Received<'_>, now: UnixTime) -> Result<Screened, ScreenError> {
        if *received.method != Method::POST {
            return Err(ScreenError::Method);
        }
        if head::is_plain(received.headers) { Ok(Screened { now }) } else { Err(ScreenError::Compressed) }
    }

    /// The signature over exactly the values received; of a refund, which has none, the encryption.
    #[allow(clippy::needless_pass_by_value)] // each step consumes the last
    pub(super) fn verify(&self, screened: Screened, body: Bytes) -> Result<Verified, VerifyError> {
        let Screened { now } = screened;
        let root = xml::read(&body)?;
        if root.name() != "xml" {
            return Err(VerifyError::Root);
        }
        let fields = Fields::of(&root)?;
        if fields.get("return_code").ok_or(VerifyError::NoReturnCode)? != "SUCCESS" {
            return Err(VerifyError::ReturnCode);
        }
        let (proof, signed_by) = if fields.has("req_info") && !fields.has("sign") {
            let (plaintext, signed_by) = self.decrypt(&fields)?;
            (Proof::Encryption(plaintext), signed_by)
        } else {
            let (place, algorithm) = sign::check(&fields, &self.api_v2, self.sign_type)?;
            (Proof::Signature(root.to_json().into(), algorithm), signed_by(place, algorithm.name()))
        };
        Ok(Verified { now, fields, proof, signed_by, body })
    }

    pub(super) fn open(&self, verified: Verified) -> Result<Authentic, OpenError> {
        let Verified { now, fields, proof, signed_by, body } = verified;
        let (event, scheme) = match proof {
            Proof::Signature(json, algorithm) => (notice::signed_event(&fields, json)?, Some(algorithm.name())),
            Proof::Encryption(plaintext) => {
                let root = xml::read(&plaintext)?;
                if root.name() != "root" {
                    return Err(OpenError::Root);
                }
                (notice::refund_event(&fields, &Fields::of(&root)?, root.to_json().into())?, None)
            }
        };
        self.owns(&fields)?;
        self.is_recent(&event, now)?;
        let event = Box::new(event);
        Ok(Authentic { event, freshness: None, signed_by, scheme, reply_to: None, received_body: body })
    }

    /// The newest key first. A wrong key passes the padding once in 256 times, so that what it gives must look like XML.
    fn decrypt(&self, fields: &Fields) -> Result<(Bytes, Arc<str>), VerifyError> {
        let ciphertext = fields.get("req_info").ok_or(VerifyError::BadCiphertext)?;
        let ciphertext =
            base64_simd::STANDARD.decode_to_vec(ciphertext.as_bytes()).map_err(|_| VerifyError::BadCiphertext)?;
        let open = |(place, key): (usize, &ApiV2Key)| {
            let plaintext = key.refund_cipher().open(ciphertext.clone())?;
            plaintext.starts_with(b"<").then(|| (plaintext, signed_by(place, AES)))
        };
        self.api_v2.iter().enumerate().find_map(open).ok_or(VerifyError::BadCiphertext)
    }

    /// Each merchant and app that is named must be one of the endpoint's.
    fn owns(&self, fields: &Fields) -> Result<(), OpenError> {
        let stranger = |names: [&'static str; 2], expected: &[String]| {
            let is_stranger = |name: &&str| fields.get(name).is_some_and(|value| !expected.iter().any(|e| e == value));
            if expected.is_empty() { None } else { names.into_iter().find(is_stranger) }
        };
        if let Some(field) = stranger(MCHIDS, &self.mchids) {
            return Err(OpenError::Mchid { field });
        }
        stranger(APPIDS, &self.appids).map_or(Ok(()), |field| Err(OpenError::Appid { field }))
    }

    /// Of what has happened at no known time nothing can be said: a combined payment, or a refund that did not succeed.
    fn is_recent(&self, event: &Event, now: UnixTime) -> Result<(), OpenError> {
        let Some((max_age, time)) = self.max_age.zip(event.time) else { return Ok(()) };
        let distance = now.since(time).max(time.since(now));
        if distance < max_age {
            return Ok(());
        }
        let side = if time > now { "ahead of" } else { "behind" };
        Err(OpenError::Age { seconds: distance.as_secs(), side, max_age: max_age.as_secs() })
    }
}

/// Which of the endpoint's keys it was, and by what.
fn signed_by(place: usize, algorithm: &str) -> Arc<str> {
    Arc::from(format!("keys.api_v2[{place}] {algorithm}"))
}

/// The signature that WeChat would put under this body, and whether the body with it has to pass, for [`super::fuzzing`].
#[cfg(fuzzing)]
pub(super) fn sign_for_fuzzing(body: &[u8], key: &ApiV2Key, is_hmac: bool) -> Option<(String, bool)> {
    let root = xml::read(body).ok()?;
    let fields = Fields::of(&root).ok()?;
    let algorithm = if is_hmac { Algorithm::HmacSha256 } else { Algorithm::Md5 };
    let is_whole = fields.get("return_code") == Some("SUCCESS") && !fields.has("sign");
    let is_named = fields.get("sign_type").is_none_or(|named| named == algorithm.name());
    Some((algorithm.sign(key, &fields), is_whole && is_named && root.children().len() < xml::MAX_CHILDREN))
}
