//! Why a captured Pay v3 request does not pass: the request is judged again in bounded variants (other keys, undone
//! changes of the body, mended headers), and the variant that passes names the [`Cause`]. For `wxgate doctor`; nothing
//! here is on the way of a callback.
//!
//! A variant proves what happened, since nobody but WeChat can make a signature that fits it. What no variant explains
//! stays [`Cause::Unexplained`]: the named key is another one's, or the body was changed in a way that is not listed.

mod body;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::diagnosis::bytes::percent_decoded;
use super::super::diagnosis::{self, causes, found};
use super::super::key::VerifyingKey;
use super::super::{Received, Refusal};
use super::screen::{NONCE, PROBE, SERIAL, SIGNATURE, TIMESTAMP};
use super::{OpenError, PayV3, ScreenError};
use crate::clock::UnixTime;

causes! {
    /// What is wrong with a callback of APIv3.
    pub enum Cause {
        /// Nothing is wrong: it passes.
        Passes = "passes": "nothing is to be done";
        /// A header that the signature needs is there under another name.
        HeaderRenamed = "header-renamed": "let the proxy in front pass the header on under its own name";
        /// A header that the signature needs is not there.
        HeaderLost = "header-lost": "let the proxy in front pass on every `Wechatpay-…` header; some drop what they do not know";
        /// A header came more than once.
        HeaderRepeated = "header-repeated": "find what in front adds the header a second time: a mirror, a retry, a rewrite rule";
        /// A value was changed on its way: blanks, quotes, `+` decoded to a blank, percent signs.
        HeaderChanged = "header-changed": "find what in front rewrites header values: form or URL decoding, a log pipeline, a template";
        /// A signature probe of WeChat's: it has to be refused.
        SigntestProbe = "signtest-probe": "nothing: WeChat tests that forged signatures are refused, and this one was";
        /// Everything fits but the time.
        Clock = "clock": "set the clock of this machine by NTP; for an old capture, say `--now` with the time of its arrival";
        /// Blanks or line ends at the ends of the body were cut off or added.
        BodyTrimmed = "body-trimmed": "let what is in front pass the body on byte for byte: nothing may read it line by line or trim it";
        /// Line ends were changed between CRLF and LF.
        BodyLineEnds = "body-line-ends": "let what is in front pass the body on byte for byte, not as a text file";
        /// A byte order mark was added.
        BodyByteOrderMark = "body-byte-order-mark": "let what is in front pass the body on byte for byte: something writes it as UTF-8 with a mark";
        /// The body was parsed and written again: blanks, the order of members, escapes.
        BodyRewritten = "body-rewritten": "let what is in front pass the body on byte for byte: something binds it to an object and writes it again";
        /// The body was decoded by another character set than UTF-8 and written again.
        BodyCharset = "body-charset": "let what is in front pass the body on byte for byte: something reads it as ISO 8859-1";
        /// The body was decoded as a form.
        BodyFormDecoded = "body-form-decoded": "let what is in front pass the body on byte for byte: something reads it as form parameters";
        /// The body was compressed on its way.
        BodyCompressed = "body-compressed": "switch compression of requests off in what is in front: WeChat never compresses";
        /// The body is empty.
        BodyLost = "body-lost": "find what in front reads the body and does not pass it on: an authentication step, a mirror, a redirect";
        /// The signature is that of another configured key than the one named.
        KeysMixedUp = "keys-mixed-up": "the file configured under the named id holds another key: swap the files of `keys.public` and `keys.certificates`";
        /// The key is configured, under another id.
        KeyUnderOtherId = "key-under-other-id": "give the key in `keys.public` the id that the message names, prefix included, as the merchant platform shows it";
        /// No key of this name is configured, and no configured key fits.
        KeyUnknown = "key-unknown": "add the key that the message names: its platform certificate to `keys.certificates` or its public key to `keys.public`";
        /// The named certificate is not valid at this time.
        KeyExpired = "key-expired": "get the current platform certificate, or let `keys.download` do it";
        /// The signature type is none that is supported.
        SignatureType = "signature-type": "use RSA keys for this merchant; guomi (SM2) and brand signatures are not supported";
        /// The named key does not fit, and nothing else that was tried does.
        Unexplained = "unexplained": "compare the key file with the one on the merchant platform; if it is right, the body was changed on its way: capture it in front of every proxy and try again";
        /// The signature fits, the resource does not decrypt.
        ApiV3Key = "api-v3-key": "set the APIv3 key of the merchant platform (API security, APIv3 key): not the APIv2 key, not another merchant's; after a change keep both for a day";
        /// Genuine, and for another merchant or app.
        OtherMerchant = "other-merchant": "the notify URL of another merchant or app leads here: mend it there, or add the number to `expect`";
        /// Genuine, and not in the form that the protocol describes.
        Form = "form": "tell the maintainers: WeChat sends a form that is not known";
    }
}

