//! Keys of the simulated WeChat and of its sample merchant: generated, bundled for tests, or in a folder.
//!
//! The bundled keys are public: whoever has this source can sign with them. They are for tests and the demo.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SerialNumber};
use rsa::PrivateKey;
use rsa::pkcs8::DecodePrivateKey as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const MCHID: &str = "1900000001";
const APPID: &str = "wxd678efh567hg6787";
const PUBLIC_KEY_ID: &str = "PUB_KEY_ID_0119000000012024101100397200000006";

/// What is in a folder of keys: file name and text.
const PLATFORM_CERTIFICATE: &str = "wechatpay_cert.pem";
const PLATFORM_KEY: &str = "wechatpay_key.pem";
const PUBLIC_KEY: &str = "pub_key.pem";
const PUBLIC_KEY_PRIVATE: &str = "pub_key_private.pem";
const MERCHANT_CERTIFICATE: &str = "apiclient_cert.pem";
const MERCHANT_KEY: &str = "apiclient_key.pem";
const API_V3: &str = "apiv3.key";
const IDENTITIES: &str = "identities.json";

/// Which of WeChat's two kinds of key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// The key of the platform certificate, named by its serial.
    Certificate,
    /// The key that is named by `PUB_KEY_ID_…`.
    PublicKey,
}

/// Everything that the two sides have.
#[derive(Clone)]
pub struct Keys {
    /// WeChat's.
    pub platform: Platform,
    /// The merchant's.
    pub merchant: Merchant,
    files: Vec<(&'static str, String)>,
}

/// WeChat's keys.
#[derive(Clone)]
pub struct Platform {
    /// The id that the public key is named by.
    pub public_key_id: String,
    /// The serial that the certificate is named by.
    pub serial: String,
    /// The certificate.
    pub certificate_pem: String,
    certificate_key: PrivateKey,
    public_key: PrivateKey,
}

/// A merchant.
#[derive(Clone)]
pub struct Merchant {
    /// Merchant number.
    pub mchid: String,
    /// App id.
    pub appid: String,
    /// Serial of the merchant's API certificate.
    pub serial: String,
    /// The APIv3 key: 32 characters.
    pub api_v3: String,
    key: PrivateKey,
}

/// The numbers and ids that stand in no key file.
#[derive(Serialize, Deserialize)]
struct Identities {
    mchid: String,
    appid: String,
    public_key_id: String,
}

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file.
    #[error("{file}: {cause}; `wxgate init` writes a folder of test keys")]
    Io {
        /// Its name.
        file: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// What is in a file.
    #[error("{0} does not hold what its name says")]
    Content(&'static str),
    /// Generating.
    #[error("a key cannot be generated: {0}")]
    Generate(#[from] rcgen::Error),
    /// Randomness.
    #[error("the system gives no randomness")]
    Randomness,
}

impl Keys {
    /// The keys in this source: the same in every test.
    ///
    /// # Panics
    ///
    /// If the files bundled into this program do not parse, which a test rules out.
    pub fn bundled() -> Self {
        let files = vec![
            (PLATFORM_CERTIFICATE, include_str!("keys/wechatpay_cert.pem").to_owned()),
            (PLATFORM_KEY, include_str!("keys/wechatpay_key.pem").to_owned()),
            (PUBLIC_KEY, include_str!("keys/pub_key.pem").to_owned()),
            (PUBLIC_KEY_PRIVATE, include_str!("keys/pub_key_private.pem").to_owned()),
            (MERCHANT_CERTIFICATE, include_str!("keys/apiclient_cert.pem").to_owned()),
            (MERCHANT_KEY, include_str!("keys/apiclient_key.pem").to_owned()),
            (API_V3, "wxgate-simulator-api-v3-key-0001".to_owned()),
            (IDENTITIES, identities()),
        ];
        Self::from_files(files).expect("the bundled keys are constants")
    }

    /// New keys.
    pub fn generate() -> Result<Self, KeysError> {
        let (platform, certificate) = certified("Tenpay.com sign test", "Tenpay.com")?;
        let public = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let (merchant, merchant_certificate) = certified(MCHID, "微信商户系统")?;
        let api_v3 = super::random_text(32).ok_or(KeysError::Randomness)?;
        Self::from_files(vec![
            (PLATFORM_CERTIFICATE, certificate),
            (PLATFORM_KEY, platform.serialize_pem()),
            (PUBLIC_KEY, public.public_key_pem()),
            (PUBLIC_KEY_PRIVATE, public.serialize_pem()),
            (MERCHANT_CERTIFICATE, merchant_certificate),
            (MERCHANT_KEY, merchant.serialize_pem()),
            (API_V3, api_v3),
            (IDENTITIES, identities()),
        ])
    }

    /// Reads what [`Keys::save`] wrote.
    pub fn load(dir: &Path) -> Result<Self, KeysError> {
        let read = |file: &'static str| {
            fs::read_to_string(dir.join(file)).map(|text| (file, text)).map_err(|cause| KeysError::Io { file, cause })
        };
        let names = [
            PLATFORM_CERTIFICATE,
            PLATFORM_KEY,
            PUBLIC_KEY,
            PUBLIC_KEY_PRIVATE,
            MERCHANT_CERTIFICATE,
            MERCHANT_KEY,
            API_V3,
            IDENTITIES,
        ];
        Self::from_files(names.into_iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Writes them into a folder, for their owner's eyes only; makes the folder if it is not there.
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        for (name, text) in &self.files {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(dir.join(name))?;
            file.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    fn from_files(files: Vec<(&'static str, String)>) -> Result<Self, KeysError> {
        let text = |wanted: &'static str| {
            files
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, text)| text.as_str())
                .ok_or(KeysError::Content(wanted))
        };
        let private = |name| PrivateKey::from_pkcs8_pem(text(name)?).map_err(|_| KeysError::Content(name));
        let identities: Identities =
            serde_json::from_str(text(IDENTITIES)?).map_err(|_| KeysError::Content(IDENTITIES))?;
        let platform = Platform {
            public_key_id: identities.public_key_id,
            serial: serial(text(PLATFORM_CERTIFICATE)?).ok_or(KeysError::Content(PLATFORM_CERTIFICATE))?,
            certificate_pem: text(PLATFORM_CERTIFICATE)?.to_owned(),
            certificate_key: private(PLATFORM_KEY)?,
            public_key: private(PUBLIC_KEY_PRIVATE)?,
        };
        let merchant = Merchant {
            mchid: identities.mchid,
            appid: identities.appid,
            serial: serial(text(MERCHANT_CERTIFICATE)?).ok_or(KeysError::Content(MERCHANT_CERTIFICATE))?,
            api_v3: text(API_V3)?.trim().to_owned(),
            key: private(MERCHANT_KEY)?,
        };
        if merchant.api_v3.len() != 32 {
            return Err(KeysError::Content(API_V3));
        }
        Ok(Self { platform, merchant, files })
    }
}

impl Platform {
    /// The name of a key in `Wechatpay-Serial`.
    pub fn id(&self, by: SignedBy) -> &str {
        match by {
            SignedBy::Certificate => &self.serial,
            SignedBy::PublicKey => &self.public_key_id,
        }
    }

    /// SHA256-RSA2048 in base64.
    pub fn sign(&self, by: SignedBy, message: &[u8]) -> String {
        match by {
            SignedBy::Certificate => sign(&self.certificate_key, message),
            SignedBy::PublicKey => sign(&self.public_key, message),
        }
    }

    /// Whether `signature` is the key's over `message`: how a merchant checks an answer.
    pub fn verifies(&self, by: SignedBy, message: &[u8], signature: &str) -> bool {
        match by {
            SignedBy::Certificate => verifies(&self.certificate_key, message, signature),
            SignedBy::PublicKey => verifies(&self.public_key, message, signature),
        }
    }
}

impl Merchant {
    /// SHA256-RSA2048 in base64, for the authorization of a request.
    pub fn sign(&self, message: &[u8]) -> String {
        sign(&self.key, message)
    }

    /// Whether `signature` is the merchant's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        verifies(&self.key, message, signature)
    }
}

fn sign(key: &PrivateKey, message: &[u8]) -> String {
    let signature = key.sign(rsa::Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message));
    base64_simd::STANDARD.encode_to_string(signature.unwrap_or_default())
}

fn verifies(key: &PrivateKey, message: &[u8], signature: &str) -> bool {
    let Ok(signature) = base64_simd::STANDARD.decode_to_vec(signature) else { return false };
    let public = key.to_public_key();
    public.verify(rsa::Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), &signature).is_ok()
}

