//! Keys that verify and open callbacks: parsed once, kept parsed. The commonest mistake with WeChat's keys is to put one
//! where another belongs, so each error says what was found and what to put there instead.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;

use super::crypto::{
    self, Aes256Cbc, Aes256Ecb, Aes256Gcm, BLOCK, HmacSha256, RsaKeyError, RsaPrivateKey, RsaPublicKey, without_sign,
};
use crate::clock::UnixTime;
use crate::secret::Secret;

/// What ids of public keys begin with. The prefix is part of the id (protocol 1.4).
pub(super) const PUBLIC_KEY_ID: &str = "PUB_KEY_ID_";
/// How far a certificate's validity is stretched on both sides.
const VALIDITY_TOLERANCE: Duration = Duration::from_hours(24);
/// Most digits after the prefix.
const ID_DIGITS: usize = 64;

/// One RSA public key that may sign callbacks, with the id that `Wechatpay-Serial` names it by.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    id: Arc<str>,
    key: RsaPublicKey,
    valid: Option<(UnixTime, UnixTime)>,
}

/// Why a key cannot be used. Says what was found and what to put there instead; never key material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM.
    #[error("this is not PEM: the file must hold a `-----BEGIN …-----` block, as it was downloaded")]
    NotPem,
    /// More than one block.
    #[error("this file holds {0} PEM blocks: put each certificate or key in a file of its own, and name each")]
    SeveralBlocks(usize),
    /// A certificate where a public key belongs.
    #[error("this is a certificate, not a public key: name it in `keys.certificates`")]
    CertificateNotKey,
    /// A public key where a certificate belongs.
    #[error("this is a public key, not a certificate: name it in `keys.public`, with its PUB_KEY_ID_…")]
    KeyNotCertificate,
    /// A private key.
    #[error(
        "this is a private key: WeChat's own public key or platform certificate belongs here; keep the private key away from the gateway"
    )]
    PrivateKey,
    /// The merchant's own certificate.
    #[error(
        "this is the merchant's own API certificate (apiclient_cert.pem), which never verifies a callback: take WeChat's platform certificate, or its public key"
    )]
    MerchantCertificate,
    /// Something else where the merchant's private key belongs.
    #[error(
        "this is no RSA private key in PEM: the merchant's apiclient_key.pem belongs here, which begins with `-----BEGIN PRIVATE KEY-----`"
    )]
    NotPrivateKey,
    /// PEM of something else.
    #[error("this PEM block is `{0}`, neither a certificate nor a public key")]
    OtherPem(String),
    /// A certificate that does not parse.
    #[error("the certificate is damaged: download it again")]
    BadCertificate,
    /// Not RSA.
    #[error("this is not an RSA public key; SM2 (guomi) keys are not supported")]
    NotRsa,
    /// Too small or too large.
    #[error("the RSA key has {bits} bits; 2048 to 4096 are accepted")]
    Size {
        /// Its size.
        bits: usize,
    },
    /// An id of another form.
    #[error("the id is not `PUB_KEY_ID_` and digits: copy it whole from WeChat's merchant platform, prefix included")]
    PublicKeyId,
    /// A message push token of another form.
    #[error("a token has 3 to 32 letters and digits, this one has {len} characters{}", line_end_hint(*.line_end))]
    Token {
        /// Its length in bytes.
        len: usize,
        /// Whether it ends with a line feed.
        line_end: bool,
    },
    /// An EncodingAESKey of another form.
    #[error(
        "an EncodingAESKey has exactly 43 letters and digits, this one has {len} characters{}",
        line_end_hint(*.line_end)
    )]
    EncodingAesKey {
        /// Its length in bytes.
        len: usize,
        /// Whether it ends with a line feed.
        line_end: bool,
    },
    /// An APIv3 key of another length.
    #[error("an APIv3 key has exactly 32 bytes, this one has {len}{}", line_end_hint(*.line_end))]
    ApiV3Length {
        /// Its length in bytes.
        len: usize,
        /// Whether it ends with a line feed.
        line_end: bool,
    },
    /// An APIv2 key of another form.
    #[error("an APIv2 key has exactly 32 letters and digits, this one has {len} bytes{}", line_end_hint(*.line_end))]
    ApiV2Form {
        /// Its length in bytes.
        len: usize,
        /// Whether it ends with a line feed.
        line_end: bool,
    },
}

