//! The download of WeChat's platform certificates, without the downloading (protocol 1.12): how the request is signed, and
//! which certificates an answer proves.
//!
//! An answer is signed like a callback. If it names a key that is trusted already, that key decides before anything is
//! decrypted. If not (the first download, or an answer signed with the newest certificate), what is trusted is that the
//! certificates open with the merchant's APIv3 key and that the connection was WeChat's by TLS; the answer's signature must
//! then be that of a certificate which it brought.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::super::key::{ApiV3Key, KeyError, MerchantKey, VerifyingKey};
use super::screen;
use crate::clock::UnixTime;

/// The scheme of `Authorization`.
const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048";
/// How far the timestamp of an answer may be off, like that of a callback (protocol 1.5).
const WINDOW: Duration = Duration::from_mins(5);
/// Most certificates of one answer. WeChat lists one or two.
const MAX_CERTIFICATES: usize = 32;
const AEAD_AES_256_GCM: &str = "AEAD_AES_256_GCM";

/// A request of the merchant's, as far as it is signed.
#[derive(Clone, Copy, Debug)]
pub struct ToSign<'a> {
    /// `GET`.
    pub method: &'a str,
    /// Path and query as they are sent.
    pub target: &'a str,
    /// Of now.
    pub timestamp: UnixTime,
    /// Random text, 16 to 32 letters and digits.
    pub nonce: &'a str,
    /// Empty for GET.
    pub body: &'a [u8],
}

/// The value of `Authorization` (protocol 1.12: five lines, each ended by a line feed). None only if signing itself fails.
pub fn authorization(key: &MerchantKey, request: ToSign<'_>) -> Option<String> {
    let ToSign { method, target, timestamp, nonce, body } = request;
    let timestamp = timestamp.secs();
    let head = format!("{method}\n{target}\n{timestamp}\n{nonce}\n");
    let signature = base64_simd::STANDARD.encode_to_string(key.rsa().sign(&[head.as_bytes(), body, b"\n"])?);
    Some(format!(
        r#"{SCHEME} mchid="{}",nonce_str="{nonce}",signature="{signature}",timestamp="{timestamp}",serial_no="{}""#,
        key.mchid(),
        key.serial()
    ))
}

/// A platform certificate that was proven, with the PEM to keep.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Its key.
    pub key: Arc<VerifyingKey>,
    /// The certificate in PEM.
    pub pem: Arc<str>,
}

impl Certificate {
    /// From PEM.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Ok(Self { key: Arc::new(VerifyingKey::from_certificate_pem(pem)?), pem: Arc::from(pem) })
    }
}

/// What an answer brought.
#[derive(Debug)]
pub struct Opened {
    /// Proven and valid now. At least one.
    pub certificates: Vec<Certificate>,
    /// What else was listed, by its serial as it was written, and why it was passed over.
    pub passed_over: Vec<(String, EntryError)>,
}

/// Why an answer brings nothing.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// A header that must be there.
    #[error("the answer's header {0} is absent, repeated or malformed: does a proxy on the way change answers?")]
    Header(HeaderName),
    /// A signature probe.
    #[error("a signature probe of WeChat's, refused as it must be; the next try brings the answer")]
    Probe,
    /// Its time.
    #[error("the answer's timestamp is {seconds} s from our clock: is the clock right?")]
    Stale {
        /// How far.
        seconds: u64,
    },
    /// No list.
    #[error("the answer is not a list of certificates")]
    Form,
    /// An empty list.
    #[error("the answer lists no certificate, or more than {MAX_CERTIFICATES}")]
    Count,
    /// The first of its certificates, all of which are no good.
    #[error("no certificate of the answer is of use; the first, {serial}: {cause}")]
    NoneOfUse {
        /// As it was written, shortened.
        serial: String,
        /// Why not.
        cause: EntryError,
    },
    /// The answer names a key that nobody has.
    #[error("the answer is signed with {0}, which is neither trusted nor among the certificates that it brought")]
    UnknownSigner(String),
    /// Its signature.
    #[error("the answer's signature is not that of {0}: somebody on the way changed it")]
    Signature(Arc<str>),
}

/// Why one listed certificate is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Another algorithm.
    #[error("it is encrypted with another algorithm than {AEAD_AES_256_GCM}; guomi is not supported")]
    Algorithm,
    /// Does not open.
    #[error("it opens with none of the APIv3 keys: is keys.api_v3 this merchant's, and was it changed?")]
    Ciphertext,
    /// Opens, and is no certificate of WeChat's.
    #[error(transparent)]
    Certificate(KeyError),
    /// The list says another serial than the certificate.
    #[error("its own serial is {own}")]
    Serial {
        /// The certificate's.
        own: Arc<str>,
    },
    /// Not yet, or no longer.
    #[error("it is not valid now")]
    NotValid,
}