fn identities() -> String {
    format!(r#"{{"mchid":"{MCHID}","appid":"{APPID}","public_key_id":"{PUBLIC_KEY_ID}"}}"#)
}

/// Upper-case hex of a certificate's serial.
fn serial(pem: &str) -> Option<String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let digits: String = certificate.raw_serial().iter().map(|byte| format!("{byte:02X}")).collect();
    Some(digits.strip_prefix("00").map_or(digits.clone(), str::to_owned))
}

fn certified(common_name: &str, organization: &str) -> Result<(KeyPair, String), KeysError> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    let mut serial = super::random_bytes::<20>().ok_or(KeysError::Randomness)?;
    // 20 bytes, as WeChat's: neither a sign bit nor a leading zero.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name.push(DnType::OrganizationName, organization);
    params.distinguished_name = name;
    let certificate = params.self_signed(&key)?.pem();
    Ok((key, certificate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_keys_sign_what_they_verify_and_only_that() {
        let keys = Keys::bundled();
        assert_eq!(keys.platform.serial, "5A1F3C7E9B2D4F60718293A4B5C6D7E8F9011223");
        for by in [SignedBy::Certificate, SignedBy::PublicKey] {
            let signature = keys.platform.sign(by, b"message");
            assert_eq!(signature.len(), 344);
            assert!(keys.platform.verifies(by, b"message", &signature));
            assert!(!keys.platform.verifies(by, b"massage", &signature));
        }
        let other = keys.platform.sign(SignedBy::Certificate, b"message");
        assert!(!keys.platform.verifies(SignedBy::PublicKey, b"message", &other));
    }

    #[test]
    fn what_is_saved_is_loaded_and_nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::generate().unwrap();
        keys.save(dir.path()).unwrap();
        let loaded = Keys::load(dir.path()).unwrap();
        assert_eq!(loaded.platform.serial, keys.platform.serial);
        assert_eq!(loaded.merchant.api_v3, keys.merchant.api_v3);
        for entry in fs::read_dir(dir.path()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::remove_file(dir.path().join(API_V3)).unwrap();
        assert!(Keys::load(dir.path()).err().unwrap().to_string().contains("apiv3.key"));
    }
}
