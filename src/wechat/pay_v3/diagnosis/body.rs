//! What is done to bodies on their way, undone: each candidate is a body that WeChat may have sent.

use serde_json::Value;

use super::Cause;
use crate::wechat::diagnosis::bytes::{latin1_undone, percent_decoded, replaced};

/// A body as it may have been before something changed it.
pub(super) struct Undone {
    pub(super) cause: Cause,
    pub(super) what: &'static str,
    pub(super) body: Vec<u8>,
}

/// WeChat's own order of members, compact (protocol 1.7).
const ORDER: [&str; 6] = ["id", "create_time", "resource_type", "event_type", "summary", "resource"];
const RESOURCE_ORDERS: [[&str; 5]; 2] = [
    ["original_type", "algorithm", "ciphertext", "associated_data", "nonce"],
    ["algorithm", "ciphertext", "nonce", "original_type", "associated_data"],
];

/// Bodies that may have been sent, those that are likeliest first. A bounded number, each not much longer than `body`.
pub(super) fn undone(body: &[u8]) -> Vec<Undone> {
    let mut all = Vec::new();
    let mut add = |cause, what, changed: Vec<u8>| {
        if changed != body {
            all.push(Undone { cause, what, body: changed });
        }
    };
    add(Cause::BodyTrimmed, "blanks at its ends were added", body.trim_ascii().to_vec());
    for end in ["\n", "\r\n", " "] {
        add(Cause::BodyTrimmed, "a line end or blank at its end was cut off", [body, end.as_bytes()].concat());
    }
    add(
        Cause::BodyByteOrderMark,
        "a byte order mark was added",
        body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).to_vec(),
    );
    add(Cause::BodyLineEnds, "LF became CRLF", replaced(body, b"\r\n", b"\n"));
    add(Cause::BodyLineEnds, "CRLF became LF", replaced(&replaced(body, b"\r\n", b"\n"), b"\n", b"\r\n"));
    if let Some(narrow) = latin1_undone(body) {
        add(Cause::BodyCharset, "UTF-8 was read as ISO 8859-1", narrow);
    }
    add(Cause::BodyRewritten, "blanks were put between its members", compact(body));
    add(Cause::BodyRewritten, "slashes were escaped", replaced(body, br"\/", b"/"));
    add(Cause::BodyRewritten, "slashes were unescaped", replaced(body, b"/", br"\/"));
    for (what, rewritten) in rewritten(body) {
        add(Cause::BodyRewritten, what, rewritten);
    }
    add(Cause::BodyFormDecoded, "it was decoded as a form", replaced(body, b" ", b"+"));
    add(Cause::BodyFormDecoded, "it was percent-encoded", percent_decoded(body));
    all
}

/// The members in WeChat's orders, with and without escapes of what is not ASCII.
fn rewritten(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return Vec::new() };
    let mut all = Vec::new();
    for resource_order in RESOURCE_ORDERS {
        let text = ordered(&members, &ORDER, &|name, value| match (name, value) {
            ("resource", Value::Object(resource)) => ordered(resource, &resource_order, &|_, value| value.to_string()),
            _ => value.to_string(),
        });
        all.push(("what is not ASCII was escaped, or members were put into another order", text.clone().into_bytes()));
        all.push(("escapes were undone, or members were put into another order", ascii(&text).into_bytes()));
    }
    all
}

type Members = serde_json::Map<String, Value>;

/// Known members in their order, then the others.
fn ordered(members: &Members, order: &[&str], written: &dyn Fn(&str, &Value) -> String) -> String {
    let known = order.iter().filter_map(|name| members.get_key_value(*name));
    let others = members.iter().filter(|(name, _)| !order.contains(&name.as_str()));
    let all: Vec<String> = known
        .chain(others)
        .map(|(name, value)| format!("{}:{}", Value::String(name.clone()), written(name, value)))
        .collect();
    format!("{{{}}}", all.join(","))
}

/// With `\uXXXX` for everything that is not ASCII.
fn ascii(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            written.push(c);
        } else {
            written.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    written
}

/// Without blanks outside of strings.
fn compact(body: &[u8]) -> Vec<u8> {
    let (mut in_string, mut is_escaped) = (false, false);
    body.iter()
        .copied()
        .filter(|byte| {
            let keep = in_string || !byte.is_ascii_whitespace();
            match byte {
                b'"' if !is_escaped => in_string = !in_string,
                _ => {}
            }
            is_escaped = in_string && *byte == b'\\' && !is_escaped;
            keep
        })
        .collect()
}