/// What came of it.
pub type Diagnosis = diagnosis::Diagnosis<Cause>;

/// The four headers that a signature needs.
const NEEDED: [HeaderName; 4] = [TIMESTAMP, NONCE, SERIAL, SIGNATURE];

impl PayV3 {
    /// Judges a captured request and names what is wrong with it. At most some hundred signatures are checked.
    pub fn diagnose(&self, received: Received<'_>, body: &Bytes, now: UnixTime) -> Diagnosis {
        let refused = match self.screen(received, now) {
            Ok(screened) => match Self::verify(screened, body.clone()) {
                Ok(verified) => {
                    return self
                        .open(verified)
                        .map_or_else(|refusal| opened_not(&refusal), |_| found(Cause::Passes, ""));
                }
                Err(refusal) => refusal.to_string(),
            },
            Err(refusal) => match self.screened_not(received, body, &refusal) {
                Some(diagnosis) => return diagnosis,
                None => refusal.to_string(),
            },
        };
        let Some(stamp) = Stamp::read(received.headers) else { return found(Cause::HeaderLost, refused) };
        self.unsigned(&stamp, received.headers, body, refused)
    }

    /// What the screen itself tells. None: the signature decides.
    fn screened_not(&self, received: Received<'_>, body: &Bytes, refusal: &ScreenError) -> Option<Diagnosis> {
        let cause = match refusal {
            ScreenError::Missing(name) => return Some(missing(received.headers, name)),
            ScreenError::Repeated(_) => Cause::HeaderRepeated,
            ScreenError::Probe => Cause::SigntestProbe,
            ScreenError::Compressed => Cause::BodyCompressed,
            ScreenError::SignatureType => Cause::SignatureType,
            ScreenError::Expired(_) => Cause::KeyExpired,
            ScreenError::Method => Cause::Form,
            ScreenError::Window { .. } => {
                let stamp = Stamp::read(received.headers)?;
                self.key_of(&stamp).filter(|key| stamp.fits(key, body))?;
                Cause::Clock
            }
            ScreenError::Form(_)
            | ScreenError::Timestamp
            | ScreenError::UnknownSerial(_)
            | ScreenError::SignatureLength => return None,
        };
        Some(found(cause, refusal))
    }

    /// The signature does not fit as it is: what makes it fit?
    fn unsigned(&self, stamp: &Stamp, headers: &HeaderMap, body: &Bytes, refused: String) -> Diagnosis {
        let named = self.key_of(stamp);
        let all = self.keys_for_diagnosis();
        if let Some(other) = all.iter().find(|key| stamp.fits(key, body)) {
            let (cause, id) = (if named.is_some() { Cause::KeysMixedUp } else { Cause::KeyUnderOtherId }, other.id());
            return match named {
                Some(named) if named.id() == id => changed_header(stamp, headers),
                _ => found(
                    cause,
                    format_args!(
                        "the signature is that of the key configured as {id}; the message names {}",
                        stamp.serial
                    ),
                ),
            };
        }
        // A key that the message does not name has no say about the body's changes unless it is the only hope.
        let keys: Vec<&Arc<VerifyingKey>> = named.as_ref().map_or_else(|| all.iter().collect(), |key| vec![key]);
        let changes = body::undone(body);
        let undone = changes.iter().find(|change| keys.iter().any(|key| stamp.fits(key, &change.body)));
        if let Some(change) = undone {
            return found(
                change.cause,
                format_args!("the signature is that of the body before it was changed: {}", change.what),
            );
        }
        if body.is_empty() {
            return found(Cause::BodyLost, "the body is empty");
        }
        if stamp.signature.starts_with(PROBE) {
            return found(Cause::SigntestProbe, refused);
        }
        let cause = if named.is_some() { Cause::Unexplained } else { Cause::KeyUnknown };
        found(cause, refused)
    }