fn line_end_hint(line_end: bool) -> &'static str {
    if line_end { ", a line feed at its end included: remove that" } else { "" }
}

impl VerifyingKey {
    /// Whether it is a bare public key, without a certificate around it.
    pub fn is_public_key(&self) -> bool {
        self.valid.is_none()
    }

    /// Whether its certificate is valid at `now`, with a day's tolerance on both sides: clocks differ, and a callback may
    /// be late. A bare public key always is.
    pub fn is_valid(&self, now: UnixTime) -> bool {
        self.valid.is_none_or(|(not_before, not_after)| {
            not_after.plus(VALIDITY_TOLERANCE) >= now && not_before.minus(VALIDITY_TOLERANCE) <= now
        })
    }

    /// From a platform certificate in PEM; its id is the certificate's serial.
    pub fn from_certificate_pem(pem: &str) -> Result<Self, KeyError> {
        let pem = block(pem)?;
        match pem.label.as_str() {
            "CERTIFICATE" => {}
            "PUBLIC KEY" | "RSA PUBLIC KEY" => return Err(KeyError::KeyNotCertificate),
            other => return Err(misplaced(other)),
        }
        let certificate = pem.parse_x509().map_err(|_| KeyError::BadCertificate)?;
        if is_merchants(&certificate) {
            return Err(KeyError::MerchantCertificate);
        }
        let key = RsaPublicKey::from_der(certificate.public_key().raw)?;
        let validity = certificate.validity();
        let moment = |time: x509_parser::time::ASN1Time| UnixTime::from_secs(time.timestamp());
        let serial = upper_hex(without_sign(certificate.raw_serial()));
        Ok(Self { id: Arc::from(serial), key, valid: Some((moment(validity.not_before), moment(validity.not_after))) })
    }

    /// From WeChat Pay's public key in PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`) and its `PUB_KEY_ID_…`.
    pub fn from_public_key_pem(id: &str, pem: &str) -> Result<Self, KeyError> {
        let digits = id.strip_prefix(PUBLIC_KEY_ID).ok_or(KeyError::PublicKeyId)?;
        if digits.is_empty() || digits.len() > ID_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(KeyError::PublicKeyId);
        }
        let pem = block(pem)?;
        match pem.label.as_str() {
            "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
            "CERTIFICATE" => return Err(KeyError::CertificateNotKey),
            other => return Err(misplaced(other)),
        }
        Ok(Self { id: Arc::from(id), key: RsaPublicKey::from_der(&pem.contents)?, valid: None })
    }

    /// The certificate's serial (upper-case hex) or the public key's id.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// End of validity; a bare public key has none.
    pub fn not_after(&self) -> Option<UnixTime> {
        self.valid.map(|(_, not_after)| not_after)
    }

    /// Begin of validity; a bare public key has none.
    pub fn not_before(&self) -> Option<UnixTime> {
        self.valid.map(|(not_before, _)| not_before)
    }

    /// Whether `serial` is this key's. The hex of a certificate may come in either case, and without the zero that a
    /// serial begins with (protocol 1.4); the id of a public key is compared byte for byte.
    pub(super) fn is_named(&self, serial: &str) -> bool {
        if self.valid.is_none() {
            return *self.id == *serial;
        }
        serial.eq_ignore_ascii_case(&self.id)
            || self.id.strip_prefix('0').is_some_and(|short| serial.eq_ignore_ascii_case(short))
    }

    pub(super) fn rsa(&self) -> &RsaPublicKey {
        &self.key
    }
}

/// Keys that come and go while callbacks are verified: downloaded certificates. Clones share them. A reader sees one set
/// from start to end and takes no lock; whoever downloads swaps the set whole.
#[derive(Clone, Default)]
pub struct SharedKeys(Arc<ArcSwap<Vec<Arc<VerifyingKey>>>>);

impl SharedKeys {
    /// From now on these.
    pub fn set(&self, keys: Vec<Arc<VerifyingKey>>) {
        self.0.store(Arc::new(keys));
    }

