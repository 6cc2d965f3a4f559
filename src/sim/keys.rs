//! Keys of the simulated WeChat and of a sample merchant.

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SerialNumber};

/// Everything that the two sides have.
pub struct Keys {
    /// WeChat's.
    pub platform: Platform,
    /// The merchant's.
    pub merchant: Merchant,
    files: Vec<(&'static str, String)>,
}

/// WeChat's keys.
pub struct Platform {
    /// The id that the public key is named by.
    pub public_key_id: String,
}

/// A merchant.
pub struct Merchant {
    /// Merchant number.
    pub mchid: String,
    /// App id.
    pub appid: String,
}

impl Keys {
    /// New keys.
    pub fn generate() -> Result<Self, rcgen::Error> {
        let certified = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let public = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let mut random = [0_u8; 52];
        let _ = aws_lc_rs::rand::fill(&mut random);
        let (serial, secret) = random.split_at(20);
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(serial));
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "Tenpay.com sign test");
        params.distinguished_name = name;
        let certificate = params.self_signed(&certified)?;
        let apiv3: String = secret.iter().map(|b| char::from(b'a'.saturating_add(b % 26))).collect();
        Ok(Self {
            platform: Platform { public_key_id: "PUB_KEY_ID_0119000000012024101100397200000006".to_owned() },
            merchant: Merchant { mchid: "1900000001".to_owned(), appid: "wxd678efh567hg6787".to_owned() },
            files: vec![
                ("wechatpay_cert.pem", certificate.pem()),
                ("wechatpay_key.pem", certified.serialize_pem()),
                ("pub_key.pem", public.public_key_pem()),
                ("pub_key_private.pem", public.serialize_pem()),
                ("apiv3.key", apiv3),
            ],
        })
    }

    /// Writes them into a directory.
    pub fn save(&self, dir: &Path) -> std::io::Result<()> {
        self.files.iter().try_for_each(|(name, text)| fs::write(dir.join(name), text))
    }
}
