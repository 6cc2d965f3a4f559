//! Notifications as WeChat makes them (protocol 1): an event is encrypted with the merchant's APIv3 key and the request is
//! signed, afresh for each attempt.

use std::time::{SystemTime, UNIX_EPOCH};

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use serde_json::json;

use super::keys::{Keys, SignedBy};

/// An event before it is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The notification's id, the same in every attempt.
    pub id: String,
    /// RFC 3339, China's time.
    pub create_time: String,
    /// `TRANSACTION.SUCCESS`, …
    pub event_type: String,
    /// `transaction`, `refund`, …; also the associated data.
    pub original_type: String,
    /// A line for people.
    pub summary: String,
    /// What is encrypted: JSON.
    pub resource: String,
}

/// A request to a notify URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// `POST`
    pub method: String,
    /// Path of the notify URL.
    pub path: String,
    /// Headers in their order, without those of the connection.
    pub headers: Vec<(String, String)>,
    /// The body as it was signed.
    pub body: Vec<u8>,
}

/// What is signed with a body.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Which key.
    pub by: SignedBy,
    /// Unix seconds, as text.
    pub timestamp: &'a str,
    /// The nonce.
    pub nonce: &'a str,
}

impl Event {
    /// The body of a notification: the envelope with the encrypted resource.
    pub fn body(&self, keys: &Keys) -> Vec<u8> {
        let nonce = super::random_text(12).unwrap_or_else(|| "0123456789ab".to_owned());
        let ciphertext = encrypt(&keys.merchant.api_v3, &nonce, &self.original_type, self.resource.as_bytes());
        let envelope = json!({
            "id": self.id,
            "create_time": self.create_time,
            "resource_type": "encrypt-resource",
            "event_type": self.event_type,
            "summary": self.summary,
            "resource": {
                "original_type": self.original_type,
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": ciphertext,
                "associated_data": self.original_type,
                "nonce": nonce,
            },
        });
        envelope.to_string().into_bytes()
    }

    /// One attempt at this event: encrypted and signed afresh, at `unix` seconds.
    pub fn callback(&self, keys: &Keys, by: SignedBy, path: &str, unix: i64) -> Callback {
        let nonce = super::random_text(32).unwrap_or_else(|| self.id.clone());
        signed(keys, Stamp { by, timestamp: &unix.to_string(), nonce: &nonce }, path, self.body(keys))
    }
}

impl Callback {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// With another value of a header; an empty one removes it.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// The request as bytes of HTTP/1.1, on a connection that is kept.
    pub fn to_http(&self, host: &str) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Signs a body as it is.
pub fn signed(keys: &Keys, stamp: Stamp<'_>, path: &str, body: Vec<u8>) -> Callback {
    let Stamp { by, timestamp, nonce } = stamp;
    let signature = keys.platform.sign(by, &message(timestamp, nonce, &body));
    let headers = [
        ("User-Agent", "Mozilla/4.0"),
        ("Accept", "*/*"),
        ("Content-Type", "application/json"),
        ("Request-ID", "08F7A1B2C3D4-0"),
        ("Wechatpay-Nonce", nonce),
        ("Wechatpay-Timestamp", timestamp),
        ("Wechatpay-Signature-Type", "WECHATPAY2-SHA256-RSA2048"),
        ("Wechatpay-Serial", keys.platform.id(by)),
        ("Wechatpay-Signature", &signature),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Callback { method: "POST".to_owned(), path: path.to_owned(), headers, body }
}

/// `timestamp \n nonce \n body \n`
pub fn message(timestamp: &str, nonce: &str, body: &[u8]) -> Vec<u8> {
    [timestamp.as_bytes(), b"\n", nonce.as_bytes(), b"\n", body, b"\n"].concat()
}

/// AES-256-GCM in base64, the tag at the end. `nonce` has 12 bytes.
pub(super) fn encrypt(key: &str, nonce: &str, associated_data: &str, plaintext: &[u8]) -> String {
    let payload = Payload { msg: plaintext, aad: associated_data.as_bytes() };
    let sealed = Aes256Gcm::new_from_slice(key.as_bytes())
        .ok()
        .zip(nonce.as_bytes().try_into().ok())
        .and_then(|(cipher, nonce): (Aes256Gcm, &aes_gcm::Nonce<_>)| cipher.encrypt(nonce, payload).ok());
    base64_simd::STANDARD.encode_to_string(sealed.unwrap_or_default())
}

/// The other way round.
pub fn decrypt(key: &str, nonce: &str, associated_data: &str, ciphertext: &str) -> Option<Vec<u8>> {
    let sealed = base64_simd::STANDARD.decode_to_vec(ciphertext).ok()?;
    let payload = Payload { msg: &sealed, aad: associated_data.as_bytes() };
    let nonce: &aes_gcm::Nonce<_> = nonce.as_bytes().try_into().ok()?;
    Aes256Gcm::new_from_slice(key.as_bytes()).ok()?.decrypt(nonce, payload).ok()
}

/// Seconds since the epoch.
pub fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// RFC 3339 in China's time, as WeChat writes it.
pub fn china_time(unix: i64) -> String {
    let shifted = jiff::Timestamp::from_second(unix.saturating_add(8 * 3600)).unwrap_or_default().to_string();
    shifted.replace('Z', "+08:00")
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, Order};
    use super::*;

    #[test]
    fn a_callback_verifies_and_opens() {
        let keys = Keys::bundled();
        let event = sample::find("payment-native").unwrap().event(&Order::new(&keys.merchant, unix_now()));
        for by in [SignedBy::Certificate, SignedBy::PublicKey] {
            let callback = event.callback(&keys, by, "/notify", 1_700_000_000);
            let header = |name: &str| callback.header(name).unwrap();
            assert_eq!(header("wechatpay-serial"), keys.platform.id(by));
            let signed = message(header("wechatpay-timestamp"), header("wechatpay-nonce"), &callback.body);
            assert!(keys.platform.verifies(by, &signed, header("wechatpay-signature")));
            let body: serde_json::Value = serde_json::from_slice(&callback.body).unwrap();
            let text = |name: &str| body["resource"][name].as_str().unwrap();
            let opened =
                decrypt(&keys.merchant.api_v3, text("nonce"), text("associated_data"), text("ciphertext")).unwrap();
            assert_eq!(opened, event.resource.as_bytes());
        }
    }

    #[test]
    fn each_attempt_is_signed_and_encrypted_afresh() {
        let keys = Keys::bundled();
        let event = sample::find("payment-native").unwrap().event(&Order::new(&keys.merchant, unix_now()));
        let [one, other] = [0, 0].map(|_| event.callback(&keys, SignedBy::Certificate, "/", 1_700_000_000));
        assert_ne!(one.header("wechatpay-nonce"), other.header("wechatpay-nonce"));
        assert_ne!(one.body, other.body);
    }

    #[test]
    fn chinas_time_is_eight_hours_ahead() {
        assert_eq!(china_time(1_528_425_296), "2018-06-08T10:34:56+08:00");
    }
}
