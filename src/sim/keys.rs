//! The keys of a simulated WeChat and of its one merchant: bundled for tests, generated, or from a folder.
//!
//! A folder holds the files as merchants know them (`wechatpay_cert.pem`, `pub_key.pem`, `apiclient_key.pem`, …), beside them
//! the private keys that in life only WeChat has, and the numbers in `sim.json`.

use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SerialNumber, date_time_ymd,
};
use serde::{Deserialize, Serialize};

use super::sign::{self, PrivateKey};

/// With which of its keys WeChat signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// The platform certificate, named by its serial.
    Certificate,
    /// The platform's public key, named by its `PUB_KEY_ID_…`.
    PublicKey,
}

/// Everything that both sides hold.
#[derive(Clone)]
pub struct Keys {
    /// WeChat's.
    pub platform: Platform,
    /// The merchant's.
    pub merchant: Merchant,
    /// A key that nobody trusts, for forgeries.
    pub stranger: PrivateKey,
}

/// What WeChat signs with.
#[derive(Clone)]
pub struct Platform {
    /// Serial of the platform certificate, upper-case hex.
    pub certificate_serial: String,
    /// The platform certificate, PEM.
    pub certificate_pem: String,
    /// Its private key.
    pub certificate_key: PrivateKey,
    /// `PUB_KEY_ID_…`, the prefix included.
    pub public_key_id: String,
    /// The private half of the platform's public key.
    pub public_key: PrivateKey,
}

/// A platform certificate as WeChat lists it for merchants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Upper-case hex.
    pub serial: String,
    /// The certificate.
    pub pem: String,
}

impl Platform {
    /// The certificate without its private key.
    pub fn listed(&self) -> Listed {
        Listed { serial: self.certificate_serial.clone(), pem: self.certificate_pem.clone() }
    }

    /// The key and the id of it that goes into `Wechatpay-Serial`.
    pub fn signer(&self, by: SignedBy) -> (&PrivateKey, &str) {
        match by {
            SignedBy::Certificate => (&self.certificate_key, &self.certificate_serial),
            SignedBy::PublicKey => (&self.public_key, &self.public_key_id),
        }
    }
}

/// What a merchant holds.
#[derive(Clone)]
pub struct Merchant {
    /// Its number.
    pub mchid: String,
    /// Its app.
    pub appid: String,
    /// Serial of its API certificate, upper-case hex.
    pub serial: String,
    /// Its API certificate, PEM.
    pub certificate_pem: String,
    /// The private key of that.
    pub key: PrivateKey,
    /// The key that WeChat encrypts for it with.
    pub api_v3_key: [u8; 32],
    /// The key that WeChat signs v2 notifications with.
    pub api_v2_key: String,
}

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file's content.
    #[error("{0} is not what `wxgate init` or `wxgate sim serve` writes: {1}")]
    Content(&'static str, String),
    /// The making of a certificate.
    #[error("no certificate can be made: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// The numbers of `sim.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    mchid: String,
    appid: String,
    merchant_serial: String,
    certificate_serial: String,
    public_key_id: String,
}

/// The files of a folder, read.
struct Files {
    numbers: String,
    certificate: String,
    certificate_key: String,
    public_key_private: String,
    merchant_certificate: String,
    merchant_key: String,
    api_v3: String,
    api_v2: String,
    stranger: String,
}

/// Whom a platform certificate names. In life: Tenpay.com sign.
const PLATFORM_NAME: &str = "Tenpay.com TEST sign (not Tenpay)";

const NUMBERS: &str = "sim.json";
const CERTIFICATE: &str = "wechatpay_cert.pem";
const CERTIFICATE_KEY: &str = "wechatpay_cert_key.pem";
const PUBLIC_KEY: &str = "pub_key.pem";
const PUBLIC_KEY_PRIVATE: &str = "pub_key_private.pem";
const MERCHANT_CERTIFICATE: &str = "apiclient_cert.pem";
const MERCHANT_KEY: &str = "apiclient_key.pem";
const API_V3: &str = "apiv3.key";
const API_V2: &str = "apiv2.key";
const STRANGER: &str = "stranger_key.pem";