    /// Those of now.
    pub fn get(&self) -> Arc<Vec<Arc<VerifyingKey>>> {
        self.0.load_full()
    }

    pub(super) fn load(&self) -> Guard<Arc<Vec<Arc<VerifyingKey>>>> {
        self.0.load()
    }
}

impl fmt::Debug for SharedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedKeys").field(&self.0.load()).finish()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifyingKey").field(&self.id).finish()
    }
}

impl From<RsaKeyError> for KeyError {
    fn from(error: RsaKeyError) -> Self {
        match error {
            RsaKeyError::NotRsa => Self::NotRsa,
            RsaKeyError::Size(bits) => Self::Size { bits },
        }
    }
}

/// The one block of a file. Of several the rest would be left out without a word.
fn block(text: &str) -> Result<Pem, KeyError> {
    let blocks = text.lines().filter(|line| line.trim_start().starts_with("-----BEGIN ")).count();
    if blocks > 1 {
        return Err(KeyError::SeveralBlocks(blocks));
    }
    x509_parser::pem::parse_x509_pem(text.as_bytes()).map(|(_, pem)| pem).map_err(|_| KeyError::NotPem)
}

fn misplaced(label: &str) -> KeyError {
    if label.ends_with("PRIVATE KEY") {
        return KeyError::PrivateKey;
    }
    KeyError::OtherPem(label.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(40).collect())
}

fn upper_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}

/// WeChat's certificates for merchants name the merchant number and 微信商户系统; its own name Tenpay.com.
fn is_merchants(certificate: &X509Certificate<'_>) -> bool {
    let subject = certificate.subject();
    let organization = subject.iter_organization().filter_map(|name| name.as_str().ok());
    let mut common_name = subject.iter_common_name().filter_map(|name| name.as_str().ok());
    organization.into_iter().any(|name| name == "微信商户系统")
        || common_name.any(|name| (8..=10).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_digit()))
}

/// An APIv3 key: 32 bytes, used as they are. Equal to another of the same bytes.
#[derive(Clone)]
pub struct ApiV3Key {
    cipher: Arc<Aes256Gcm>,
    secret: Secret,
}

impl ApiV3Key {
    /// Refuses any other length than 32, with a remedy.
    pub fn new(secret: &Secret) -> Result<Self, KeyError> {
        let bytes = secret.expose();
        let refused = KeyError::ApiV3Length { len: bytes.len(), line_end: bytes.ends_with(b"\n") };
        let cipher = Arc::new(Aes256Gcm::new(bytes).ok_or(refused)?);
        Ok(Self { cipher, secret: secret.clone() })
    }

    pub(super) fn cipher(&self) -> &Aes256Gcm {
        &self.cipher
    }
}

impl PartialEq for ApiV3Key {
    fn eq(&self, other: &Self) -> bool {
        self.secret == other.secret
    }
}

impl Eq for ApiV3Key {}

/// The merchant's own API key, with which it signs what it asks of WeChat. It never verifies a callback. Equal to another
/// of the same number, serial and key.
#[derive(Clone)]
pub struct MerchantKey {
    mchid: Arc<str>,
    serial: Arc<str>,
    key: Arc<RsaPrivateKey>,
}

/// What the MAC of a merchant's key is for.
const MAC_PURPOSE: &[u8] = b"wxgate downloaded certificates 1";

