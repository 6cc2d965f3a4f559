//! What the merchant app is told in headers: CloudEvents 1.0 in binary mode, Standard Webhooks, and wxgate's own.

use aws_lc_rs::{hmac, rand};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::outgoing::Outgoing;
use crate::clock::UnixTime;
use crate::secret::Secret;

const CE_SPECVERSION: HeaderName = HeaderName::from_static("ce-specversion");
const CE_ID: HeaderName = HeaderName::from_static("ce-id");
const CE_TYPE: HeaderName = HeaderName::from_static("ce-type");
const CE_SOURCE: HeaderName = HeaderName::from_static("ce-source");
const CE_SUBJECT: HeaderName = HeaderName::from_static("ce-subject");
const CE_TIME: HeaderName = HeaderName::from_static("ce-time");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const WXGATE_ENDPOINT: HeaderName = HeaderName::from_static("wxgate-endpoint");
const WXGATE_RISK_SCORE: HeaderName = HeaderName::from_static("wxgate-risk-score");
const WXGATE_RISK_ACTION: HeaderName = HeaderName::from_static("wxgate-risk-action");
const WXGATE_RISK_RULES: HeaderName = HeaderName::from_static("wxgate-risk-rules");
const WXGATE_ATTEMPT: HeaderName = HeaderName::from_static("wxgate-attempt");
const WXGATE_RELEASED_FROM: HeaderName = HeaderName::from_static("wxgate-released-from");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Names that only the gateway may write: by these prefixes the app knows that a value was checked. `x-wx-` is how
/// WeChat's cloud hosting tells an app who called.
const OWN_PREFIXES: [&str; 4] = ["ce-", "webhook-", "wxgate-", "x-wx-"];

/// Hop-by-hop headers (RFC 9110, 7.6.1), and those that the new request makes for itself.
const NOT_PASSED_ON: [HeaderName; 14] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    header::HOST,
    header::CONTENT_LENGTH,
    HeaderName::from_static("tracestate"),
    TRACEPARENT,
];

/// The headers of WeChat's request that an app may see which goes on verifying for itself (`format = "original"`).
pub(super) fn passed_on(received: &HeaderMap) -> HeaderMap {
    let named_by_connection: Vec<String> = received
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut passed = HeaderMap::with_capacity(received.len().saturating_add(16));
    for (name, value) in received {
        let is_ours = OWN_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
        let is_hop = NOT_PASSED_ON.contains(name) || named_by_connection.iter().any(|hop| hop == name.as_str());
        if !is_ours && !is_hop {
            passed.append(name, value.clone());
        }
    }
    passed
}

/// Writes everything but the signature: what the event is, and what the gateway thinks of it.
pub(super) fn describe(headers: &mut HeaderMap, endpoint: &str, outgoing: &Outgoing<'_>) {
    let event = outgoing.event;
    if !headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(CE_SPECVERSION, HeaderValue::from_static("1.0"));
    put(headers, CE_ID, &event.id);
    put(headers, CE_TYPE, &event.kind);
    put(headers, CE_SOURCE, &format!("/wxgate/{endpoint}"));
    if let Some(subject) = &event.subject {
        put(headers, CE_SUBJECT, subject);
    }
    if let Some(time) = event.time {
        put(headers, CE_TIME, &rfc3339(time));
    }
    put(headers, WXGATE_ENDPOINT, endpoint);
    headers.insert(WXGATE_RISK_SCORE, HeaderValue::from(outgoing.risk.score));
    put(headers, WXGATE_RISK_ACTION, &outgoing.risk.action);
    put(headers, WXGATE_RISK_RULES, &outgoing.risk.rules.join(","));
    headers.insert(WXGATE_ATTEMPT, HeaderValue::from(outgoing.attempt));
    if let Some(queue) = outgoing.released_from {
        headers.insert(WXGATE_RELEASED_FROM, HeaderValue::from_static(queue.name()));
    }
    put(headers, TRACEPARENT, &traceparent());
}

/// A value that is not visible ASCII is percent-encoded, as CloudEvents' HTTP binding (3.1.3.2) asks for.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    let is_plain = value.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'%' && b != b'"');
    let written = if is_plain { HeaderValue::from_str(value) } else { HeaderValue::from_str(&percent_encoded(value)) };
    if let Ok(written) = written {
        headers.insert(name, written);
    }
}