impl Keys {
    /// Fixed test keys, the same everywhere and known to all (`src/sim/keys/`).
    ///
    /// # Panics
    ///
    /// Never: a test reads them.
    pub fn bundled() -> Self {
        let files = Files {
            numbers: include_str!("keys/sim.json").to_owned(),
            certificate: include_str!("keys/wechatpay_cert.pem").to_owned(),
            certificate_key: include_str!("keys/wechatpay_cert_key.pem").to_owned(),
            public_key_private: include_str!("keys/pub_key_private.pem").to_owned(),
            merchant_certificate: include_str!("keys/apiclient_cert.pem").to_owned(),
            merchant_key: include_str!("keys/apiclient_key.pem").to_owned(),
            api_v3: include_str!("keys/apiv3.key").to_owned(),
            api_v2: include_str!("keys/apiv2.key").to_owned(),
            stranger: include_str!("keys/stranger_key.pem").to_owned(),
        };
        files.parse().expect("the bundled keys are read by a test")
    }

    /// New keys, certificates and an APIv3 key for the merchant `mchid` with the app `appid`.
    pub fn generate(mchid: &str, appid: &str) -> Result<Self, KeysError> {
        let (certificate_serial, certificate, certificate_key) = self_signed(PLATFORM_NAME)?;
        let (merchant_serial, merchant_certificate, merchant_key) = self_signed(mchid)?;
        let numbers = Numbers {
            mchid: mchid.to_owned(),
            appid: appid.to_owned(),
            merchant_serial,
            certificate_serial,
            public_key_id: format!("PUB_KEY_ID_{}", sign::random_digits::<34>()),
        };
        let files = Files {
            numbers: numbers.to_json(),
            certificate,
            certificate_key,
            public_key_private: key_pair()?.serialize_pem(),
            merchant_certificate,
            merchant_key,
            api_v3: sign::random_text::<32>(),
            api_v2: sign::random_text::<32>(),
            stranger: key_pair()?.serialize_pem(),
        };
        files.parse()
    }

    /// The same keys after WeChat has changed to a new platform certificate.
    pub fn with_new_certificate(&self) -> Result<Self, KeysError> {
        let (serial, pem, key) = self_signed(PLATFORM_NAME)?;
        let key = PrivateKey::from_pem(&key).map_err(|error| KeysError::Content(CERTIFICATE_KEY, error.to_string()))?;
        let mut keys = self.clone();
        (keys.platform.certificate_serial, keys.platform.certificate_pem) = (serial, pem);
        keys.platform.certificate_key = key;
        Ok(keys)
    }

    /// The same keys after the merchant has changed its APIv3 key.
    #[must_use]
    pub fn with_api_v3_key(&self, api_v3_key: [u8; 32]) -> Self {
        let mut keys = self.clone();
        keys.merchant.api_v3_key = api_v3_key;
        keys
    }

    /// Reads a folder that [`Keys::save`] wrote.
    pub fn load(dir: &Path) -> Result<Self, KeysError> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read_to_string(&path).map_err(|cause| KeysError::File { path, cause })
        };
        let files = Files {
            numbers: read(NUMBERS)?,
            certificate: read(CERTIFICATE)?,
            certificate_key: read(CERTIFICATE_KEY)?,
            public_key_private: read(PUBLIC_KEY_PRIVATE)?,
            merchant_certificate: read(MERCHANT_CERTIFICATE)?,
            merchant_key: read(MERCHANT_KEY)?,
            api_v3: read(API_V3)?,
            api_v2: read(API_V2)?,
            stranger: read(STRANGER)?,
        };
        files.parse()
    }

    /// Writes all of it into `dir`, which is made if it is not there.
    pub fn save(&self, dir: &Path) -> Result<(), KeysError> {
        let (platform, merchant) = (&self.platform, &self.merchant);
        let public = platform.public_key.public().to_pem();
        let public = public.map_err(|error| KeysError::Content(PUBLIC_KEY, error.to_string()))?;
        let numbers = Numbers {
            mchid: merchant.mchid.clone(),
            appid: merchant.appid.clone(),
            merchant_serial: merchant.serial.clone(),
            certificate_serial: platform.certificate_serial.clone(),
            public_key_id: platform.public_key_id.clone(),
        };
        let numbers = numbers.to_json();
        std::fs::create_dir_all(dir).map_err(|cause| KeysError::File { path: dir.to_owned(), cause })?;
        let files: [(&str, &[u8]); 10] = [
            (NUMBERS, numbers.as_bytes()),
            (CERTIFICATE, platform.certificate_pem.as_bytes()),
            (CERTIFICATE_KEY, platform.certificate_key.pem().as_bytes()),
            (PUBLIC_KEY, public.as_bytes()),
            (PUBLIC_KEY_PRIVATE, platform.public_key.pem().as_bytes()),
            (MERCHANT_CERTIFICATE, merchant.certificate_pem.as_bytes()),
            (MERCHANT_KEY, merchant.key.pem().as_bytes()),
            (API_V3, &merchant.api_v3_key),
            (API_V2, merchant.api_v2_key.as_bytes()),
            (STRANGER, self.stranger.pem().as_bytes()),
        ];
        for (name, bytes) in files {
            let path = dir.join(name);
            write_private(&path, bytes).map_err(|cause| KeysError::File { path, cause })?;
        }
        Ok(())
    }
}