impl MerchantKey {
    /// From `apiclient_key.pem` (`PRIVATE KEY` or `RSA PRIVATE KEY`), the merchant's number, and the serial of the API
    /// certificate that belongs to the key.
    pub fn from_pem(mchid: &str, serial: &str, pem: &Secret) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(pem.expose()).map_err(|_| KeyError::NotPrivateKey)?;
        let is_several = |error: &KeyError| matches!(error, KeyError::SeveralBlocks(_));
        let pem = block(text).map_err(|error| if is_several(&error) { error } else { KeyError::NotPrivateKey })?;
        if !matches!(pem.label.as_str(), "PRIVATE KEY" | "RSA PRIVATE KEY") {
            return Err(KeyError::NotPrivateKey);
        }
        let der = zeroize::Zeroizing::new(pem.contents);
        let key = RsaPrivateKey::from_der(&der, MAC_PURPOSE).map_err(|error| match error {
            RsaKeyError::NotRsa => KeyError::NotPrivateKey,
            RsaKeyError::Size(bits) => KeyError::Size { bits },
        })?;
        Ok(Self { mchid: Arc::from(mchid), serial: Arc::from(serial.to_ascii_uppercase()), key: Arc::new(key) })
    }

    /// The merchant's number.
    pub fn mchid(&self) -> &Arc<str> {
        &self.mchid
    }

    /// Serial of its API certificate, upper-case hex.
    pub fn serial(&self) -> &Arc<str> {
        &self.serial
    }

    /// HMAC-SHA256 under a key drawn from the private key: marks what this merchant's gateway wrote itself.
    pub fn mac(&self, message: &[u8]) -> Vec<u8> {
        self.key.mac(message)
    }

    /// Whether `tag` is [`MerchantKey::mac`] of `message`; constant time.
    pub fn vouches(&self, message: &[u8], tag: &[u8]) -> bool {
        self.key.vouches(message, tag)
    }

    pub(super) fn rsa(&self) -> &RsaPrivateKey {
        &self.key
    }
}

impl PartialEq for MerchantKey {
    fn eq(&self, other: &Self) -> bool {
        let probe = b"equal";
        self.mchid == other.mchid && self.serial == other.serial && self.vouches(probe, &other.mac(probe))
    }
}

impl Eq for MerchantKey {}

impl fmt::Debug for MerchantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MerchantKey").field("mchid", &self.mchid).field("serial", &self.serial).finish_non_exhaustive()
    }
}

impl fmt::Debug for ApiV3Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiV3Key(..)")
    }
}

/// A token of message push: what its signatures are made with.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Secret);

impl Token {
    /// Refuses what WeChat's console does not take: it wants 3 to 32 letters and digits.
    pub fn new(secret: &Secret) -> Result<Self, KeyError> {
        let bytes = secret.expose();
        if (3..=32).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_alphanumeric) {
            return Ok(Self(secret.clone()));
        }
        Err(KeyError::Token { len: bytes.len(), line_end: bytes.ends_with(b"\n") })
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// An EncodingAESKey: the AES-256 key of message push, whose first block is also the initialization vector (protocol
/// 3.3).
#[derive(Clone)]
pub struct EncodingAesKey(Arc<Cbc>);

struct Cbc {
    key: Secret,
    cipher: Aes256Cbc,
    iv: [u8; BLOCK],
}

impl EncodingAesKey {
    /// From the 43 symbols of base64 that WeChat's console shows.
    pub fn new(secret: &Secret) -> Result<Self, KeyError> {
        let text = secret.expose();
        let refused = || KeyError::EncodingAesKey { len: text.len(), line_end: text.ends_with(b"\n") };
        let is_base64 = text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'));
        if text.len() != 43 || !is_base64 {
            return Err(refused());
        }
        // 43 symbols are 2 bits more than 32 bytes, and WeChat makes them up at random: they are dropped, not refused.
        let key = Secret::new(base64_simd::forgiving_decode_to_vec(text).map_err(|_| refused())?);
        let cipher = Aes256Cbc::new(key.expose()).ok_or_else(refused)?;
        let iv = *key.expose().first_chunk().ok_or_else(refused)?;
        Ok(Self(Arc::new(Cbc { key, cipher, iv })))
    }

    pub(super) fn encrypt(&self, blocks: Vec<u8>) -> Option<Vec<u8>> {
        self.0.cipher.encrypt(self.0.iv, blocks)
    }

    pub(super) fn decrypt(&self, blocks: Vec<u8>) -> Option<Vec<u8>> {
        self.0.cipher.decrypt(self.0.iv, blocks)
    }
}

impl PartialEq for EncodingAesKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for EncodingAesKey {}

impl fmt::Debug for EncodingAesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncodingAesKey(..)")
    }
}

/// An APIv2 key: 32 letters and digits, which sign v2 notifications and from which the key of their refunds is made.
#[derive(Clone)]
pub struct ApiV2Key(Arc<ApiV2>);

struct ApiV2 {
    text: Secret,
    hmac: HmacSha256,
    refunds: Aes256Ecb,
}

