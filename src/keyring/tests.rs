//! Keys for the tests beside, and the source against real sockets.

use std::sync::Arc;

use crate::wechat::key::VerifyingKey;

/// A platform certificate that ends with the beginning of that year.
pub(super) fn certificate(until: i32) -> Arc<VerifyingKey> {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "Tenpay.com sign");
    parameters.not_before = rcgen::date_time_ymd(2024, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    Arc::new(VerifyingKey::from_certificate_pem(&parameters.self_signed(&key).unwrap().pem()).unwrap())
}

/// A public key.
pub(super) fn public_key() -> Arc<VerifyingKey> {
    let pem = include_str!("../sim/keys/pub_key.pem");
    Arc::new(VerifyingKey::from_public_key_pem("PUB_KEY_ID_0000000000000024101100397200000006", pem).unwrap())
}
