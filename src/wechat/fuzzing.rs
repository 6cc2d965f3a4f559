//! Doors for fuzz targets (`fuzz/`): into the middle of the protocols, past the signatures that no fuzzer can make. They
//! exist only in builds that fuzz, so no build that serves has them.
//!
//! Each takes any bytes, and must neither panic nor hang, nor keep more than a small multiple of what it was given.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::key::{ApiV3Key, VerifyingKey};
use super::pay_v3::{self, PayV3};
use super::{Protocol, Received};
use crate::clock::UnixTime;
use crate::secret::Secret;

const NOW: UnixTime = UnixTime::from_secs(1_760_000_000);
const CERTIFICATE: &str = include_str!("../sim/keys/wechatpay_cert.pem");

fn pay_v3_endpoint() -> PayV3 {
    let key = VerifyingKey::from_certificate_pem(CERTIFICATE).expect("a test reads the bundled keys");
    let api_v3 = ApiV3Key::new(&Secret::new(vec![b'k'; 32])).expect("32 bytes");
    PayV3::new(pay_v3::Settings {
        window: Duration::from_mins(5),
        verifying_keys: vec![key],
        downloaded: super::key::SharedKeys::default(),
        api_v3: vec![api_v3],
        mchids: Vec::new(),
        appids: Vec::new(),
    })
}

/// Lines `name: value`, an empty line, a body.
pub fn pay_v3_head(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut headers = HeaderMap::new();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    let protocol = Protocol::PayV3(pay_v3_endpoint());
    let received = Received { method: &Method::POST, path: "/", query: "", headers: &headers };
    if let Ok(screened) = protocol.screen(received, NOW) {
        let verified = protocol.verify(screened, Bytes::copy_from_slice(body.as_bytes()));
        assert!(verified.is_err(), "a signature out of nothing");
    }
    let Protocol::PayV3(pay) = &protocol;
    drop(pay.diagnose(received, &Bytes::copy_from_slice(body.as_bytes()), NOW));
}

/// A body as if it had been signed.
pub fn pay_v3_body(data: &[u8]) {
    assert!(pay_v3_endpoint().open_unverified(Bytes::copy_from_slice(data)).is_err(), "a ciphertext out of nothing");
}

/// What was encrypted.
pub fn pay_v3_resource(data: &[u8]) {
    pay_v3::read_resource(Bytes::copy_from_slice(data));
}