    fn key_of(&self, stamp: &Stamp) -> Option<Arc<VerifyingKey>> {
        self.keys_for_diagnosis().into_iter().find(|key| key.is_named(&stamp.serial))
    }

    fn keys_for_diagnosis(&self) -> Vec<Arc<VerifyingKey>> {
        self.verifying_keys.iter().chain(self.downloaded().get().iter()).cloned().collect()
    }
}

/// What was signed beside the body, mended where a proxy is known to bend it.
struct Stamp {
    timestamp: Vec<u8>,
    nonce: Vec<u8>,
    serial: String,
    signature: Vec<u8>,
    decoded: Vec<u8>,
}

impl Stamp {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let value = |name: HeaderName| headers.get(name).map(|value| mended(value.as_bytes()));
        let signature: Vec<u8> =
            value(SIGNATURE)?.into_iter().map(|byte| if byte == b' ' { b'+' } else { byte }).collect();
        let decoded = base64_simd::STANDARD.decode_to_vec(&signature).unwrap_or_default();
        let serial = String::from_utf8_lossy(&value(SERIAL)?).into_owned();
        Some(Self { timestamp: value(TIMESTAMP)?, nonce: value(NONCE)?, serial, signature, decoded })
    }

    fn fits(&self, key: &VerifyingKey, body: &[u8]) -> bool {
        key.rsa().verifies(&self.timestamp, &self.nonce, body, &self.decoded)
    }
}

/// Without quotes, blanks at the ends and percent-encoding.
fn mended(value: &[u8]) -> Vec<u8> {
    let value = value.trim_ascii();
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    percent_decoded(value)
}

/// The signature fits once the values are mended.
fn changed_header(stamp: &Stamp, headers: &HeaderMap) -> Diagnosis {
    let raw = |name: &HeaderName| headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
    let parts = [(TIMESTAMP, &stamp.timestamp), (NONCE, &stamp.nonce), (SIGNATURE, &stamp.signature)];
    let changed = parts.iter().find(|(name, mended)| raw(name) != mended.as_slice());
    let name = changed.map_or(SERIAL, |(name, _)| name.clone());
    found(Cause::HeaderChanged, format_args!("the signature fits once the value of {name} is mended"))
}

/// A needed header that is absent: under another name?
fn missing(headers: &HeaderMap, name: &HeaderName) -> Diagnosis {
    let tail = |name: &str| name.rsplit_once("wechatpay").map(|(_, tail)| tail.replace('_', "-"));
    let wanted = tail(name.as_str());
    let other = headers.keys().find(|other| !NEEDED.contains(other) && tail(other.as_str()) == wanted);
    match other {
        Some(other) => found(Cause::HeaderRenamed, format_args!("{name} came as {other}")),
        None => found(Cause::HeaderLost, format_args!("{name} is absent or empty")),
    }
}

fn opened_not(refusal: &OpenError) -> Diagnosis {
    let cause = match refusal {
        OpenError::BadCiphertext => Cause::ApiV3Key,
        OpenError::Mchid { .. } | OpenError::Appid { .. } => Cause::OtherMerchant,
        OpenError::Envelope(_)
        | OpenError::Resource(_)
        | OpenError::MissingField(_)
        | OpenError::BadName(_)
        | OpenError::UnsupportedAlgorithm => Cause::Form,
    };
    found(cause, format_args!("{}: {refusal}", refusal.reason().code()))
}
