//! Each cause is produced from a genuine vector by the mishap that it names.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::*;
use crate::secret::Secret;
use crate::wechat::diagnosis::Explained as _;
use crate::wechat::key::ApiV3Key;
use crate::wechat::pay_v3::Settings;

const VECTORS: &str = include_str!("../../../../tests/vectors/pay_v3.json");

/// A captured request with the configuration that it meets.
struct Scene {
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    method: Method,
    now: i64,
    /// Id and PEM.
    keys: Vec<(String, String)>,
    api_v3: String,
    mchids: Vec<String>,
}

impl Scene {
    /// The genuine one.
    fn usual() -> Self {
        let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
        let case = vectors.iter().find(|case| case["name"] == "v3-jsapi-cert-mode").unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let pair = |header: &Value| (text(&header[0]).to_ascii_lowercase(), text(&header[1]).into_bytes());
        let verifiers = case["keys"]["verifiers"].as_array().unwrap();
        Self {
            headers: case["request"]["headers"].as_array().unwrap().iter().map(pair).collect(),
            body: base64_simd::STANDARD.decode_to_vec(text(&case["request"]["body_b64"])).unwrap(),
            method: Method::POST,
            now: case["now"].as_i64().unwrap(),
            keys: verifiers
                .iter()
                .map(|verifier| {
                    let pem = verifier["cert_pem"].as_str().or(verifier["public_key_pem"].as_str()).unwrap();
                    (text(&verifier["serial"]), pem.to_owned())
                })
                .collect(),
            api_v3: text(&case["keys"]["apiv3_key"]),
            mchids: serde_json::from_value(case["keys"]["mchids"].clone()).unwrap(),
        }
    }

    fn header(&mut self, name: &str) -> &mut (String, Vec<u8>) {
        self.headers.iter_mut().find(|(n, _)| n == name).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn diagnose(&self) -> Diagnosis {
        let key = |(id, pem): &(String, String)| {
            let certificate = pem.contains("CERTIFICATE").then(|| VerifyingKey::from_certificate_pem(pem).unwrap());
            certificate.unwrap_or_else(|| VerifyingKey::from_public_key_pem(id, pem).unwrap())
        };
        let pay = PayV3::new(Settings {
            window: Duration::from_mins(5),
            verifying_keys: self.keys.iter().map(key).collect(),
            downloaded: crate::wechat::key::SharedKeys::default(),
            api_v3: vec![ApiV3Key::new(&Secret::new(self.api_v3.clone().into_bytes())).unwrap()],
            mchids: self.mchids.clone(),
            appids: Vec::new(),
        });
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let received = Received { method: &self.method, path: "/notify/wxpay/v3", query: "", headers: &headers };
        pay.diagnose(received, &Bytes::from(self.body.clone()), UnixTime::from_secs(self.now))
    }
}

type Mishap = fn(&mut Scene);

/// Another key of the vectors, in PEM, under an id of our choice.
fn other_public_key() -> String {
    rsa::pkcs8::EncodePublicKey::to_public_key_pem(&other_private_key().to_public_key(), rsa::pkcs8::LineEnding::LF)
        .unwrap()
}

fn other_private_key() -> rsa::PrivateKey {
    let pem = include_str!("../../../sim/keys/stranger_key.pem");
    rsa::pkcs8::DecodePrivateKey::from_pkcs8_pem(pem).unwrap()
}

/// The key of the certificate as a bare public key.
fn own_public_key(scene: &Scene) -> String {
    let pem = &scene.keys[0].1;
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    let key = pem.parse_x509().unwrap().public_key().raw.to_vec();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64_simd::STANDARD.encode_to_string(key))
}

