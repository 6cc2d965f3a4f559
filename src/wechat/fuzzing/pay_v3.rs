//! Pay v3, signed and sealed in WeChat's place.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use super::{NOW, TIMESTAMP, add_headers, base64, chosen, halves, secret};
use crate::wechat::key::{ApiV3Key, MerchantKey, SharedKeys, VerifyingKey};
use crate::wechat::pay_v3::{self, PayV3, certificates};
use crate::wechat::{Protocol, Received};

const CERTIFICATE: &str = include_str!("../../sim/keys/wechatpay_cert.pem");
const SERIAL: &str = "5A1C7E20D4B90F3366A8214C9D70B5E8137F2C64";
const NONCE: [u8; 12] = *b"0123456789ab";

pub(super) static ENDPOINT: LazyLock<Protocol> = LazyLock::new(|| Protocol::PayV3(endpoint()));
static API_V3: LazyLock<ApiV3Key> =
    LazyLock::new(|| ApiV3Key::new(&secret("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk")).expect("32 bytes"));
/// What WeChat signs with: a platform certificate's key, which has the form of a merchant's.
static WECHAT: LazyLock<MerchantKey> = LazyLock::new(|| {
    MerchantKey::from_pem("", SERIAL, &secret(include_str!("../../sim/keys/wechatpay_cert_key.pem")))
        .expect("a bundled key")
});

fn endpoint() -> PayV3 {
    PayV3::new(pay_v3::Settings {
        window: Duration::from_mins(5),
        verifying_keys: vec![certificate()],
        downloaded: SharedKeys::default(),
        api_v3: vec![API_V3.clone()],
        mchids: Vec::new(),
        appids: Vec::new(),
    })
}

fn certificate() -> VerifyingKey {
    VerifyingKey::from_certificate_pem(CERTIFICATE).expect("a bundled certificate")
}

/// The headers with which WeChat sends this body.
pub(super) fn signed(body: &[u8]) -> HeaderMap {
    let parts: [&[u8]; 6] = [TIMESTAMP.as_bytes(), b"\n", b"nonce", b"\n", body, b"\n"];
    let signature = base64(&WECHAT.rsa().sign(&parts).expect("a key that signs"));
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("wechatpay-timestamp", TIMESTAMP),
        ("wechatpay-nonce", "nonce"),
        ("wechatpay-serial", SERIAL),
        ("wechatpay-signature", &signature),
    ] {
        headers.insert(name, HeaderValue::from_str(value).expect("visible ASCII"));
    }
    headers
}

/// The body in which WeChat sends this resource.
pub(super) fn envelope(plaintext: &[u8]) -> Vec<u8> {
    let ciphertext = base64(&API_V3.cipher().seal(NONCE, b"transaction", plaintext));
    format!(
        r#"{{"id":"EV-1","event_type":"TRANSACTION.SUCCESS","create_time":"2025-10-09T16:53:20+08:00","resource":{{"algorithm":"AEAD_AES_256_GCM","ciphertext":"{ciphertext}","associated_data":"transaction","nonce":"0123456789ab"}}}}"#
    )
    .into_bytes()
}

/// Lines `name: value`, an empty line, a body: no signature is made, so none can hold.
pub fn pay_v3_head(data: &[u8]) {
    let (head, body) = halves(data);
    let mut headers = HeaderMap::new();
    add_headers(&mut headers, head);
    let body = Bytes::copy_from_slice(body);
    let received = Received { method: &Method::POST, path: "/", query: "", headers: &headers };
    assert!(super::verified(&ENDPOINT, received, &body).is_err(), "a signature out of nothing");
    if let Protocol::PayV3(pay) = &*ENDPOINT {
        drop(pay.diagnose(received, &body, NOW));
    }
}

/// A body as if it had been signed.
pub fn pay_v3_body(data: &[u8]) {
    let Protocol::PayV3(pay) = &*ENDPOINT else { return };
    assert!(pay.open_unverified(Bytes::copy_from_slice(data)).is_err(), "a ciphertext out of nothing");
}

/// What was encrypted.
pub fn pay_v3_resource(data: &[u8]) {
    pay_v3::read_resource(&Bytes::copy_from_slice(data));
}

/// The answer to a download: the list as WeChat signed it, or, behind a first byte that is odd, a certificate that was
/// sealed. Read by who trusts the signing key already, and by who trusts nothing yet.
pub fn pay_v3_certificates(data: &[u8]) {
    let Some((choice, data)) = chosen(data) else { return };
    let body = if choice & 1 == 0 {
        data.to_vec()
    } else {
        let entry = |serial: &str, pem: &[u8]| {
            let ciphertext = base64(&API_V3.cipher().seal(NONCE, b"certificate", pem));
            format!(
                r#"{{"serial_no":"{serial}","encrypt_certificate":{{"algorithm":"AEAD_AES_256_GCM","nonce":"0123456789ab","associated_data":"certificate","ciphertext":"{ciphertext}"}}}}"#
            )
        };
        let own = if choice & 2 == 0 { String::new() } else { format!(",{}", entry(SERIAL, CERTIFICATE.as_bytes())) };
        format!(r#"{{"data":[{}{own}]}}"#, entry(SERIAL, data)).into_bytes()
    };
    let headers = signed(&body);
    let trusted = [Arc::new(certificate())];
    for trusted in [&trusted[..], &[]] {
        if let Ok(opened) = certificates::open(&headers, &body, std::slice::from_ref(&API_V3), trusted, NOW) {
            assert!(!opened.certificates.is_empty(), "an answer that brought nothing");
            assert!(opened.certificates.iter().all(|certificate| certificate.key.is_valid(NOW)));
        }
    }
}
