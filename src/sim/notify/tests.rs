//! The simulator against others' work: vectors made by independent implementations, and its callbacks opened by the
//! gateway's cryptography package instead of its own.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;

use super::*;
use crate::sim::sample::{self, Order};
use crate::sim::sign::PrivateKey;

#[test]
fn every_accepted_vector_verifies_and_opens() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../../../tests/vectors/pay_v3.json")).unwrap();
    let mut accepted = 0;
    for vector in vectors.iter().filter(|vector| vector["expect"]["verdict"] == "accept") {
        let name = &vector["name"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let headers = vector["request"]["headers"].as_array().unwrap();
        let header = |wanted: &str| {
            let found = headers.iter().find(|header| text(&header[0]).eq_ignore_ascii_case(wanted));
            text(&found.unwrap()[1])
        };
        let body = base64_simd::STANDARD.decode_to_vec(text(&vector["request"]["body_b64"])).unwrap();
        let message = sign::callback_message(&header("wechatpay-timestamp"), &header("wechatpay-nonce"), &body);
        let verifiers = vector["keys"]["verifiers"].as_array().unwrap();
        let verifier =
            verifiers.iter().find(|verifier| verifier["serial"] == header("wechatpay-serial").as_str()).unwrap();
        let key = PrivateKey::from_pem(&text(&verifier["test_signing_private_key_pem"])).unwrap();
        assert!(key.public().verifies(&message, &header("wechatpay-signature")), "{name}");
        // PKCS#1 v1.5 has one signature of a message: the other implementation's must be ours.
        assert_eq!(key.sign(&message), header("wechatpay-signature"), "{name}");

        let envelope: Value = serde_json::from_slice(&body).unwrap();
        let resource = &envelope["resource"];
        let api_v3_key: [u8; 32] = text(&vector["keys"]["apiv3_key"]).into_bytes().try_into().unwrap();
        let associated_data = resource["associated_data"].as_str().unwrap_or_default();
        let plaintext =
            sign::open(&api_v3_key, &text(&resource["nonce"]), associated_data, &text(&resource["ciphertext"]));
        let event: Value = serde_json::from_slice(&plaintext.unwrap()).unwrap();
        assert_eq!(event, vector["expect"]["event"], "{name}");
        accepted += 1;
    }
    assert!(accepted >= 30, "{accepted}");
}

#[test]
fn callbacks_open_with_another_package() {
    let keys = Keys::bundled();
    for by in [SignedBy::Certificate, SignedBy::PublicKey] {
        for sample in sample::ALL {
            let event = sample.event(&Order::new(&keys.merchant, unix_now()));
            let callback = event.callback(&keys, by, "/notify", 1_700_000_000);
            let (timestamp, nonce) =
                (callback.header("wechatpay-timestamp").unwrap(), callback.header("wechatpay-nonce").unwrap());
            assert_eq!(timestamp, "1700000000");
            let message = [timestamp.as_bytes(), b"\n", nonce.as_bytes(), b"\n", &callback.body, b"\n"].concat();
            let signature =
                base64_simd::STANDARD.decode_to_vec(callback.header("wechatpay-signature").unwrap()).unwrap();
            let (key, serial) = keys.platform.signer(by);
            assert_eq!(callback.header("Wechatpay-Serial"), Some(serial));
            let public_pem = key.public().to_pem().unwrap();
            let der: String = public_pem.lines().filter(|line| !line.starts_with('-')).collect();
            let der = base64_simd::STANDARD.decode_to_vec(der).unwrap();
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).verify(&message, &signature).unwrap();

            let envelope: Value = serde_json::from_slice(&callback.body).unwrap();
            let resource = &envelope["resource"];
            let text = |member: &str| resource[member].as_str().unwrap();
            let mut sealed = base64_simd::STANDARD.decode_to_vec(text("ciphertext")).unwrap();
            let aead = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &keys.merchant.api_v3_key).unwrap());
            let nonce = Nonce::try_assume_unique_for_key(text("nonce").as_bytes()).unwrap();
            let plaintext = aead.open_in_place(nonce, Aad::from(text("associated_data")), &mut sealed).unwrap();
            assert_eq!(plaintext, event.resource.as_bytes());
            assert_eq!(envelope["id"], event.id);
        }
    }
}

#[test]
fn two_tries_share_the_id_and_nothing_that_is_signed() {
    let keys = Keys::bundled();
    let event = sample::find("payment-native").unwrap().event(&Order::new(&keys.merchant, unix_now()));
    let [first, second] = [0, 0].map(|_| event.callback(&keys, SignedBy::Certificate, "/notify", unix_now()));
    assert_ne!(first.header("wechatpay-nonce"), second.header("wechatpay-nonce"));
    assert_ne!(first.header("wechatpay-signature"), second.header("wechatpay-signature"));
    assert_ne!(first.body, second.body);
    let message = first.to_http("gateway.test");
    let text = String::from_utf8(message).unwrap();
    assert!(text.starts_with("POST /notify HTTP/1.1\r\nHost: gateway.test\r\n"));
    assert!(text.contains(&format!("\r\nContent-Length: {}\r\n\r\n{{", first.body.len())));
}

#[test]
fn samples_have_names_of_their_own_and_events_ids_of_their_own() {
    let keys = Keys::bundled();
    let order = Order::new(&keys.merchant, 1_700_000_000);
    let names: std::collections::HashSet<_> = sample::ALL.iter().map(|sample| sample.name).collect();
    let ids: std::collections::HashSet<_> = sample::ALL.iter().map(|sample| sample.event(&order).id).collect();
    assert_eq!((names.len(), ids.len()), (sample::ALL.len(), sample::ALL.len()));
    assert_eq!(sample::ALL[0].event(&order).create_time, "2023-11-15T06:13:20+08:00");
}