/// The list (protocol 1.12). Its times are not read: the certificates say them themselves, unforgeably.
#[derive(Deserialize)]
struct List {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    serial_no: String,
    encrypt_certificate: Sealed,
}

#[derive(Deserialize)]
struct Sealed {
    algorithm: String,
    nonce: String,
    #[serde(default)]
    associated_data: Option<String>,
    ciphertext: String,
}

/// The certificates that the answer `200` with these headers and this body proves. `trusted` are the keys that are held
/// already: configured and downloaded ones.
pub fn open(
    headers: &HeaderMap,
    body: &[u8],
    api_v3: &[ApiV3Key],
    trusted: &[Arc<VerifyingKey>],
    now: UnixTime,
) -> Result<Opened, AnswerError> {
    let seal = Seal::of(headers, now)?;
    let known = trusted.iter().find(|key| key.is_named(seal.serial) && key.is_valid(now));
    if let Some(key) = known {
        seal.holds(key, body)?;
    }
    let list: List = serde_json::from_slice(body).map_err(|_| AnswerError::Form)?;
    if !(1..=MAX_CERTIFICATES).contains(&list.data.len()) {
        return Err(AnswerError::Count);
    }
    let (mut certificates, mut passed_over) = (Vec::new(), Vec::new());
    for entry in &list.data {
        match entry.open(api_v3, now) {
            Ok(certificate) => certificates.push(certificate),
            Err(cause) => passed_over.push((shown(&entry.serial_no), cause)),
        }
    }
    if certificates.is_empty() {
        let (serial, cause) = passed_over.into_iter().next().ok_or(AnswerError::Count)?;
        return Err(AnswerError::NoneOfUse { serial, cause });
    }
    if known.is_none() {
        let brought = certificates.iter().find(|certificate| certificate.key.is_named(seal.serial));
        let brought = brought.ok_or_else(|| AnswerError::UnknownSigner(shown(seal.serial)))?;
        seal.holds(&brought.key, body)?;
    }
    Ok(Opened { certificates, passed_over })
}

/// What an answer is signed with.
struct Seal<'a> {
    timestamp: &'a HeaderValue,
    nonce: &'a HeaderValue,
    serial: &'a str,
    signature: Vec<u8>,
}

impl<'a> Seal<'a> {
    fn of(headers: &'a HeaderMap, now: UnixTime) -> Result<Self, AnswerError> {
        let once = |name: HeaderName| screen::once(headers, name.clone()).map_err(|_| AnswerError::Header(name));
        let timestamp = once(screen::TIMESTAMP)?;
        let nonce = once(screen::NONCE)?;
        let serial = once(screen::SERIAL)?.to_str().map_err(|_| AnswerError::Header(screen::SERIAL))?;
        let signature = once(screen::SIGNATURE)?;
        if signature.as_bytes().starts_with(screen::PROBE) {
            return Err(AnswerError::Probe);
        }
        let signature = screen::decode(signature).map_err(|_| AnswerError::Header(screen::SIGNATURE))?;
        screen::is_rsa(headers).map_err(|_| AnswerError::Header(screen::SIGNATURE_TYPE))?;
        let at = super::super::head::seconds(timestamp.as_bytes()).ok_or(AnswerError::Header(screen::TIMESTAMP))?;
        let at = UnixTime::from_secs(at);
        let distance = now.since(at).max(at.since(now));
        if distance >= WINDOW {
            return Err(AnswerError::Stale { seconds: distance.as_secs() });
        }
        Ok(Self { timestamp, nonce, serial, signature })
    }

    fn holds(&self, key: &VerifyingKey, body: &[u8]) -> Result<(), AnswerError> {
        let holds = key.rsa().verifies(self.timestamp.as_bytes(), self.nonce.as_bytes(), body, &self.signature);
        if holds { Ok(()) } else { Err(AnswerError::Signature(Arc::clone(key.id()))) }
    }
}