impl Numbers {
    fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a struct of strings has a JSON form")
    }
}

impl Files {
    fn parse(self) -> Result<Keys, KeysError> {
        let content =
            |name: &'static str| move |error: &dyn std::fmt::Display| KeysError::Content(name, error.to_string());
        let key = |name: &'static str, pem: &str| PrivateKey::from_pem(pem).map_err(|error| content(name)(&error));
        let numbers: Numbers = serde_json::from_str(&self.numbers).map_err(|error| content(NUMBERS)(&error))?;
        let api_v3_key = self.api_v3.trim_end().as_bytes().try_into().map_err(|error| content(API_V3)(&error))?;
        let platform = Platform {
            certificate_serial: numbers.certificate_serial,
            certificate_pem: self.certificate,
            certificate_key: key(CERTIFICATE_KEY, &self.certificate_key)?,
            public_key_id: numbers.public_key_id,
            public_key: key(PUBLIC_KEY_PRIVATE, &self.public_key_private)?,
        };
        let merchant = Merchant {
            mchid: numbers.mchid,
            appid: numbers.appid,
            serial: numbers.merchant_serial,
            certificate_pem: self.merchant_certificate,
            key: key(MERCHANT_KEY, &self.merchant_key)?,
            api_v3_key,
            api_v2_key: self.api_v2.trim_end().to_owned(),
        };
        Ok(Keys { platform, merchant, stranger: key(STRANGER, &self.stranger)? })
    }
}

/// The key files are for their owner alone, also where they are test keys: a real folder looks the same.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

fn key_pair() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
}

/// Serial, certificate and private key of a new self-signed certificate. In life Tenpay's authority signs it.
fn self_signed(common_name: &str) -> Result<(String, String, String), rcgen::Error> {
    let key = key_pair()?;
    let mut serial: [u8; 20] = sign::random();
    // In [0x40, 0x7f]: no sign byte and no leading zero, so that there is one way to write it.
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x3f) | 0x40;
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2044, 1, 1);
    let certificate = params.self_signed(&key)?;
    let serial = sign::hex(&serial).to_ascii_uppercase();
    Ok((serial, certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(keys: &Keys) {
        for by in [SignedBy::Certificate, SignedBy::PublicKey] {
            let (key, _) = keys.platform.signer(by);
            assert!(key.public().verifies(b"message", &key.sign(b"message")));
            assert!(!key.public().verifies(b"message", &keys.stranger.sign(b"message")));
        }
    }

    #[test]
    fn the_bundled_keys_are_read_and_come_back_from_a_folder_as_they_were() {
        let keys = Keys::bundled();
        holds(&keys);
        let dir = tempfile::tempdir().unwrap();
        keys.save(&dir.path().join("keys")).unwrap();
        let back = Keys::load(&dir.path().join("keys")).unwrap();
        assert_eq!(back.platform.public_key_id, keys.platform.public_key_id);
        assert_eq!(back.merchant.api_v3_key, keys.merchant.api_v3_key);
        assert_eq!((back.merchant.api_v2_key.len(), &back.merchant.api_v2_key), (32, &keys.merchant.api_v2_key));
        assert_eq!(back.platform.certificate_key.sign(b"x"), keys.platform.certificate_key.sign(b"x"));
        let public = std::fs::read_to_string(dir.path().join("keys/pub_key.pem")).unwrap();
        assert_eq!(public, include_str!("keys/pub_key.pem"));
    }

    #[test]
    fn generated_keys_hold_and_their_serials_are_those_of_the_certificates() {
        let keys = Keys::generate("1900000002", "wx0000000000000001").unwrap();
        holds(&keys);
        for keys in [keys, Keys::bundled()] {
            for (pem, serial) in [
                (&keys.platform.certificate_pem, &keys.platform.certificate_serial),
                (&keys.merchant.certificate_pem, &keys.merchant.serial),
            ] {
                let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
                let certificate = pem.parse_x509().unwrap();
                assert_eq!(certificate.raw_serial_as_string().replace(':', "").to_uppercase(), *serial);
                assert!(certificate.validity().is_valid());
            }
        }
    }

    #[test]
    fn a_folder_that_lacks_a_file_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let Err(error) = Keys::load(dir.path()) else { panic!("nothing is there") };
        assert!(error.to_string().contains("sim.json"), "{error}");
    }
}
