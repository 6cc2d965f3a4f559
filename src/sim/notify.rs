//! Callbacks as WeChat makes them: an event in its envelope, the resource encrypted, the whole signed.
//!
//! Source: WeChat Pay APIv3, "Payment result notification". Every try is encrypted once and signed afresh: the id and the
//! plaintext stay, timestamp, nonce and signature change.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::keys::{Keys, SignedBy};
use super::sign;

/// The signature type of the RSA keys.
pub const SIGNATURE_TYPE: &str = "WECHATPAY2-SHA256-RSA2048";

/// Something that WeChat tells a merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Stays the same over all tries.
    pub id: String,
    /// RFC 3339, +08:00.
    pub create_time: String,
    /// Such as `TRANSACTION.SUCCESS`.
    pub event_type: String,
    /// What the resource is: `transaction`, `refund`, …
    pub original_type: String,
    /// For people.
    pub summary: String,
    /// Goes into the ciphertext's authentication.
    pub associated_data: String,
    /// The plaintext, JSON.
    pub resource: String,
}

impl Event {
    /// The body of a callback, with the resource encrypted for the merchant under a new nonce.
    ///
    /// # Panics
    ///
    /// Never: the nonce has the length that it must have.
    pub fn body(&self, keys: &Keys) -> Vec<u8> {
        let nonce = sign::random_text::<12>();
        let ciphertext = sign::seal(&keys.merchant.api_v3_key, &nonce, &self.associated_data, self.resource.as_bytes());
        self.envelope(&nonce, &ciphertext.expect("the nonce has 12 bytes"))
    }

    /// The body of a callback around a ciphertext that is given.
    pub fn envelope(&self, nonce: &str, ciphertext: &str) -> Vec<u8> {
        let body = json!({
            "id": self.id,
            "create_time": self.create_time,
            "resource_type": "encrypt-resource",
            "event_type": self.event_type,
            "summary": self.summary,
            "resource": {
                "original_type": self.original_type,
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": ciphertext,
                "associated_data": self.associated_data,
                "nonce": nonce,
            },
        });
        body.to_string().into_bytes()
    }

    /// One try: encrypted and signed at `unix` seconds.
    pub fn callback(&self, keys: &Keys, by: SignedBy, path: &str, unix: i64) -> Callback {
        sign_now(keys, by, path, unix, self.body(keys))
    }
}

/// Signs a body with a new nonce.
pub(super) fn sign_now(keys: &Keys, by: SignedBy, path: &str, unix: i64, body: Vec<u8>) -> Callback {
    let stamp = Stamp { by, timestamp: &unix.to_string(), nonce: &sign::random_text::<32>() };
    signed(keys, stamp, path, body)
}

/// What a signature is made with, beside the body.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// With which key.
    pub by: SignedBy,
    /// The text of the timestamp: usually Unix seconds, in attacks anything.
    pub timestamp: &'a str,
    /// The nonce of the signature.
    pub nonce: &'a str,
}

/// Signs any body as WeChat would.
pub fn signed(keys: &Keys, stamp: Stamp<'_>, path: &str, body: Vec<u8>) -> Callback {
    let (key, serial) = keys.platform.signer(stamp.by);
    let signature = key.sign(&sign::callback_message(stamp.timestamp, stamp.nonce, &body));
    with_signature(serial, stamp, &signature, path, body)
}

/// A callback with a signature that is given.
pub(super) fn with_signature(serial: &str, stamp: Stamp<'_>, signature: &str, path: &str, body: Vec<u8>) -> Callback {
    let headers = [
        ("User-Agent", "Mozilla/4.0"),
        ("Content-Type", "application/json"),
        ("Accept", "*/*"),
        ("Request-ID", &sign::random_text::<28>()),
        ("Wechatpay-Nonce", stamp.nonce),
        ("Wechatpay-Serial", serial),
        ("Wechatpay-Signature", signature),
        ("Wechatpay-Signature-Type", SIGNATURE_TYPE),
        ("Wechatpay-Timestamp", stamp.timestamp),
    ];
    Callback {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body,
    }
}

/// A request as it goes over the wire. It is what it is told to be: names may repeat, values may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// `POST`.
    pub method: String,
    /// The path.
    pub path: String,
    /// In the order of sending, without `Host` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Callback {
    /// The first value under a name, in whatever case that is written.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Sets the value of a name, in the place of all that it had.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.and(name, value)
    }

    /// Adds a value under a name.
    #[must_use]
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a name away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        self
    }

    /// The HTTP/1.1 message, on a connection that is kept.
    pub fn to_http(&self, host: &str) -> Vec<u8> {
        let length = self.body.len();
        let mut message = self.head(host);
        message.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
        message.extend_from_slice(&self.body);
        message
    }

    /// Request line and headers without what tells the body's length and without the empty line.
    pub(super) fn head(&self, host: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.into_bytes()
    }
}

/// The time of the system's clock, Unix seconds.
pub fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
