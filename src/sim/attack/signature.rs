//! Forged, borrowed and bent signatures, and bodies that are not what was signed (protocol: WeChat Pay APIv3, "Verify
//! signatures"; RFC 8017, 8.2.2).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};

use super::Case;
use super::scene::Scene;
use crate::sim::keys::SignedBy;
use crate::sim::notify::{Callback, Stamp, with_signature};
use crate::sim::sign::{self, PrivateKey};

pub(super) const CASES: &[Case] = &[
    Case::refused("forged-signature", "a signature of random bytes", |s| {
        s.refused(&s.with_signature_bytes(|bytes| *bytes = sign::random::<256>().to_vec()))
    }),
    Case::refused("signed-by-stranger", "another key signs under WeChat's serial", |s| {
        s.refused(&signed_with(s, &s.keys.stranger, &s.keys.platform.certificate_serial))
    }),
    Case::refused("signed-by-merchant", "the merchant's own API key signs under WeChat's serial", |s| {
        s.refused(&signed_with(s, &s.keys.merchant.key, &s.keys.platform.certificate_serial))
    }),
    Case::refused("merchant-serial", "the merchant's own API key signs under its own serial", |s| {
        s.refused(&signed_with(s, &s.keys.merchant.key, &s.keys.merchant.serial))
    }),
    Case::refused("wrong-serial", "WeChat's certificate key signs under the id of its public key", |s| {
        s.refused(&signed_with(s, &s.keys.platform.certificate_key, &s.keys.platform.public_key_id))
    }),
    Case::refused("wrong-public-key-id", "WeChat's public key signs under the serial of its certificate", |s| {
        s.refused(&signed_with(s, &s.keys.platform.public_key, &s.keys.platform.certificate_serial))
    }),
    Case::refused("unknown-serial", "a serial that nobody has", |s| {
        s.refused(&s.genuine().with("Wechatpay-Serial", "7777777777777777777777777777777777777777"))
    }),
    Case::refused("unknown-public-key-id", "a public key id that nobody has", |s| {
        s.refused(&s.genuine().with("Wechatpay-Serial", "PUB_KEY_ID_0999999999999999999999999999999999"))
    }),
    Case::refused("public-key-id-without-prefix", "the id of the public key, its prefix stripped", |s| {
        let id = s.keys.platform.public_key_id.trim_start_matches("PUB_KEY_ID_");
        s.refused(&signed_with(s, &s.keys.platform.public_key, id))
    }),
    Case::refused("serial-is-a-path", "a serial that would leave a folder", |s| {
        s.refused(&s.genuine().with("Wechatpay-Serial", "../../../../etc/passwd"))
    }),
    Case::refused("serial-is-a-url", "a serial that would be fetched", |s| {
        s.refused(&s.genuine().with("Wechatpay-Serial", "http://127.0.0.1:9/cert.pem"))
    }),
    Case::refused("signature-bit-flipped", "one bit of the signature", |s| {
        s.refused(&s.with_signature_bytes(|bytes| bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1)))
    }),
    Case::refused("signature-truncated", "the signature lacks its last byte", |s| {
        s.refused(&s.with_signature_bytes(|bytes| bytes.truncate(255)))
    }),
    Case::refused("signature-with-zero-byte", "a zero byte before the signature", |s| {
        s.refused(&s.with_signature_bytes(|bytes| bytes.insert(0, 0)))
    }),
    Case::refused(
        "signature-plus-modulus",
        "the signature and the modulus added: equal to it, modulo the modulus",
        |s| {
            let modulus = s.keys.platform.certificate_key.public().modulus();
            s.refused(&s.with_signature_bytes(|bytes| *bytes = sum(bytes, &modulus)))
        },
    ),
    Case::refused("signature-zero", "a signature of zeros", |s| {
        s.refused(&s.with_signature_bytes(|bytes| bytes.fill(0)))
    }),
    Case::refused("signature-urlsafe", "base64 in its other alphabet", |s| {
        s.refused(&s.with_signature_text(|text| {
            format!("-_{}", text.replace('+', "-").replace('/', "_").get(2..).unwrap_or(""))
        }))
    }),
    Case::refused("signature-unpadded", "base64 without its padding", |s| {
        s.refused(&s.with_signature_text(|text| text.trim_end_matches('=').to_owned()))
    }),
    Case::refused("signature-with-spaces", "white space inside the base64", |s| {
        s.refused(&s.with_signature_text(|text| {
            text.split_at_checked(100).map(|(a, b)| format!("{a} {b}")).unwrap_or_default()
        }))
    }),
    Case::refused("signature-two", "two signatures, joined by a comma", |s| {
        s.refused(&s.with_signature_text(|text| format!("{text},{text}")))
    }),
    Case::refused("signature-pss", "signed by PSS instead of PKCS#1 v1.5", |s| s.refused(&encoded(s, &RSA_PSS_SHA256))),
    Case::refused("signature-sha512", "signed over SHA-512 instead of SHA-256", |s| {
        s.refused(&encoded(s, &RSA_PKCS1_SHA512))
    }),
    Case::refused("message-without-last-line-feed", "signed without the line feed after the body", |s| {
        let (body, now, nonce) = (s.event().body(s.keys), s.now.to_string(), sign::random_text::<32>());
        let stamp = Stamp { by: SignedBy::Certificate, timestamp: &now, nonce: &nonce };
        let message = sign::callback_message(&now, &nonce, &body);
        let signature = s.keys.platform.certificate_key.sign(message.strip_suffix(b"\n").unwrap_or(&message));
        s.refused(&with_signature(&s.keys.platform.certificate_serial, stamp, &signature, s.path, body))
    }),
    Case::refused("body-swapped", "the body of another genuine callback", |s| {
        s.refused(&Callback { body: s.genuine().body, ..s.genuine() })
    }),
    Case::refused("body-bit-flipped", "one bit of the body", |s| {
        let mut callback = s.genuine();
        callback.body.iter_mut().skip(20).take(1).for_each(|byte| *byte ^= 1);
        s.refused(&callback)
    }),
    Case::refused("body-reencoded", "the JSON parsed and written again, as a framework does", |s| {
        let genuine = s.genuine();
        let parsed = serde_json::from_slice::<serde_json::Value>(&genuine.body);
        let body = parsed.ok().and_then(|value| serde_json::to_vec_pretty(&value).ok()).unwrap_or_default();
        s.refused(&Callback { body, ..genuine })
    }),
    Case::refused("body-with-line-feed", "a line feed after the body, as a proxy or an editor adds", |s| {
        let mut callback = s.genuine();
        callback.body.push(b'\n');
        s.refused(&callback)
    }),
    Case::refused("body-with-bom", "a byte order mark before the body", |s| {
        let genuine = s.genuine();
        s.refused(&Callback { body: [b"\xef\xbb\xbf", genuine.body.as_slice()].concat(), ..genuine })
    }),
    Case::refused("body-cut-short", "the body lacks its end, and its length says so", |s| {
        let mut callback = s.genuine();
        callback.body.truncate(callback.body.len().saturating_sub(10));
        s.refused(&callback)
    }),
    Case::refused("body-dropped", "no body at all", |s| s.refused(&Callback { body: Vec::new(), ..s.genuine() })),
    Case::refused("ciphertext-swapped", "the ciphertext of another callback, not signed anew", |s| {
        let (genuine, other) = (s.genuine(), s.event().body(s.keys));
        s.refused(&Callback { body: other, ..genuine })
    }),
    Case::refused("nonce-changed", "another nonce, not signed anew", |s| {
        s.refused(&s.genuine().with("Wechatpay-Nonce", &sign::random_text::<32>()))
    }),
    Case::refused("timestamp-changed", "a timestamp one second off, not signed anew", |s| {
        s.refused(&s.genuine().with("Wechatpay-Timestamp", &s.now.saturating_sub(1).to_string()))
    }),
    Case::refused("signature-probe", "WeChat's own test whether signatures are checked at all", |s| {
        s.refused(&s.with_signature_text(|text| format!("WECHATPAY/SIGNTEST/{text}")))
    }),
    Case::refused("signature-probe-by-public-key", "the same under the id of the public key", |s| {
        let probe = signed_with(s, &s.keys.platform.public_key, &s.keys.platform.public_key_id);
        let signature = format!("WECHATPAY/SIGNTEST/{}", probe.header("wechatpay-signature").unwrap_or_default());
        s.refused(&probe.with("Wechatpay-Signature", &signature))
    }),
];