impl Entry {
    fn open(&self, api_v3: &[ApiV3Key], now: UnixTime) -> Result<Certificate, EntryError> {
        let sealed = &self.encrypt_certificate;
        if sealed.algorithm != AEAD_AES_256_GCM {
            return Err(EntryError::Algorithm);
        }
        let ciphertext = base64_simd::STANDARD.decode_to_vec(sealed.ciphertext.as_bytes());
        let ciphertext = ciphertext.map_err(|_| EntryError::Ciphertext)?;
        let aad = sealed.associated_data.as_deref().unwrap_or_default();
        let mut opened =
            api_v3.iter().filter_map(|key| key.cipher().open(sealed.nonce.as_bytes(), aad.as_bytes(), &ciphertext));
        let pem = opened.next().ok_or(EntryError::Ciphertext)?;
        let pem = std::str::from_utf8(&pem).map_err(|_| EntryError::Certificate(KeyError::NotPem))?;
        let certificate = Certificate::from_pem(pem).map_err(EntryError::Certificate)?;
        if !certificate.key.is_named(&self.serial_no) {
            return Err(EntryError::Serial { own: Arc::clone(certificate.key.id()) });
        }
        if certificate.key.is_valid(now) { Ok(certificate) } else { Err(EntryError::NotValid) }
    }
}