const MISHAPS: &[(Cause, &str, Mishap)] = &[
    (Cause::Passes, "nothing happened", |_| ()),
    (Cause::HeaderRenamed, "a prefix", |s| s.header("wechatpay-nonce").0 = "x-wechatpay-nonce".to_owned()),
    (Cause::HeaderRenamed, "underscores", |s| s.header("wechatpay-serial").0 = "http_wechatpay_serial".to_owned()),
    (Cause::HeaderLost, "dropped", |s| s.headers.retain(|(name, _)| name != "wechatpay-signature")),
    (Cause::HeaderRepeated, "added again", |s| {
        let again = s.header("wechatpay-timestamp").clone();
        s.headers.push(again);
    }),
    (Cause::HeaderChanged, "a plus became a blank", |s| {
        let signature = &mut s.header("wechatpay-signature").1;
        assert!(signature.contains(&b'+'), "this signature has no plus to lose");
        signature.iter_mut().filter(|byte| **byte == b'+').for_each(|byte| *byte = b' ');
    }),
    (Cause::HeaderChanged, "quoted", |s| {
        let nonce = &mut s.header("wechatpay-nonce").1;
        *nonce = [b"\"", &nonce[..], b"\""].concat();
    }),
    (Cause::HeaderChanged, "percent-encoded", |s| {
        let signature = &mut s.header("wechatpay-signature").1;
        *signature = String::from_utf8(signature.clone()).unwrap().replace('=', "%3D").into_bytes();
    }),
    (Cause::SigntestProbe, "a probe", |s| {
        let signature = &mut s.header("wechatpay-signature").1;
        *signature = [b"WECHATPAY/SIGNTEST/", &signature[..]].concat();
    }),
    (Cause::Clock, "an hour late", |s| s.now += 3600),
    (Cause::Clock, "an hour early", |s| s.now -= 3600),
    (Cause::BodyTrimmed, "a line feed more", |s| s.body.push(b'\n')),
    (Cause::BodyTrimmed, "blanks in front", |s| s.body.insert(0, b' ')),
    (Cause::BodyByteOrderMark, "a mark", |s| s.body = [b"\xef\xbb\xbf", &s.body[..]].concat()),
    (Cause::BodyCharset, "read as ISO 8859-1", |s| {
        s.body = s.body.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes();
    }),
    (Cause::BodyRewritten, "indented", |s| {
        s.body = s.text().replace("\":\"", "\": \"").replace("\",\"", "\",\n  \"").into_bytes();
    }),
    (Cause::BodyRewritten, "members sorted", |s| {
        let value: Value = serde_json::from_slice(&s.body).unwrap();
        s.body = value.to_string().into_bytes();
    }),
    (Cause::BodyRewritten, "escaped", |s| {
        let escaped = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
        s.body = s.text().chars().map(escaped).collect::<String>().into_bytes();
    }),
    (Cause::BodyRewritten, "slashes escaped", |s| s.body = s.text().replace('/', "\\/").into_bytes()),
    (Cause::BodyFormDecoded, "decoded as a form", |s| {
        assert!(s.text().contains('+'));
        s.body = s.text().replace('+', " ").into_bytes();
    }),
    (Cause::BodyCompressed, "gzip", |s| s.headers.push(("content-encoding".to_owned(), b"gzip".to_vec()))),
    (Cause::BodyLost, "not passed on", |s| s.body.clear()),
    (Cause::KeysMixedUp, "two files swapped", |s| {
        let (serial, own) = (s.keys[0].0.clone(), own_public_key(s));
        let other = "PUB_KEY_ID_0000000000000000000000000000000001";
        s.header("wechatpay-serial").1 = other.as_bytes().to_vec();
        s.keys = vec![
            (other.to_owned(), other_public_key()),
            ("PUB_KEY_ID_0000000000000000000000000000000002".to_owned(), own),
        ];
        assert!(!serial.is_empty());
    }),
    (Cause::KeyUnderOtherId, "a wrong id in the configuration", |s| {
        s.keys = vec![("PUB_KEY_ID_0000000000000000000000000000000002".to_owned(), own_public_key(s))];
    }),
    (Cause::KeyUnknown, "not configured", |s| {
        s.keys = vec![("PUB_KEY_ID_0000000000000000000000000000000002".to_owned(), other_public_key())];
    }),
    (Cause::KeyExpired, "ten years later", |s| {
        s.now += 10 * 365 * 86_400;
        s.header("wechatpay-timestamp").1 = s.now.to_string().into_bytes();
    }),
    (Cause::SignatureType, "guomi", |s| {
        s.headers.retain(|(name, _)| name != "wechatpay-signature-type");
        s.headers.push(("wechatpay-signature-type".to_owned(), b"WECHATPAY2-SM2-WITH-SM3".to_vec()));
    }),
    (Cause::Unexplained, "another amount", |s| s.body = s.text().replacen("id", "di", 1).into_bytes()),
    (Cause::ApiV3Key, "another key", |s| s.api_v3 = "0123456789abcdef0123456789abcdef".to_owned()),
    (Cause::OtherMerchant, "another merchant's", |s| s.mchids = vec!["1900000999".to_owned()]),
    (Cause::Form, "a GET", |s| s.method = Method::GET),
];

#[test]
fn every_mishap_is_named() {
    for (cause, what, mishap) in MISHAPS {
        let mut scene = Scene::usual();
        mishap(&mut scene);
        let diagnosis = scene.diagnose();
        assert_eq!(diagnosis.cause, *cause, "{what}: {}", diagnosis.detail);
    }
}

#[test]
fn every_cause_has_a_mishap() {
    for cause in Cause::ALL {
        let line_ends = *cause == Cause::BodyLineEnds; // genuine bodies hold none: tested by themselves
        assert!(line_ends || MISHAPS.iter().any(|(named, ..)| named == cause), "{} is never produced", cause.code());
    }
}

#[test]
fn line_ends_are_undone_both_ways() {
    let of = |body: &[u8]| body::undone(body).into_iter().filter(|undone| undone.cause == Cause::BodyLineEnds);
    assert!(of(b"{\r\n}\r\n").any(|undone| undone.body == b"{\n}\n"));
    assert!(of(b"{\n}\r\n").any(|undone| undone.body == b"{\r\n}\r\n"));
}

#[test]
fn words_hold_no_body_and_no_key() {
    let secrets = ["IetQjNnMc9E0", "0123456789abcdef0123456789abcdef", "BEGIN"];
    for (_, what, mishap) in MISHAPS {
        let mut scene = Scene::usual();
        mishap(&mut scene);
        let words = scene.diagnose().detail;
        assert!(words.len() < 300 && !secrets.iter().any(|secret| words.contains(secret)), "{what}: {words}");
    }
}

proptest::proptest! {
    #[test]
    fn no_body_is_too_strange(body: Vec<u8>) {
        let mut scene = Scene::usual();
        scene.body = body;
        assert_ne!(scene.diagnose().cause, Cause::Passes);
    }
}