impl ApiV2Key {
    /// Refuses any other form than 32 letters and digits, with a remedy.
    pub fn new(secret: &Secret) -> Result<Self, KeyError> {
        let text = secret.expose();
        let refused = KeyError::ApiV2Form { len: text.len(), line_end: text.ends_with(b"\n") };
        if text.len() != 32 || !text.iter().all(u8::is_ascii_alphanumeric) {
            return Err(refused);
        }
        // The key of refunds is the lower-case hex of the MD5, not its 16 bytes (protocol 2.4).
        let refunds = Secret::new(upper_hex(&crypto::md5([text])).to_ascii_lowercase().into_bytes());
        let refunds = Aes256Ecb::new(refunds.expose()).ok_or(refused)?;
        Ok(Self(Arc::new(ApiV2 { text: secret.clone(), hmac: HmacSha256::new(text), refunds })))
    }

    /// The upper-case hex MD5 of `parts`, `&key=` and the key (protocol 2.2).
    pub(super) fn md5<'a>(&'a self, parts: impl Iterator<Item = &'a [u8]>) -> String {
        upper_hex(&crypto::md5(parts.chain(self.suffix())))
    }

    /// The upper-case hex HMAC-SHA256 of `parts`, `&key=` and the key, under the key (protocol 2.2).
    pub(super) fn hmac_sha256<'a>(&'a self, parts: impl Iterator<Item = &'a [u8]>) -> String {
        upper_hex(self.0.hmac.sign(parts.chain(self.suffix())).as_ref())
    }

    /// The key in upper and in lower case, for who typed it as it is shown elsewhere.
    pub(super) fn in_one_case(&self) -> [Option<Self>; 2] {
        let text = self.0.text.expose();
        [text.to_ascii_uppercase(), text.to_ascii_lowercase()].map(|text| Self::new(&Secret::new(text)).ok())
    }

    fn suffix(&self) -> [&[u8]; 2] {
        [b"&key=", self.0.text.expose()]
    }

    /// The cipher of `req_info` (protocol 2.4).
    pub(super) fn refund_cipher(&self) -> &Aes256Ecb {
        &self.0.refunds
    }
}

