//! The vectors, made by independent implementations, and what must hold whatever the bytes are.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::clock::UnixTime;
use crate::secret::Secret;
use crate::wechat::{Protocol, Received};

#[derive(Deserialize)]
struct Case {
    name: String,
    keys: Keys,
    request: Request,
    now: i64,
    expect: Expect,
    #[serde(default)]
    optional: bool,
}

#[derive(Deserialize)]
struct Keys {
    apiv3_key: String,
    mchids: Vec<String>,
    appids: Vec<String>,
    verifiers: Vec<Verifier>,
}

#[derive(Deserialize)]
struct Verifier {
    serial: String,
    cert_pem: Option<String>,
    public_key_pem: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body_b64: String,
}

#[derive(Deserialize)]
struct Expect {
    verdict: String,
    reason: String,
    #[serde(default)]
    reason_alt: Vec<String>,
    event: Option<serde_json::Value>,
    plaintext_b64: Option<String>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../tests/vectors/pay_v3.json")).unwrap()
}

fn protocol(keys: &Keys) -> Protocol {
    let verifying_keys = keys.verifiers.iter().map(|verifier| match (&verifier.cert_pem, &verifier.public_key_pem) {
        (Some(pem), _) => VerifyingKey::from_certificate_pem(pem).unwrap(),
        (None, Some(pem)) => VerifyingKey::from_public_key_pem(&verifier.serial, pem).unwrap(),
        (None, None) => panic!("a verifier without key"),
    });
    Protocol::PayV3(PayV3::new(Settings {
        window: Duration::from_mins(5),
        verifying_keys: verifying_keys.collect(),
        api_v3: vec![ApiV3Key::new(&Secret::new(keys.apiv3_key.clone().into_bytes())).unwrap()],
        mchids: keys.mchids.clone(),
        appids: keys.appids.clone(),
    }))
}

fn decode(text: &str) -> Vec<u8> {
    base64_simd::STANDARD.decode_to_vec(text).unwrap()
}

