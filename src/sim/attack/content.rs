//! Signed by WeChat's key and still not to be passed on: ciphertexts that do not open, JSON that reads in two ways, events of
//! other merchants.

use super::Case;
use super::scene::Scene;
use crate::sim::notify::{Callback, Event};
use crate::sim::sample::Order;
use crate::sim::sign;

pub(super) const CASES: &[Case] =
    &[
        Case::refused("other-mchid", "an event of another merchant", |s| {
            let order = Order { mchid: "1900000999".to_owned(), ..Order::new(&s.keys.merchant, s.now) };
            s.refused(&s.sign(Scene::event_of(&order).body(s.keys)))
        }),
        Case::refused("other-appid", "an event of another app", |s| {
            let order = Order { appid: "wx9999999999999999".to_owned(), ..Order::new(&s.keys.merchant, s.now) };
            s.refused(&s.sign(Scene::event_of(&order).body(s.keys)))
        }),
        Case::refused("other-sp-mchid", "an event of another service provider", |s| {
            s.refused(&s.sign(
                s.event_with(r#"{"sp_mchid":"1900000999","sub_mchid":"1900000001","out_trade_no":"T1"}"#).body(s.keys),
            ))
        }),
        Case::refused("other-api-v3-key", "encrypted under another merchant's key", |s| {
            let nonce = sign::random_text::<12>();
            let event = s.event();
            let sealed = sign::seal(&sign::random(), &nonce, &event.associated_data, event.resource.as_bytes());
            s.refused(&s.sign(event.envelope(&nonce, &sealed.unwrap_or_default())))
        }),
        Case::refused("ciphertext-tampered", "one bit of the ciphertext, and signed", |s| {
            s.refused(&resealed(s, |sealed| sealed.iter_mut().take(1).for_each(|byte| *byte ^= 1)))
        }),
        Case::refused("tag-tampered", "one bit of the authentication tag, and signed", |s| {
            s.refused(&resealed(s, |sealed| sealed.iter_mut().rev().take(1).for_each(|byte| *byte ^= 1)))
        }),
        Case::refused("tag-dropped", "no authentication tag, and signed", |s| {
            s.refused(&resealed(s, |sealed| sealed.truncate(sealed.len().saturating_sub(16))))
        }),
        Case::refused("ciphertext-short", "fifteen bytes of ciphertext", |s| {
            s.refused(&resealed(s, |sealed| sealed.truncate(15)))
        }),
        Case::refused("ciphertext-empty", "no ciphertext", |s| s.refused(&resealed(s, Vec::clear))),
        Case::refused("ciphertext-not-base64", "a ciphertext that is no base64", |s| {
            s.refused(&s.sign(s.event().envelope("ABCDEFGHJKLM", "?????")))
        }),
        Case::refused("associated-data-changed", "other associated data than was encrypted with", |s| {
            s.refused(&s.with_envelope(|text| {
                text.replace(r#""associated_data":"transaction""#, r#""associated_data":"refund""#)
            }))
        }),
        Case::refused("nonce-of-16-bytes", "an encryption nonce of sixteen bytes: some libraries panic", |s| {
            s.refused(&s.sign(s.event().envelope("ABCDEFGHJKLMNPQR", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")))
        }),
        Case::refused("nonce-empty", "an empty encryption nonce", |s| {
            s.refused(&s.sign(s.event().envelope("", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")))
        }),
        Case::refused("algorithm-unknown", "an algorithm that is not WeChat's", |s| {
            s.refused(&s.with_envelope(|text| text.replace("AEAD_AES_256_GCM", "NONE")))
        }),
        Case::refused("algorithm-sm4", "the algorithm of the national suite", |s| {
            s.refused(&s.with_envelope(|text| text.replace("AEAD_AES_256_GCM", "AEAD_SM4_GCM")))
        }),
        Case::refused("duplicate-id", "two ids in the envelope", |s| {
            s.refused(&s.with_envelope(|text| text.replacen('{', r#"{"id":"other","#, 1)))
        }),
        Case::refused("duplicate-id-escaped", "two ids, one spelled with an escape", |s| {
            s.refused(&s.with_envelope(|text| text.replacen('{', r#"{"i\u0064":"other","#, 1)))
        }),
        Case::refused("duplicate-resource", "two resources in the envelope", |s| {
            s.refused(&s.with_envelope(|text| text.replacen('{', r#"{"resource":{},"#, 1)))
        }),
        Case::refused("duplicate-amount", "two amounts in the plaintext", |s| {
            let twice = s.event().resource.replacen('{', r#"{"amount":{"total":1},"#, 1);
            s.refused(&s.sign(s.event_with(twice).body(s.keys)))
        }),
        Case::refused("duplicate-mchid", "two merchants in the plaintext", |s| {
            let twice = s.event().resource.replacen('{', r#"{"mchid":"1900000999","#, 1);
            s.refused(&s.sign(s.event_with(twice).body(s.keys)))
        }),
        Case::refused("deep-nesting", "ten thousand brackets in the envelope", |s| {
            s.refused(&s.with_envelope(|text| {
                let deep = format!(r#"{{"deep":{}{},"#, "[".repeat(10_000), "]".repeat(10_000));
                text.replacen('{', &deep, 1)
            }))
        }),
        Case::refused("deep-plaintext", "ten thousand brackets in the plaintext", |s| {
            let deep = format!("{{\"deep\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
            s.refused(&s.sign(s.event_with(deep).body(s.keys)))
        }),
        Case::refused("plaintext-not-json", "a plaintext that is no JSON", |s| {
            s.refused(&s.sign(s.event_with("paid").body(s.keys)))
        }),
        Case::refused("plaintext-array", "a plaintext that is an array", |s| {
            s.refused(&s.sign(s.event_with("[]").body(s.keys)))
        }),
        Case::refused("plaintext-empty", "an empty plaintext", |s| s.refused(&s.sign(s.event_with("").body(s.keys)))),
        Case::refused("plaintext-nan", "a number that JSON does not have", |s| {
            s.refused(&s.sign(s.event_with(r#"{"amount":NaN}"#).body(s.keys)))
        }),
        Case::refused("body-empty", "no body, signed", |s| s.refused(&s.sign(Vec::new()))),
        Case::refused("body-not-json", "a body that is no JSON, signed", |s| s.refused(&s.sign(b"hello".to_vec()))),
        Case::refused("body-array", "an array, signed", |s| s.refused(&s.sign(b"[]".to_vec()))),
        Case::refused("body-form", "a form, signed", |s| {
            s.refused(&s.sign(b"id=1&event_type=TRANSACTION.SUCCESS".to_vec()))
        }),
        Case::refused("body-xml", "the XML of the older protocol, signed", |s| {
            s.refused(&s.sign(b"<xml><return_code>SUCCESS</return_code></xml>".to_vec()))
        }),
        Case::refused("body-plain", "an event that is not encrypted, signed", |s| {
            s.refused(&s.sign(s.event().resource.into_bytes()))
        }),
        Case::refused("body-trailing", "something after the JSON, signed", |s| {
            s.refused(&s.with_envelope(|text| format!("{text}{{}}")))
        }),
        Case::refused("body-bom-signed", "a byte order mark before the JSON, signed", |s| {
            s.refused(&s.with_envelope(|text| format!("\u{feff}{text}")))
        }),
        Case::refused("body-invalid-utf8", "bytes that are no UTF-8, signed", |s| {
            let mut body = s.event().body(s.keys);
            if let Some(at) = body.windows(7).position(|window| window == b"summary") {
                body.splice(at..at, [0xff, 0xfe]);
            }
            s.refused(&s.sign(body))
        }),
        Case::refused("body-utf16", "UTF-16, signed", |s| {
            let text = String::from_utf8_lossy(&s.event().body(s.keys)).into_owned();
            s.refused(&s.sign(text.encode_utf16().flat_map(u16::to_le_bytes).collect()))
        }),
        Case::refused("id-missing", "no id, signed", |s| {
            s.refused(&s.with_envelope(|text| text.replace(r#""id":"#, r#""ix":"#)))
        }),
        Case::refused("id-empty", "an empty id, signed", |s| {
            let event = Event { id: String::new(), ..s.event() };
            s.refused(&s.sign(event.body(s.keys)))
        }),
        Case::refused("id-a-number", "an id that is a number, signed", |s| {
            s.refused(&s.with_envelope(|text| text.replace(r#""id":""#, r#""id":1,"x":""#)))
        }),
        Case::refused("id-huge", "an id of a hundred thousand letters, signed", |s| {
            let event = Event { id: "A".repeat(100_000), ..s.event() };
            s.refused(&s.sign(event.body(s.keys)))
        }),
        Case::refused("id-with-line-feed", "an id that would break a header and a log line, signed", |s| {
            let event = Event { id: "a\r\nwebhook-id: b".to_owned(), ..s.event() };
            s.refused(&s.sign(event.body(s.keys)))
        }),
        Case::refused("resource-missing", "no resource, signed", |s| {
            s.refused(&s.with_envelope(|text| text.replace(r#""resource":"#, r#""source":"#)))
        }),
        Case::refused("resource-a-text", "a resource that is a text, signed", |s| {
            s.refused(&s.sign(br#"{"id":"1","event_type":"TRANSACTION.SUCCESS","resource":"x"}"#.to_vec()))
        }),
    ];

/// A genuine event whose sealed bytes were changed before it was signed.
fn resealed(scene: &Scene<'_>, change: impl FnOnce(&mut Vec<u8>)) -> Callback {
    let (event, nonce) = (scene.event(), sign::random_text::<12>());
    let key = &scene.keys.merchant.api_v3_key;
    let ciphertext = sign::seal(key, &nonce, &event.associated_data, event.resource.as_bytes()).unwrap_or_default();
    let mut sealed = base64_simd::STANDARD.decode_to_vec(ciphertext).unwrap_or_default();
    change(&mut sealed);
    scene.sign(event.envelope(&nonce, &base64_simd::STANDARD.encode_to_string(sealed)))
}