fn percent_encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len().saturating_mul(3));
    for byte in value.bytes() {
        if (0x21..0x7f).contains(&byte) && byte != b'%' && byte != b'"' {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for nibble in [byte >> 4, byte & 0x0f] {
                encoded.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    encoded
}

fn rfc3339(time: UnixTime) -> String {
    jiff::Timestamp::from_millisecond(time.millis()).map_or_else(|_| String::new(), |stamp| stamp.to_string())
}

/// Makes the thread's random generator gather its entropy now. It takes some 90 ms at the first number, which the first
/// callback of every thread would wait for.
pub(super) fn warm_up() {
    drop(traceparent());
}

/// A new trace (W3C Trace Context): one that came from outside is a stranger's and is not continued.
fn traceparent() -> String {
    let (mut trace, mut span) = ([0; 16], [0; 8]);
    // Without randomness the ids are zero, which the standard reads as "no trace": nothing worse.
    let _ = (rand::fill(&mut trace), rand::fill(&mut span));
    format!("00-{:032x}-{:016x}-01", u128::from_be_bytes(trace), u64::from_be_bytes(span))
}

/// Signs what goes out (Standard Webhooks, `v1`: HMAC-SHA256), so that the app knows that it comes from its gateway.
pub(super) struct Signer {
    keys: Vec<hmac::Key>,
}

impl Signer {
    pub(super) fn new(secrets: &[Secret]) -> Self {
        Self { keys: secrets.iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose())).collect() }
    }

    /// Writes `webhook-id`, `webhook-timestamp` and, a signature for each live secret, `webhook-signature`: the MAC is
    /// over `id "." timestamp "." body`.
    pub(super) fn sign(&self, headers: &mut HeaderMap, id: &str, now: UnixTime, body: &[u8]) {
        let timestamp = now.secs().to_string();
        put(headers, WEBHOOK_ID, id);
        put(headers, WEBHOOK_TIMESTAMP, &timestamp);
        let mut signatures = String::new();
        for key in &self.keys {
            let mut mac = hmac::Context::with_key(key);
            for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                mac.update(part);
            }
            if !signatures.is_empty() {
                signatures.push(' ');
            }
            signatures.push_str("v1,");
            signatures.push_str(&base64_simd::STANDARD.encode_to_string(mac.sign()));
        }
        if !signatures.is_empty() {
            put(headers, WEBHOOK_SIGNATURE, &signatures);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // Test vector of the Standard Webhooks specification's reference libraries.
        let secret = Secret::new(base64_simd::STANDARD.decode_to_vec("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let mut headers = HeaderMap::new();
        let now = UnixTime::from_secs(1_614_265_330);
        Signer::new(&[secret]).sign(&mut headers, "msg_p5jXN8AQM9LWM0D4loKWxJek", now, br#"{"test": 2432232314}"#);
        assert_eq!(headers[WEBHOOK_SIGNATURE], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers[WEBHOOK_TIMESTAMP], "1614265330");
    }

    #[test]
    fn two_live_secrets_give_two_signatures() {
        let secrets = [Secret::new(vec![1; 24]), Secret::new(vec![2; 24])];
        let mut headers = HeaderMap::new();
        Signer::new(&secrets).sign(&mut headers, "msg_1", UnixTime::from_secs(1), b"{}");
        let value = headers[WEBHOOK_SIGNATURE].to_str().unwrap();
        assert_eq!(value.split(' ').filter(|s| s.starts_with("v1,")).count(), 2);
    }

    #[test]
    fn strangers_cannot_write_our_headers() {
        let mut received = HeaderMap::new();
        for name in
            ["wxgate-endpoint", "ce-id", "webhook-id", "x-wx-openid", "traceparent", "connection", "x-hop", "te"]
        {
            received.insert(HeaderName::from_static(name), HeaderValue::from_static("x-hop"));
        }
        received.insert("wechatpay-nonce", HeaderValue::from_static("n"));
        let passed = passed_on(&received);
        assert_eq!(passed.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["wechatpay-nonce"]);
    }

    #[test]
    fn values_that_are_not_ascii_are_percent_encoded() {
        let mut headers = HeaderMap::new();
        put(&mut headers, CE_SUBJECT, "订单 1%");
        assert_eq!(headers[CE_SUBJECT], "%E8%AE%A2%E5%8D%95%201%25");
    }
}