/// A serial for people: printable, and no longer than serials are.
fn shown(serial: &str) -> String {
    serial.chars().take(64).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn cases(op: &str) -> Vec<serde_json::Value> {
        let all: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../../../tests/vectors/crypt.json")).unwrap();
        let fitting: Vec<_> = all.into_iter().filter(|case| case["op"] == op).collect();
        assert!(!fitting.is_empty(), "no vectors for {op}");
        fitting
    }

    fn text(value: &serde_json::Value) -> String {
        value.as_str().unwrap().to_owned()
    }

    fn secret(value: &serde_json::Value) -> Secret {
        Secret::new(text(value).into_bytes())
    }

    fn decoded(value: &serde_json::Value) -> Vec<u8> {
        base64_simd::STANDARD.decode_to_vec(text(value)).unwrap()
    }

    #[test]
    fn a_request_is_signed_as_every_vector_says() {
        for case in cases("v3-authorization") {
            let input = &case["input"];
            let (mchid, serial) = (text(&input["mchid"]), text(&input["serial_no"]));
            let key = MerchantKey::from_pem(&mchid, &serial, &secret(&input["private_key_pem"])).unwrap();
            let request = ToSign {
                method: &text(&input["method"]),
                target: &text(&input["url"]),
                timestamp: UnixTime::from_secs(text(&input["timestamp"]).parse().unwrap()),
                nonce: &text(&input["nonce_str"]),
                body: &decoded(&input["body_b64"]),
            };
            let header = authorization(&key, request).unwrap();
            for (name, value) in [
                ("mchid", mchid),
                ("serial_no", serial),
                ("nonce_str", text(&input["nonce_str"])),
                ("timestamp", text(&input["timestamp"])),
                ("signature", text(&case["expect"]["signature"])),
            ] {
                assert!(header.contains(&format!("{name}=\"{value}\"")), "{name} of {}: {header}", case["name"]);
            }
            assert!(header.starts_with("WECHATPAY2-SHA256-RSA2048 "), "{header}");
        }
    }

    struct Answer {
        headers: HeaderMap,
        body: Vec<u8>,
        api_v3: Vec<ApiV3Key>,
        trusted: Vec<Arc<VerifyingKey>>,
        now: UnixTime,
    }

    impl Answer {
        fn of(case: &serde_json::Value) -> Self {
            let input = &case["input"];
            let mut headers = HeaderMap::new();
            for header in input["headers"].as_array().unwrap() {
                let name = HeaderName::from_bytes(text(&header[0]).as_bytes()).unwrap();
                headers.append(name, HeaderValue::from_str(&text(&header[1])).unwrap());
            }
            let trusted = input["trusted"].as_object().unwrap().values();
            Self {
                headers,
                body: decoded(&input["body_b64"]),
                api_v3: vec![ApiV3Key::new(&secret(&input["apiv3_key"])).unwrap()],
                trusted: trusted.map(|pem| Certificate::from_pem(&text(pem)).unwrap().key).collect(),
                now: UnixTime::from_secs(input["now"].as_i64().unwrap()),
            }
        }

        fn named(name: &str) -> Self {
            Self::of(cases("v3-certificates-response").iter().find(|case| case["name"] == name).unwrap())
        }

        fn open(&self) -> Result<Opened, AnswerError> {
            open(&self.headers, &self.body, &self.api_v3, &self.trusted, self.now)
        }
    }

    fn is_for(error: &AnswerError, reason: &str) -> bool {
        match reason {
            "bad-signature" => matches!(error, AnswerError::Signature(_)),
            "bad-ciphertext" => matches!(error, AnswerError::NoneOfUse { cause: EntryError::Ciphertext, .. }),
            "bad-certificate" => matches!(error, AnswerError::NoneOfUse { cause: EntryError::Certificate(_), .. }),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn answers_are_judged_as_every_vector_says() {
        for case in cases("v3-certificates-response") {
            match Answer::of(&case).open() {
                Ok(opened) => {
                    let expected = case["expect"]["certificates"].as_object().unwrap();
                    assert_eq!(opened.certificates.len(), expected.len(), "{}", case["name"]);
                    for certificate in &opened.certificates {
                        let pem = expected[&**certificate.key.id()].as_str().unwrap();
                        assert_eq!(certificate.pem.trim(), pem.trim(), "{}", case["name"]);
                    }
                }
                Err(error) => assert!(is_for(&error, &text(&case["expect"]["reason"])), "{}: {error}", case["name"]),
            }
        }
    }

    #[test]
    fn an_answer_is_fresh_and_whole_or_nothing() {
        let good = || Answer::named("certs-bootstrap-one");
        for off in [-300, 300, 86_400] {
            let moved = UnixTime::from_secs(good().now.secs() + off);
            let stale = Answer { now: moved, ..good() }.open().unwrap_err();
            assert!(matches!(stale, AnswerError::Stale { .. }), "{stale}");
        }
        for name in ["wechatpay-timestamp", "wechatpay-nonce", "wechatpay-serial", "wechatpay-signature"] {
            let mut without = good();
            let value = without.headers.remove(name).unwrap();
            assert!(matches!(without.open(), Err(AnswerError::Header(_))), "without {name}");
            without.headers.append(HeaderName::from_static(name), value.clone());
            assert!(without.open().is_ok());
            without.headers.append(HeaderName::from_static(name), value);
            assert!(matches!(without.open(), Err(AnswerError::Header(_))), "{name} twice");
        }
        let mut probe = good();
        probe.headers.insert("wechatpay-signature", HeaderValue::from_static("WECHATPAY/SIGNTEST/AAAA"));
        assert!(matches!(probe.open(), Err(AnswerError::Probe)));
        let mut guomi = good();
        guomi.headers.insert("wechatpay-signature-type", HeaderValue::from_static("WECHATPAY2-SM2-WITH-SM3"));
        assert!(matches!(guomi.open(), Err(AnswerError::Header(_))));
        let mut changed = good();
        changed.body.push(b' ');
        assert!(matches!(changed.open(), Err(AnswerError::Signature(_))));
        let mut cut = good();
        cut.body.truncate(100);
        assert!(matches!(cut.open(), Err(AnswerError::Form)));
        cut.body = br#"{"data":[]}"#.to_vec();
        assert!(matches!(cut.open(), Err(AnswerError::Count)));
    }

    #[test]
    fn a_trusted_signer_decides_before_anything_is_decrypted() {
        let mut answer = Answer::named("certs-bootstrap-one");
        answer.trusted = answer.open().unwrap().certificates.into_iter().map(|certificate| certificate.key).collect();
        assert!(answer.open().is_ok());
        answer.body = b"{}".to_vec();
        assert!(matches!(answer.open(), Err(AnswerError::Signature(_))), "before it is read");
        answer.body.clear();
        answer.headers.insert("wechatpay-serial", HeaderValue::from_static("0A1B"));
        let list = Answer { headers: answer.headers, ..Answer::named("certs-bootstrap-one") };
        assert!(matches!(list.open(), Err(AnswerError::UnknownSigner(serial)) if serial == "0A1B"));
    }

    #[test]
    fn a_certificate_that_has_ended_is_passed_over() {
        let answer = Answer::named("certs-bootstrap-one");
        let end = answer.open().unwrap().certificates[0].key.not_after().unwrap();
        let mut late = answer;
        late.now = end.plus(Duration::from_hours(25));
        late.headers.insert("wechatpay-timestamp", HeaderValue::from(late.now.secs()));
        let error = late.open().unwrap_err();
        assert!(matches!(error, AnswerError::NoneOfUse { cause: EntryError::NotValid, .. }), "{error}");
    }

    #[test]
    fn a_merchants_key_is_taken_in_both_encodings_and_nothing_else_is() {
        let case = &cases("v3-authorization")[0];
        let pem = text(&case["input"]["private_key_pem"]);
        let of = |pem: &str| MerchantKey::from_pem("1900000001", "ab01", &Secret::new(pem.as_bytes().to_vec()));
        let key = of(&pem).unwrap();
        assert_eq!((&**key.mchid(), &**key.serial()), ("1900000001", "AB01"));
        assert!(key == of(&pem).unwrap());
        assert!(key.vouches(b"list", &key.mac(b"list")) && !key.vouches(b"List", &key.mac(b"list")));
        assert!(!format!("{key:?}").contains("MII"));
        for wrong in ["", "MIIE", &pem.replace("PRIVATE", "PUBLIC"), &pem.replace("MII", "AAA"), &pem.repeat(2)] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