impl fmt::Debug for ApiV2Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiV2Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "PUB_KEY_ID_0000000000000024101100397200000006";

    fn vectors() -> Vec<serde_json::Value> {
        serde_json::from_str(include_str!("../../tests/vectors/crypt.json")).unwrap()
    }

    fn certificate(op: &str, name: &str) -> (String, String) {
        let case = vectors().into_iter().find(|case| case["op"] == op && case["name"] == name).unwrap();
        (case["input"]["cert_pem"].as_str().unwrap().to_owned(), case["expect"]["serial"].as_str().unwrap().to_owned())
    }

    #[test]
    fn the_serial_of_a_certificate_is_its_id() {
        for name in ["cert-serial-plain", "cert-serial-high-bit"] {
            let (pem, serial) = certificate("cert-serial", name);
            match VerifyingKey::from_certificate_pem(&pem) {
                Ok(key) => assert_eq!(**key.id(), serial, "{name}"),
                Err(error) => assert_eq!(error, KeyError::MerchantCertificate, "{name}"),
            }
        }
        let (pem, serial) = certificate("rsa-sha256", "rsa-go-notify");
        assert_eq!(**VerifyingKey::from_certificate_pem(&pem).unwrap().id(), serial);
    }

    #[test]
    fn a_serial_may_come_in_either_case_but_an_id_may_not() {
        let (pem, serial) = certificate("rsa-sha256", "rsa-own-empty-body-shared");
        let key = VerifyingKey::from_certificate_pem(&pem).unwrap();
        assert!(key.is_named(&serial) && key.is_named(&serial.to_lowercase()));
        assert!(!key.is_named(&serial[1..]) && !key.is_named(""));
        let short = VerifyingKey { id: Arc::from("0A1B"), ..key.clone() };
        assert!(short.is_named("a1b") && short.is_named("0a1b") && !short.is_named("1b"));
        let public = VerifyingKey { id: Arc::from(ID), valid: None, ..key };
        assert!(public.is_named(ID) && !public.is_named(&ID.to_lowercase()) && !public.is_named(&ID[11..]));
    }

    #[test]
    fn a_key_in_the_wrong_place_is_told_where_it_belongs() {
        let (pem, _) = certificate("rsa-sha256", "rsa-own-empty-body-shared");
        assert_eq!(VerifyingKey::from_public_key_pem(ID, &pem).unwrap_err(), KeyError::CertificateNotKey);
        let of = |label: &str| format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
        let certificate = |pem: &str| VerifyingKey::from_certificate_pem(pem).unwrap_err();
        assert_eq!(certificate(&of("PUBLIC KEY")), KeyError::KeyNotCertificate);
        assert_eq!(certificate(&of("PRIVATE KEY")), KeyError::PrivateKey);
        assert_eq!(certificate(&of("RSA PRIVATE KEY")), KeyError::PrivateKey);
        assert_eq!(certificate(&of("CERTIFICATE")), KeyError::BadCertificate);
        assert_eq!(certificate(&of("DH PARAMETERS")), KeyError::OtherPem("DH PARAMETERS".to_owned()));
        assert_eq!(certificate("2C32Q05S84BwUzHV8BtfWgn4okEQxz0n"), KeyError::NotPem);
        assert_eq!(VerifyingKey::from_public_key_pem(ID, &of("PUBLIC KEY")).unwrap_err(), KeyError::NotRsa);
        assert_eq!(VerifyingKey::from_public_key_pem(&ID[11..], &pem).unwrap_err(), KeyError::PublicKeyId);
    }

    /// A certificate for `subject` with a key of its own, made by another implementation.
    fn issued(subject: &[(rcgen::DnType, &str)], algorithm: &'static rcgen::SignatureAlgorithm) -> String {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        for (part, name) in subject {
            parameters.distinguished_name.push(part.clone(), *name);
        }
        parameters.serial_number =
            Some(rcgen::SerialNumber::from_slice(&[0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f, 0x60, 0x71]));
        parameters.not_before = rcgen::date_time_ymd(2024, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2029, 1, 1);
        parameters.self_signed(&rcgen::KeyPair::generate_for(algorithm).unwrap()).unwrap().pem()
    }

    #[test]
    fn the_merchants_own_certificate_is_told_apart_from_wechats() {
        use rcgen::DnType::{CommonName, OrganizationName};
        let rsa = &rcgen::PKCS_RSA_SHA256;
        let refused =
            |subject: &[(rcgen::DnType, &str)]| VerifyingKey::from_certificate_pem(&issued(subject, rsa)).err();
        let own = Some(KeyError::MerchantCertificate);
        assert_eq!(refused(&[(CommonName, "1900000001"), (OrganizationName, "微信商户系统")]), own);
        assert_eq!(refused(&[(CommonName, "1900000001")]), own);
        let wechats = issued(&[(CommonName, "Tenpay.com sign"), (OrganizationName, "Tenpay.com")], rsa);
        let key = VerifyingKey::from_certificate_pem(&wechats).unwrap();
        assert!(
            key.is_named("0A1B2C3D4E5F6071") && key.is_named("a1b2c3d4e5f6071") && key.is_named("0a1b2c3d4e5f6071")
        );
        assert_eq!(&**key.id(), "0A1B2C3D4E5F6071");
        assert_eq!(key.not_before(), Some(UnixTime::from_secs(1_704_067_200)));
        assert_eq!(key.not_after(), Some(UnixTime::from_secs(1_861_920_000)));
        assert_eq!(format!("{key:?}"), "VerifyingKey(\"0A1B2C3D4E5F6071\")");
        let curve = issued(&[(CommonName, "Tenpay.com sign")], &rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(VerifyingKey::from_certificate_pem(&curve).unwrap_err(), KeyError::NotRsa);
    }

    #[test]
    fn a_public_key_comes_in_both_encodings_and_gives_the_same_key() {
        let case = vectors().into_iter().find(|case| case["name"] == "rsa-java-other-key").unwrap();
        let spki = case["input"]["public_key_pem"].as_str().unwrap();
        let one = VerifyingKey::from_public_key_pem(ID, spki).unwrap();
        assert_eq!((&**one.id(), one.not_after()), (ID, None));
        let (_, pem) = x509_parser::pem::parse_x509_pem(spki.as_bytes()).unwrap();
        let (_, info) =
            <x509_parser::x509::SubjectPublicKeyInfo<'_> as x509_parser::prelude::FromDer<'_, _>>::from_der(
                &pem.contents,
            )
            .unwrap();
        let inner = base64_simd::STANDARD.encode_to_string(&info.subject_public_key.data);
        let pkcs1 = format!("-----BEGIN RSA PUBLIC KEY-----\r\n{inner}\r\n-----END RSA PUBLIC KEY-----\r\n");
        assert!(VerifyingKey::from_public_key_pem(ID, &pkcs1).is_ok());
        let error = VerifyingKey::from_public_key_pem(ID, &format!("{spki}{pkcs1}")).unwrap_err();
        assert_eq!(error, KeyError::SeveralBlocks(2));
    }

    #[test]
    fn an_api_v3_key_has_32_bytes_and_is_never_shown() {
        let key = |text: &str| ApiV3Key::new(&Secret::new(text.as_bytes().to_vec()));
        assert_eq!(format!("{:?}", key("2C32Q05S84BwUzHV8BtfWgn4okEQxz0n").unwrap()), "ApiV3Key(..)");
        let error = key("2C32Q05S84BwUzHV8BtfWgn4okEQxz0n\n").unwrap_err();
        assert!(error.to_string().contains("33, a line feed at its end included"), "{error}");
        assert!(!error.to_string().contains("2C32"));
        assert_eq!(key("short").unwrap_err(), KeyError::ApiV3Length { len: 5, line_end: false });
    }
    #[test]
    fn an_encoding_aes_key_is_what_the_vectors_say() {
        for case in vectors().iter().filter(|case| case["op"] == "wx-aes-key") {
            let text = case["input"]["encoding_aes_key"].as_str().unwrap();
            let key = EncodingAesKey::new(&Secret::new(text.as_bytes().to_vec())).unwrap();
            let hex = upper_hex(key.0.key.expose()).to_lowercase();
            assert_eq!(Some(hex.as_str()), case["expect"]["key_hex"].as_str(), "{}", case["name"]);
            assert_eq!(format!("{key:?}"), "EncodingAesKey(..)");
        }
    }

    #[test]
    fn an_encoding_aes_key_has_43_symbols_and_a_token_3_to_32() {
        let aes = |text: &str| EncodingAesKey::new(&Secret::new(text.as_bytes().to_vec())).err();
        let good = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
        assert_eq!(aes(good), None);
        for (text, len, line_end) in [
            (&good[1..], 42, false),
            (&format!("{good}="), 44, false),
            (&format!("{good}\n"), 44, true),
            (&good.replace('a', "-"), 43, false),
            (&good.replace("ab", "\n "), 43, false),
            ("", 0, false),
        ] {
            assert_eq!(aes(text), Some(KeyError::EncodingAesKey { len, line_end }), "{text}");
        }
        let token = |text: &str| Token::new(&Secret::new(text.as_bytes().to_vec())).err();
        assert_eq!((token("abc"), token(&"7".repeat(32))), (None, None));
        assert_eq!(token("abcd\n"), Some(KeyError::Token { len: 5, line_end: true }));
        assert!(token("ab").is_some() && token(&"7".repeat(33)).is_some() && token("a b").is_some());
        assert!(KeyError::Token { len: 5, line_end: true }.to_string().contains("line feed"));
    }

    #[test]
    fn an_api_v2_key_has_32_letters_and_digits_and_is_never_shown() {
        let key = |text: &str| ApiV2Key::new(&Secret::new(text.as_bytes().to_vec()));
        assert_eq!(format!("{:?}", key("192006250b4c09247ec02edce69f6a2d").unwrap()), "ApiV2Key(..)");
        let error = key("192006250b4c09247ec02edce69f6a2d\n").unwrap_err();
        assert!(error.to_string().contains("33 bytes, a line feed at its end included"), "{error}");
        for wrong in ["", "short", "192006250b4c09247ec02edce69f6a2 ", "192006250b4c09247ec02edce69f6a2é"] {
            let error = key(wrong).unwrap_err();
            assert!(matches!(error, KeyError::ApiV2Form { .. }) && !error.to_string().contains("1920"), "{wrong}");
        }
    }
}
