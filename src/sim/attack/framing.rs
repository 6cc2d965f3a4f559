//! HTTP itself bent: lengths that lie, chunks that do not end, heads that are too large, no HTTP at all (RFC 9112).

use super::Case;
use super::scene::{Scene, Shot, Want};

pub(super) const CASES: &[Case] = &[
    Case::delivered(
        "chunked",
        "a genuine callback in chunks: legal, and what was signed is what the chunks hold",
        |s| vec![Shot { message: chunked(s, b"0\r\n\r\n"), want: Want::Success, is_cut: false }],
    ),
    Case::refused("oversize", "three mebibytes, signed", |s| {
        let mut body = s.event().body(s.keys);
        body.resize(3 * 1024 * 1024, b' ');
        s.refused(&s.sign(body))
    }),
    Case::closed("oversize-announced", "a length of a hundred gigabytes and a few bytes", |s| {
        Scene::cut(with_length(s, "100000000000"))
    }),
    Case::closed("length-overflow", "a length beyond 64 bits", |s| {
        Scene::raw(with_length(s, "99999999999999999999999"))
    }),
    Case::closed("length-negative", "a negative length", |s| Scene::raw(with_length(s, "-1"))),
    Case::closed("length-with-plus", "a length with a plus sign", |s| {
        let length = format!("+{}", s.genuine().body.len());
        Scene::raw(with_length(s, &length))
    }),
    Case::closed("lengths-two", "two lengths that differ", |s| {
        let callback = s.genuine();
        let length = callback.body.len();
        let head = callback.clone().and("Content-Length", &length.saturating_sub(10).to_string());
        Scene::raw(head.to_http(s.host))
    }),
    Case::closed("length-and-chunks", "a length and chunks at once, to smuggle a second request", |s| {
        let inner = s.genuine().to_http(s.host);
        let outer = s.genuine().and("Transfer-Encoding", "chunked");
        let mut message = outer.head(s.host);
        message.extend_from_slice(format!("Content-Length: {}\r\n\r\n", inner.len()).as_bytes());
        message.extend_from_slice(&inner);
        Scene::raw(message)
    }),
    Case::closed("truncated", "a body that ends before its length", |s| {
        let mut message = s.genuine().to_http(s.host);
        message.truncate(message.len().saturating_sub(10));
        Scene::cut(message)
    }),
    Case::closed("truncated-head", "a head that ends in the middle", |s| {
        let mut message = s.genuine().to_http(s.host);
        message.truncate(100);
        Scene::cut(message)
    }),
    Case::closed("chunks-cut", "chunks that do not end", |s| Scene::cut(chunked(s, b""))),
    Case::closed("chunk-size-overflow", "a chunk of more than 64 bits", |s| {
        Scene::raw(chunked(s, b"fffffffffffffffffff\r\nx\r\n0\r\n\r\n"))
    }),
    Case::closed("chunk-size-word", "a chunk whose size is no number", |s| {
        Scene::raw(chunked(s, b"what\r\nx\r\n0\r\n\r\n"))
    }),
    Case::closed("headers-many", "a thousand headers", |s| {
        let many = (0..1000).fold(s.genuine(), |callback, number| callback.and(&format!("X-{number}"), "x"));
        Scene::raw(many.to_http(s.host))
    }),
    Case::closed("header-huge", "a header of half a mebibyte", |s| {
        Scene::raw(s.genuine().and("X-Huge", &"x".repeat(512 * 1024)).to_http(s.host))
    }),
    Case::closed("header-without-colon", "a header line without a colon", |s| spoiled_head(s, "what is this\r\n")),
    Case::closed("header-with-zero-byte", "a zero byte in a header", |s| spoiled_head(s, "X-Zero: \0\r\n")),
    Case::closed("header-name-with-space", "a space before a colon, which some servers take off", |s| {
        spoiled_head(s, "Transfer-Encoding : chunked\r\n")
    }),
    Case::closed("header-folded", "a header over two lines", |s| spoiled_head(s, "X-Folded: a\r\n b\r\n")),
    Case::closed("version-9", "a version that does not exist", |s| {
        let text = String::from_utf8_lossy(&s.genuine().to_http(s.host)).replacen("HTTP/1.1", "HTTP/9.9", 1);
        Scene::raw(text)
    }),
    Case::closed("no-http", "words", |_| Scene::cut("hello, is this the bank?\r\n\r\n")),
    Case::closed("no-version", "a request of 1991", |s| Scene::cut(format!("POST {}\r\n\r\n", s.path))),
    Case::closed("tls-hello", "the beginning of TLS on a plain port", |_| {
        Scene::cut(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".as_slice())
    }),
    Case::closed("zero-bytes", "a kibibyte of zeros", |_| Scene::cut(vec![0; 1024])),
];

/// A genuine callback in chunks of a hundred bytes, with this for an end.
fn chunked(scene: &Scene<'_>, end: &[u8]) -> Vec<u8> {
    let callback = scene.genuine().and("Transfer-Encoding", "chunked");
    let mut message = callback.head(scene.host);
    message.extend_from_slice(b"\r\n");
    for chunk in callback.body.chunks(100) {
        message.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        message.extend_from_slice(chunk);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(end);
    message
}

/// A genuine callback with this for its length.
fn with_length(scene: &Scene<'_>, length: &str) -> Vec<u8> {
    let callback = scene.genuine();
    let mut message = callback.head(scene.host);
    message.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
    message.extend_from_slice(&callback.body);
    message
}

/// A genuine callback with a line in its head that does not belong there.
fn spoiled_head(scene: &Scene<'_>, line: &str) -> Vec<Shot> {
    let callback = scene.genuine();
    let mut message = callback.head(scene.host);
    message.extend_from_slice(line.as_bytes());
    message.extend_from_slice(format!("Content-Length: {}\r\n\r\n", callback.body.len()).as_bytes());
    message.extend_from_slice(&callback.body);
    Scene::raw(message)
}