/// A callback that `key` signs under `serial`.
fn signed_with(scene: &Scene<'_>, key: &PrivateKey, serial: &str) -> Callback {
    let (body, now, nonce) = (scene.event().body(scene.keys), scene.now.to_string(), sign::random_text::<32>());
    let stamp = Stamp { by: SignedBy::Certificate, timestamp: &now, nonce: &nonce };
    let signature = key.sign(&sign::callback_message(&now, &nonce, &body));
    with_signature(serial, stamp, &signature, scene.path, body)
}

/// A callback that WeChat's own key signs, but by another scheme.
fn encoded(scene: &Scene<'_>, encoding: &'static dyn RsaEncoding) -> Callback {
    let (body, now, nonce) = (scene.event().body(scene.keys), scene.now.to_string(), sign::random_text::<32>());
    let stamp = Stamp { by: SignedBy::Certificate, timestamp: &now, nonce: &nonce };
    let message = sign::callback_message(&now, &nonce, &body);
    let platform = &scene.keys.platform;
    let signature = sign_encoded(&platform.certificate_key, encoding, &message).unwrap_or_default();
    let signature = base64_simd::STANDARD.encode_to_string(signature);
    with_signature(&platform.certificate_serial, stamp, &signature, scene.path, body)
}

fn sign_encoded(key: &PrivateKey, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Option<Vec<u8>> {
    let pair = RsaKeyPair::from_pkcs8(&key.to_der()?).ok()?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature).ok()?;
    Some(signature)
}

/// The sum of two big-endian numbers.
fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut digits = Vec::with_capacity(a.len().max(b.len()).saturating_add(1));
    let (mut a, mut b, mut carry) = (a.iter().rev(), b.iter().rev(), 0_u16);
    loop {
        let (left, right) = (a.next(), b.next());
        if left.is_none() && right.is_none() {
            break;
        }
        let digit = |byte: Option<&u8>| byte.copied().map_or(0, u16::from);
        let sum = digit(left).saturating_add(digit(right)).saturating_add(carry);
        let [high, low] = sum.to_be_bytes();
        digits.push(low);
        carry = u16::from(high);
    }
    if carry > 0 {
        digits.push(1);
    }
    digits.reverse();
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn big_numbers_are_added() {
        assert_eq!(sum(&[1, 255], &[0, 1]), [2, 0]);
        assert_eq!(sum(&[255, 255], &[1]), [1, 0, 0]);
    }
}
