//! The vectors, made by independent implementations, and what must hold whatever the bytes are.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::clock::UnixTime;
use crate::secret::Secret;
use crate::wechat::key::SharedKeys;
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
    test_signing_private_key_pem: String,
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

fn cases() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> =
        LazyLock::new(|| serde_json::from_str(include_str!("../../../tests/vectors/pay_v3.json")).unwrap());
    &CASES
}

fn case(name: &str) -> &'static Case {
    cases().iter().find(|case| case.name == name).unwrap()
}

fn usual() -> &'static Case {
    case("v3-jsapi-cert-mode")
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
        downloaded: SharedKeys::default(),
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
    let screened = protocol.screen(received, UnixTime::from_secs(now)).map_err(|refusal| refusal.reason)?;
    let verified = protocol.verify(screened, body).map_err(|refusal| refusal.reason)?;
    protocol.open(verified).map_err(|refusal| refusal.reason)
}

fn judge_case(case: &Case) -> Result<Authentic, Reason> {
    let headers = header_map(&case.request.headers);
    judge(&protocol(&case.keys), &case.request, &headers, decode(&case.request.body_b64).into(), case.now)
}

#[test]
fn every_vector_gives_its_verdict_reason_and_event() {
    assert!(cases().len() >= 90);
    for case in cases() {
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
    let case = usual();
    let Protocol::PayV3(mut pay) = protocol(&case.keys) else { unreachable!() };
    pay.api_v3.insert(0, ApiV3Key::new(&Secret::new(vec![b'n'; 32])).unwrap());
    let headers = header_map(&case.request.headers);
    let body = Bytes::from(decode(&case.request.body_b64));
    assert!(judge(&Protocol::PayV3(pay), &case.request, &headers, body, case.now).is_ok());
}

#[test]
fn the_window_ends_on_both_sides_at_its_own_length() {
    let case = usual();
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
    let case = usual();
    let mut headers = header_map(&case.request.headers);
    let later: i64 = 2_100_000_000;
    headers.insert("wechatpay-timestamp", HeaderValue::from(later));
    let end = judge(&protocol(&case.keys), &case.request, &headers, Bytes::new(), later);
    assert_eq!(end.err(), Some(Reason::UnknownSerial));
}

#[test]
fn a_certificate_that_has_not_begun_signs_nothing() {
    let case = usual();
    let mut headers = header_map(&case.request.headers);
    let earlier: i64 = 1_600_000_000;
    headers.insert("wechatpay-timestamp", HeaderValue::from(earlier));
    let end = judge(&protocol(&case.keys), &case.request, &headers, Bytes::new(), earlier);
    assert_eq!(end.err(), Some(Reason::UnknownSerial));
}

/// The head of the usual callback with one header changed; None takes it away.
fn with_header(name: &'static str, value: Option<&[u8]>) -> Option<Reason> {
    let case = usual();
    let mut headers = header_map(&case.request.headers);
    match value {
        Some(value) => drop(headers.insert(name, HeaderValue::from_bytes(value).unwrap())),
        None => drop(headers.remove(name)),
    }
    judge(&protocol(&case.keys), &case.request, &headers, decode(&case.request.body_b64).into(), case.now).err()
}

#[test]
fn each_header_has_one_form() {
    let told = |name: &str| usual().request.headers.iter().find(|(n, _)| n == name).unwrap().1.clone();
    let (signature, serial) = (told("Wechatpay-Signature"), told("Wechatpay-Serial"));
    // The last symbol before the padding has four bits that decode to nothing: they must be zero.
    let same_bytes = signature.replace("MQ==", "MR==");
    assert_ne!(signature, same_bytes);
    let mut too_short = signature.clone();
    too_short.truncate(340);
    for (name, value, reason) in [
        ("wechatpay-timestamp", "01760000000", Reason::BadTimestamp),
        ("wechatpay-timestamp", "0x68e77800", Reason::BadTimestamp),
        ("wechatpay-timestamp", "-1760000000", Reason::BadTimestamp),
        ("wechatpay-timestamp", "1760000000 ", Reason::BadTimestamp),
        ("wechatpay-timestamp", "9223372036854775807", Reason::TimestampOutOfWindow),
        ("wechatpay-timestamp", "9223372036854775808", Reason::BadTimestamp),
        ("wechatpay-timestamp", "17600000001760000000", Reason::BadTimestamp),
        ("wechatpay-nonce", "with space", Reason::BadEncoding),
        ("wechatpay-nonce", &"n".repeat(129), Reason::BadEncoding),
        ("wechatpay-nonce", &"n".repeat(128), Reason::BadSignature),
        ("wechatpay-serial", &"A".repeat(129), Reason::BadEncoding),
        ("wechatpay-serial", &"A".repeat(128), Reason::UnknownSerial),
        ("wechatpay-serial", &serial[1..], Reason::UnknownSerial),
        ("wechatpay-serial", &format!("0{serial}"), Reason::UnknownSerial),
        ("wechatpay-signature", &same_bytes, Reason::BadEncoding),
        ("wechatpay-signature", &too_short, Reason::BadSignature),
        ("wechatpay-signature", &"A".repeat(1028), Reason::BadEncoding),
        ("wechatpay-signature", &format!("WECHATPAY/SIGNTEST/{signature}"), Reason::SigntestProbe),
        ("wechatpay-signature-type", "WECHATPAY2-SHA256-RSA2048 ", Reason::UnsupportedSignatureType),
        ("wechatpay-signature-type", "wechatpay2-sha256-rsa2048", Reason::UnsupportedSignatureType),
        ("content-encoding", "br", Reason::BadEncoding),
        ("content-encoding", "identity, gzip", Reason::BadEncoding),
    ] {
        assert_eq!(with_header(name, Some(value.as_bytes())), Some(reason), "{name}: {value}");
    }
    for name in ["wechatpay-timestamp", "wechatpay-nonce", "wechatpay-serial", "wechatpay-signature"] {
        assert_eq!(with_header(name, None), Some(Reason::MissingHeader), "{name}");
        assert_eq!(with_header(name, Some(b"")), Some(Reason::MissingHeader), "{name}");
        assert!(with_header(name, Some(&[0xff; 12])).is_some(), "{name}");
    }
    for (name, value) in [
        ("wechatpay-serial", serial.to_lowercase().as_str()),
        ("wechatpay-signature-type", ""),
        ("content-encoding", "identity"),
    ] {
        assert_eq!(with_header(name, Some(value.as_bytes())), None, "{name}: {value}");
    }
}

#[test]
fn every_header_counts_once_even_if_the_second_is_equal() {
    let case = usual();
    for name in [
        "wechatpay-timestamp",
        "wechatpay-nonce",
        "wechatpay-serial",
        "wechatpay-signature",
        "wechatpay-signature-type",
    ] {
        let mut headers = header_map(&case.request.headers);
        let value = headers[name].clone();
        headers.append(name, value);
        let end = judge(&protocol(&case.keys), &case.request, &headers, Bytes::new(), case.now);
        assert_eq!(end.err(), Some(Reason::DuplicateHeader), "{name}");
    }
}

#[test]
fn a_probe_is_known_before_anything_else_about_it_is_judged() {
    let case = usual();
    let mut headers = header_map(&case.request.headers);
    headers.insert("wechatpay-signature", HeaderValue::from_static("WECHATPAY/SIGNTEST/x"));
    headers.insert("wechatpay-serial", HeaderValue::from_static("0000000000000000000000000000000000000000"));
    headers.insert("wechatpay-timestamp", HeaderValue::from_static("1"));
    let end = judge(&protocol(&case.keys), &case.request, &headers, Bytes::new(), case.now);
    assert_eq!(end.err(), Some(Reason::SigntestProbe));
}

/// Every single bit of what is signed and of the signature, on one callback.
#[test]
fn no_single_bit_can_be_flipped() {
    let case = usual();
    let protocol = protocol(&case.keys);
    let body = decode(&case.request.body_b64);
    let headers = header_map(&case.request.headers);
    let is_verified = |headers: &HeaderMap, body: Vec<u8>| {
        let received = Received { method: &Method::POST, path: "/", query: "", headers };
        let screened = protocol.screen(received, UnixTime::from_secs(case.now));
        screened.is_ok_and(|screened| protocol.verify(screened, body.into()).is_ok())
    };
    assert!(is_verified(&headers, body.clone()));
    for place in 0..body.len() * 8 {
        let mut flipped = body.clone();
        flipped[place / 8] ^= 1 << (place % 8);
        assert!(!is_verified(&headers, flipped), "bit {place} of the body");
    }
    for name in ["wechatpay-timestamp", "wechatpay-nonce", "wechatpay-signature", "wechatpay-signature-type"] {
        for place in 0..headers[name].len() * 8 {
            let mut value = headers[name].as_bytes().to_vec();
            value[place / 8] ^= 1 << (place % 8);
            let Ok(value) = HeaderValue::from_bytes(&value) else { continue }; // HTTP itself refuses it
            let mut flipped = headers.clone();
            flipped.insert(name, value);
            assert!(!is_verified(&flipped, body.clone()), "bit {place} of {name}");
        }
    }
}

/// Signs in WeChat's place, by another implementation: what lies behind the signature can be tested with any content.
fn signed(body: &[u8]) -> HeaderMap {
    use rsa::pkcs8::DecodePrivateKey as _;
    use sha2::Digest as _;
    static KEY: LazyLock<rsa::PrivateKey> = LazyLock::new(|| {
        rsa::PrivateKey::from_pkcs8_pem(&usual().keys.verifiers[0].test_signing_private_key_pem).unwrap()
    });
    let mut headers = header_map(&usual().request.headers);
    let value = |name: &str| headers[name].as_bytes();
    let message = [value("wechatpay-timestamp"), b"\n", value("wechatpay-nonce"), b"\n", body, b"\n"].concat();
    let signature = KEY.sign(rsa::Pkcs1v15Sign::new::<sha2::Sha256>(), &sha2::Sha256::digest(&message)).unwrap();
    let signature = base64_simd::STANDARD.encode_to_string(signature);
    headers.insert("wechatpay-signature", HeaderValue::from_str(&signature).unwrap());
    headers
}

/// A body that carries this resource, encrypted by another implementation.
fn sealed(resource: &[u8]) -> Vec<u8> {
    use aes_gcm::aead::{Aead as _, Payload};
    use aes_gcm::{Aes256Gcm, KeyInit as _};
    let cipher = Aes256Gcm::new_from_slice(usual().keys.apiv3_key.as_bytes()).unwrap();
    let nonce: &aes_gcm::Nonce<_> = b"0123456789ab".as_slice().try_into().unwrap();
    let ciphertext = cipher.encrypt(nonce, Payload { msg: resource, aad: b"t" }).unwrap();
    let ciphertext = base64_simd::STANDARD.encode_to_string(ciphertext);
    serde_json::json!({
        "id": "EV-1", "create_time": "2025-10-09T16:53:20+08:00", "event_type": "TRANSACTION.SUCCESS",
        "resource_type": "encrypt-resource", "summary": "支付成功",
        "resource": {
            "algorithm": "AEAD_AES_256_GCM", "nonce": "0123456789ab", "associated_data": "t", "ciphertext": ciphertext,
        },
    })
    .to_string()
    .into_bytes()
}

fn judge_signed(body: Vec<u8>) -> Result<Authentic, Reason> {
    judge(&protocol(&usual().keys), &usual().request, &signed(&body), body.into(), usual().now)
}

#[test]
fn what_authentic_says_is_what_was_signed() {
    let body = sealed(br#"{"out_trade_no":"o"}"#);
    let authentic = judge_signed(body.clone()).unwrap();
    assert_eq!(authentic.event().id, "EV-1");
    assert_eq!(authentic.event().kind, "wechatpay.transaction.success");
    assert_eq!(authentic.event().time, Some(UnixTime::from_secs(1_760_000_000)));
    assert_eq!(authentic.event().body, r#"{"out_trade_no":"o"}"#);
    let freshness = authentic.freshness().unwrap();
    assert_eq!(freshness.nonce, "jbD0kH8Oool8DklZDOCj2ISaJiHkTj0r");
    assert_eq!(freshness.signed_at, UnixTime::from_secs(1_760_000_000));
    assert_eq!(&**authentic.signed_by(), "72A4C2558D72EF0E12648FD52893F68AD6BB7A7A");
    assert_eq!(*authentic.received_body(), body);
}

#[test]
fn a_signed_body_still_has_to_be_what_the_protocol_says() {
    let body = String::from_utf8(sealed(b"{}")).unwrap();
    let long = "E".repeat(129);
    for (from, to, reason) in [
        ("\"EV-1\"", "\"\"", Reason::MissingField),
        ("\"EV-1\"", "7", Reason::MissingField),
        ("\"EV-1\"", "null", Reason::MissingField),
        ("EV-1", long.as_str(), Reason::BadJson),
        ("TRANSACTION.SUCCESS", long.as_str(), Reason::BadJson),
        ("event_type", "type", Reason::MissingField),
        ("\"nonce\"", "\"once\"", Reason::MissingField),
        ("\"algorithm\"", "\"algo\"", Reason::MissingField),
        ("AEAD_AES_256_GCM", "AEAD_SM4_GCM", Reason::UnsupportedAlgorithm),
        ("0123456789ab", "0123456789abc", Reason::BadCiphertext),
        ("0123456789ab", "0123456789é", Reason::BadCiphertext),
        ("\"associated_data\":\"t\"", "\"associated_data\":\"u\"", Reason::BadCiphertext),
        ("\"associated_data\":\"t\"", "\"associated_data\":null", Reason::BadCiphertext),
        ("\"resource\":{", "\"resource\":{\"nonce\":\"0123456789ab\",", Reason::BadJson),
        ("{\"", "\u{feff}{\"", Reason::BadJson),
    ] {
        assert!(body.contains(from), "{from}");
        assert_eq!(judge_signed(body.replacen(from, to, 1).into_bytes()).err(), Some(reason), "{from} -> {to}");
    }
    for resource in ["", "[]", "null", "\u{feff}{}", "{}{}", "{\"a\":1,\"a\":1}", "{\"a\":\"\\ud800\"}"] {
        assert_eq!(judge_signed(sealed(resource.as_bytes())).err(), Some(Reason::BadJson), "{resource}");
    }
}

fn flipped(value: &[u8], place: prop::sample::Index, bit: u8) -> Vec<u8> {
    let mut value = value.to_vec();
    let at = place.index(value.len());
    value[at] ^= 1 << bit;
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bit_of_any_genuine_callback_can_be_changed(
        which in any::<prop::sample::Index>(),
        part in 0..6_usize,
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let genuine: Vec<&Case> = cases().iter().filter(|case| case.expect.verdict == "accept").collect();
        let case = genuine[which.index(genuine.len())];
        let mut headers = header_map(&case.request.headers);
        let mut body = decode(&case.request.body_b64);
        let names = ["", "timestamp", "nonce", "signature", "serial", "signature-type"];
        let name = format!("wechatpay-{}", names[part]);
        let mut is_other_case = false;
        if part == 0 {
            body = flipped(&body, place, bit);
        } else {
            let Some(before) = headers.get(&name).cloned() else { return Ok(()) };
            let value = flipped(before.as_bytes(), place, bit);
            // A certificate's serial may come in either case (protocol 1.2): it names the same key.
            is_other_case = part == 4 && value.eq_ignore_ascii_case(before.as_bytes());
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) }; // HTTP itself refuses it
            headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
        let end = judge(&protocol(&case.keys), &case.request, &headers, body.into(), case.now);
        prop_assert!(end.is_err() || is_other_case);
    }

    #[test]
    fn headers_of_any_bytes_are_refused_and_never_panic(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 5),
    ) {
        let names = ["timestamp", "nonce", "serial", "signature", "signature-type"];
        for kept in 0..=names.len() {
            let mut headers = header_map(&usual().request.headers);
            for (name, value) in names.iter().zip(&values).skip(kept) {
                let Ok(value) = HeaderValue::from_bytes(value) else { continue };
                headers.insert(HeaderName::from_bytes(format!("wechatpay-{name}").as_bytes()).unwrap(), value);
            }
            let is_changed = headers != header_map(&usual().request.headers);
            let body = decode(&usual().request.body_b64).into();
            let end = judge(&protocol(&usual().keys), &usual().request, &headers, body, usual().now);
            // An empty signature type means the usual one.
            prop_assert!(end.is_err() || !is_changed || headers["wechatpay-signature-type"].is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_sealed_and_signed_comes_out_byte_for_byte(
        members in prop::collection::btree_map("[a-z_]{1,12}", ".{0,40}", 0..8),
    ) {
        let resource = serde_json::to_string_pretty(&members).unwrap();
        match judge_signed(sealed(resource.as_bytes())) {
            Ok(authentic) => prop_assert_eq!(&authentic.event().body, &resource),
            Err(reason) => prop_assert!(matches!(reason, Reason::MchidMismatch | Reason::AppidMismatch)),
        }
    }

    #[test]
    fn a_signed_body_that_was_bent_is_refused_or_means_the_same(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let resource = br#"{"out_trade_no":"o","amount":{"total":1}}"#;
        let mut body = sealed(resource);
        for (place, byte) in edits {
            let at = place.index(body.len());
            body[at] = byte;
        }
        if let Ok(authentic) = judge_signed(body) {
            prop_assert_eq!(&authentic.event().body[..], resource);
        }
    }

    #[test]
    fn a_signed_body_of_any_bytes_is_refused_and_never_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(judge_signed(body).err(), Some(Reason::BadJson));
    }

    #[test]
    fn a_resource_of_any_bytes_is_refused_or_read_but_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let read = resource::read(&bytes).map(|found| found.into_event(String::new(), String::new(), None, Bytes::new()));
        prop_assert!(read.is_err() || bytes.trim_ascii_start().first() == Some(&0x7b), "no object");
    }
}
