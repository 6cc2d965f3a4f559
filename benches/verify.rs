//! What the protocol steps of a Pay v3 callback cost, beside the one signature check that none of them can do without.
//!
//! `cargo bench --bench verify`. Compare `bare` and `whole` of one run: absolute times move with the machine.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench is no interface, and may panic"
)]

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use wxgate::clock::UnixTime;
use wxgate::secret::Secret;
use wxgate::wechat::key::{ApiV3Key, SharedKeys, VerifyingKey};
use wxgate::wechat::{Authentic, Protocol, Received, pay_v3};

/// A vector as it goes into the gateway.
struct Fixture {
    protocol: Protocol,
    headers: HeaderMap,
    body: Bytes,
    now: UnixTime,
    certificate: String,
}

impl Fixture {
    fn named(name: &str) -> Self {
        let vectors: Vec<Value> = serde_json::from_str(include_str!("../tests/vectors/pay_v3.json")).unwrap();
        let case = vectors.into_iter().find(|case| case["name"] == name).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let texts = |value: &Value| value.as_array().unwrap().iter().map(text).collect::<Vec<String>>();
        let mut headers = HeaderMap::new();
        for header in case["request"]["headers"].as_array().unwrap() {
            let name = HeaderName::from_bytes(text(&header[0]).as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(&text(&header[1])).unwrap());
        }
        let certificate = text(&case["keys"]["verifiers"][0]["cert_pem"]);
        let protocol = Protocol::PayV3(pay_v3::PayV3::new(pay_v3::Settings {
            window: Duration::from_mins(5),
            verifying_keys: vec![VerifyingKey::from_certificate_pem(&certificate).unwrap()],
            downloaded: SharedKeys::default(),
            api_v3: vec![ApiV3Key::new(&Secret::new(text(&case["keys"]["apiv3_key"]).into_bytes())).unwrap()],
            mchids: texts(&case["keys"]["mchids"]),
            appids: texts(&case["keys"]["appids"]),
        }));
        let body = base64_simd::STANDARD.decode_to_vec(text(&case["request"]["body_b64"])).unwrap().into();
        Self { protocol, headers, body, now: UnixTime::from_secs(case["now"].as_i64().unwrap()), certificate }
    }

    fn received(&self) -> Received<'_> {
        Received { method: &Method::POST, path: "/notify", query: "", headers: &self.headers }
    }

    fn whole(&self) -> Authentic {
        let screened = self.protocol.screen(self.received(), self.now).unwrap();
        let verified = self.protocol.verify(screened, self.body.clone()).unwrap();
        self.protocol.open(verified).unwrap()
    }

    /// What is signed, joined, and the signature: the least that any verifier has to look at.
    fn bare(&self) -> (ParsedPublicKey, Vec<u8>, Vec<u8>) {
        let (_, pem) = x509_parser::pem::parse_x509_pem(self.certificate.as_bytes()).unwrap();
        let key = pem.parse_x509().unwrap().public_key().raw.to_vec();
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).unwrap();
        let header = |name: &str| self.headers[name].as_bytes();
        let timestamp = header("wechatpay-timestamp");
        let message = [timestamp, b"\n", header("wechatpay-nonce"), b"\n", &self.body, b"\n"].concat();
        (key, message, base64_simd::STANDARD.decode_to_vec(header("wechatpay-signature")).unwrap())
    }
}

fn verify(criterion: &mut Criterion) {
    for name in ["v3-mall-transaction-int-amount", "v3-jsapi-cert-mode", "v3-body-100k"] {
        let fixture = Fixture::named(name);
        let mut group = criterion.benchmark_group(format!("verify/{}B", fixture.body.len()));
        group.throughput(Throughput::Elements(1));
        let (key, message, signature) = fixture.bare();
        group.bench_function("bare rsa-2048", |b| b.iter(|| key.verify_sig(black_box(&message), &signature).unwrap()));
        group.bench_function("screen", |b| {
            b.iter(|| fixture.protocol.screen(black_box(fixture.received()), fixture.now).unwrap());
        });
        group.bench_function("open", |b| {
            let verified = || {
                let screened = fixture.protocol.screen(fixture.received(), fixture.now).unwrap();
                fixture.protocol.verify(screened, fixture.body.clone()).unwrap()
            };
            b.iter_batched(verified, |verified| fixture.protocol.open(verified).unwrap(), BatchSize::SmallInput);
        });
        group.bench_function("whole", |b| b.iter(|| black_box(&fixture).whole()));
        group.finish();
    }
}

criterion_group!(benches, verify);
criterion_main!(benches);