fn header_map(headers: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

fn judge(
    protocol: &Protocol,
    request: &Request,
    headers: &HeaderMap,
    body: Bytes,
    now: i64,
) -> Result<Authentic, Reason> {
    let method = Method::from_bytes(request.method.as_bytes()).unwrap();
    let received = Received { method: &method, path: &request.path, query: &request.query, headers };
    let screened = protocol.screen(received, UnixTime::from_secs(now)).map_err(|refusal| refusal.reason())?;
    let verified = protocol.verify(screened, body).map_err(|refusal| refusal.reason())?;
    protocol.open(verified).map_err(|refusal| refusal.reason())
}

fn judge_case(case: &Case) -> Result<Authentic, Reason> {
    let headers = header_map(&case.request.headers);
    judge(&protocol(&case.keys), &case.request, &headers, decode(&case.request.body_b64).into(), case.now)
}

#[test]
fn every_vector_gives_its_verdict_reason_and_event() {
    let cases = cases();
    assert!(cases.len() >= 90);
    for case in &cases {
        assert!(!case.optional, "{}: an optional case needs a word on what is done with it", case.name);
        match judge_case(case) {
            Ok(authentic) => {
                assert_eq!(case.expect.verdict, "accept", "{} was accepted", case.name);
                let body = &authentic.event().body;
                if let Some(plaintext) = &case.expect.plaintext_b64 {
                    assert_eq!(*body, decode(plaintext), "{}", case.name);
                }
                let event: serde_json::Value = serde_json::from_slice(body).unwrap();
                assert_eq!(Some(&event), case.expect.event.as_ref(), "{}", case.name);
            }
            Err(reason) => {
                let allowed = std::iter::once(&case.expect.reason).chain(&case.expect.reason_alt);
                assert_eq!(case.expect.verdict, "reject", "{} was refused: {}", case.name, reason.code());
                assert!(allowed.into_iter().any(|code| code == reason.code()), "{}: {}", case.name, reason.code());
            }
        }
    }
}

#[test]
fn the_events_fields_are_those_of_the_resource() {
    for case in cases().iter().filter(|case| case.expect.verdict == "accept") {
        let event = judge_case(case).unwrap().event;
        let told = case.expect.event.as_ref().unwrap();
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        assert_eq!(
            event.out_trade_no,
            text(&told["out_trade_no"]).or(text(&told["combine_out_trade_no"])),
            "{}",
            case.name
        );
        assert_eq!(event.transaction_id, text(&told["transaction_id"]), "{}", case.name);
        assert_eq!(event.attach, text(&told["attach"]), "{}", case.name);
        if told["amount"].is_object() {
            assert_eq!(event.amount_total, told["amount"]["total"].as_i64(), "{}", case.name);
        }
    }
}

#[test]
fn the_rsa_crate_agrees_on_every_signature() {
    use rsa::pkcs8::DecodePublicKey as _;
    use sha2::Digest as _;
    let mut compared = 0;
    for case in cases() {
        let headers = header_map(&case.request.headers);
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let serial = value("wechatpay-serial").to_uppercase();
        let Some(verifier) = case.keys.verifiers.iter().find(|verifier| verifier.serial == serial) else { continue };
        let pem = verifier.cert_pem.as_ref().or(verifier.public_key_pem.as_ref()).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
        let spki = pem.parse_x509().map_or(pem.contents.clone(), |certificate| certificate.public_key().raw.to_vec());
        let key = rsa::PublicKey::from_public_key_der(&spki).unwrap();
        let body = decode(&case.request.body_b64);
        let message =
            [value("wechatpay-timestamp").as_bytes(), b"\n", value("wechatpay-nonce").as_bytes(), b"\n", &body, b"\n"]
                .concat();
        let Ok(signature) = base64_simd::STANDARD.decode_to_vec(value("wechatpay-signature")) else { continue };
        let scheme = rsa::Pkcs1v15Sign::new::<sha2::Sha256>();
        let theirs = key.verify(scheme, &sha2::Sha256::digest(&message), &signature).is_ok();
        let ours = super::super::crypto::RsaPublicKey::from_der(&spki).unwrap();
        let parts = (value("wechatpay-timestamp").as_bytes(), value("wechatpay-nonce").as_bytes());
        assert_eq!(ours.verifies(parts.0, parts.1, &body, &signature), theirs, "{}", case.name);
        compared += 1;
    }
    assert!(compared > 60, "{compared}");
}

#[test]
fn both_keys_open_while_the_api_v3_key_rotates() {
    let case = cases().into_iter().find(|case| case.name == "v3-jsapi-cert-mode").unwrap();
    let Protocol::PayV3(mut pay) = protocol(&case.keys);
    pay.api_v3.insert(0, ApiV3Key::new(&Secret::new(vec![b'n'; 32])).unwrap());
    let headers = header_map(&case.request.headers);
    let body = Bytes::from(decode(&case.request.body_b64));
    assert!(judge(&Protocol::PayV3(pay), &case.request, &headers, body, case.now).is_ok());
}

#[test]
fn the_window_ends_on_both_sides_at_its_own_length() {
    let case = cases().into_iter().find(|case| case.name == "v3-jsapi-cert-mode").unwrap();
    let headers = header_map(&case.request.headers);
    let signed: i64 = headers["wechatpay-timestamp"].to_str().unwrap().parse().unwrap();
    let at = |now| {
        let body = Bytes::from(decode(&case.request.body_b64));
        judge(&protocol(&case.keys), &case.request, &headers, body, now).err()
    };
    assert_eq!((at(signed + 299), at(signed - 299)), (None, None));
    let refused = Some(Reason::TimestampOutOfWindow);
    assert_eq!((at(signed + 300), at(signed - 300)), (refused, refused));
}

#[test]
fn a_certificate_that_has_expired_signs_nothing() {
    let case = cases().into_iter().find(|case| case.name == "v3-jsapi-cert-mode").unwrap();
    let mut headers = header_map(&case.request.headers);
    let later: i64 = 2_100_000_000;
    headers.insert("wechatpay-timestamp", HeaderValue::from(later));
    let end = judge(&protocol(&case.keys), &case.request, &headers, Bytes::new(), later);
    assert_eq!(end.err(), Some(Reason::UnknownSerial));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bit_of_body_timestamp_nonce_or_signature_can_be_changed(which in 0..4_usize, place in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let case = cases().into_iter().next().unwrap();
        let mut headers = header_map(&case.request.headers);
        let mut body = decode(&case.request.body_b64);
        let name = ["", "wechatpay-timestamp", "wechatpay-nonce", "wechatpay-signature"][which];
        if which == 0 {
            let at = place.index(body.len());
            body[at] ^= 1 << bit;
        } else {
            let mut value = headers[name].as_bytes().to_vec();
            let at = place.index(value.len());
            value[at] ^= 1 << bit;
            match HeaderValue::from_bytes(&value) {
                Ok(value) => { headers.insert(name, value); }
                Err(_) => return Ok(()), // HTTP itself refuses it
            }
        }
        let end = judge(&protocol(&case.keys), &case.request, &headers, body.into(), case.now);
        prop_assert!(end.is_err());
    }

    #[test]
    fn a_resource_of_any_bytes_is_refused_or_read_but_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = resource::read(&bytes).map(|found| found.into_event(String::new(), String::new(), None, Bytes::new()));
    }
}
