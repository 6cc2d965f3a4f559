//! HTTP that is made to hurt: compressed bodies, heads without measure, chunks that are no use, headers twice, senders that
//! take their time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wxgate::sim::notify::Callback;
use wxgate::sim::pay_v2 as sim_v2;

use super::sealed::Pushes;
use super::{AT_ONCE, MAX_BODY, Shot, Target, all_are_refused};
use crate::gateway::PATH;
use crate::pay_v2;

/// The first bytes of gzip, and then what would be a gibibyte of zeros if somebody inflated it.
fn gzip_bomb() -> Vec<u8> {
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3][..], &[0xed, 0xc1, 1, 13, 0, 0, 0, 0x82, 0xa0], &[0; 4096]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_refused_by_every_protocol_and_never_inflated() {
    let target = Target::start().await;
    let site = &target.site;
    let mut shots = Vec::new();
    for coding in ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "x-gzip", "GZIP"] {
        let callbacks = [
            site.sign(&site.event()),
            sim_v2::callback(pay_v2::PATH, gzip_bomb()),
            Pushes::to_safe().signed(Some("AAAA"), gzip_bomb()),
            Pushes::to_plain().signed(None, gzip_bomb()),
            Pushes::to_wecom().signed(Some("AAAA"), gzip_bomb()),
        ];
        for callback in callbacks {
            let name = format!("{coding} to {}", callback.path);
            shots.push(Shot::new(name, 400, "bad-encoding", callback.and("Content-Encoding", coding)));
        }
    }
    // Not said to be compressed: then it is no document.
    shots.push(Shot::new("gzip unsaid", 400, "bad-xml", sim_v2::callback(pay_v2::PATH, gzip_bomb())));
    all_are_refused(target, &shots).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_counts_may_come_once_however_it_is_written() {
    let target = Target::start().await;
    let site = &target.site;
    let mut shots = Vec::new();
    for name in ["Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Serial", "Wechatpay-Signature"] {
        let callback = site.sign(&site.event());
        let value = callback.header(name).unwrap().to_owned();
        let twice = callback.and(&name.to_uppercase(), &value);
        shots.push(Shot::new(format!("{name} twice"), 400, "duplicate-header", twice));
    }
    for (name, value, reason, status) in [
        ("Wechatpay-Nonce", "a\u{e9}", "bad-encoding", 400),
        ("Wechatpay-Nonce", &"n".repeat(129), "bad-encoding", 400),
        ("Wechatpay-Serial", &"5".repeat(4096), "bad-encoding", 400),
        ("Wechatpay-Serial", "../../etc/passwd", "unknown-serial", 401),
        ("Wechatpay-Signature", &"A".repeat(8192), "bad-encoding", 400),
        ("Wechatpay-Timestamp", "99999999999999999999", "bad-timestamp", 401),
        ("Wechatpay-Timestamp", "9223372036854775807", "timestamp-out-of-window", 401),
    ] {
        let callback = site.sign(&site.event()).with(name, value);
        shots.push(Shot::new(format!("{name}: {}", &value[..value.len().min(20)]), status, reason, callback));
    }
    let query = |callback: Callback, more: &str| Callback { path: format!("{}{more}", callback.path), ..callback };
    for (more, reason) in [
        ("&nonce=2", "duplicate-param"),
        ("&%6eonce=2", "duplicate-param"),
        ("&x=%", "bad-encoding"),
        ("&x=%ff", "bad-encoding"),
        (&"&x=1".repeat(40), "bad-encoding"),
        (&format!("&x={}", "a".repeat(5000)), "bad-encoding"),
    ] {
        for pushes in [Pushes::to_safe(), Pushes::to_plain(), Pushes::to_wecom()] {
            let name = format!("the query goes on with {}", &more[..more.len().min(20)]);
            shots.push(Shot::new(name, 400, reason, query(pushes.genuine(), more)));
        }
    }
    all_are_refused(target, &shots).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_chunks_without_measure_are_refused_and_end_their_connection() {
    let target = Target::start().await;
    let site = &target.site;
    let genuine = || site.sign(&site.event());
    let close = |callback: Callback| callback.and("Connection", "close");
    let many = |count: usize| {
        (0..count).fold(close(genuine()), |callback, n| callback.and(&format!("X-{n}"), &"x".repeat(20)))
    };
    let chunked = |chunks: &[u8]| {
        let head = close(genuine()).and("Transfer-Encoding", "chunked");
        let lines: String = head.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        [format!("POST {PATH} HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes(), chunks].concat()
    };
    let body = genuine().body;
    let extension = format!("{:x};{}\r\n", body.len(), "a=b;".repeat(50_000));
    let trailers = b"X-A: aaaaaaaa\r\n".repeat(70_000);
    let cases: [(&str, u16, Vec<u8>); 10] = [
        ("ten thousand headers", 431, many(10_000).to_http("x")),
        ("a header of a mebibyte", 431, close(genuine()).and("X", &"x".repeat(1 << 20)).to_http("x")),
        ("a path of a mebibyte", 431, Callback { path: "/".repeat(1 << 20), ..close(genuine()) }.to_http("x")),
        ("a chunk with an extension of 200 kB", 408, {
            chunked(&[extension.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat())
        }),
        ("a chunk of 16 EiB", 408, chunked(b"ffffffffffffffff\r\n{}\r\n0\r\n\r\n")),
        ("a negative chunk", 408, chunked(b"-1\r\n{}\r\n0\r\n\r\n")),
        ("a chunk longer than told", 408, chunked(b"1\r\n{}\r\n0\r\n\r\n")),
        ("trailers of a mebibyte", 408, chunked(&[&b"2\r\n{}\r\n0\r\n"[..], &trailers, b"\r\n"].concat())),
        ("one-byte chunks for longer than a second", 408, chunked(&b"1\r\n \r\n".repeat((1 << 20) + 1))),
        ("two codings", 408, {
            let twice = close(genuine()).and("Transfer-Encoding", "gzip").and("Transfer-Encoding", "chunked");
            twice.to_http("x")
        }),
    ];
    for (name, status, message) in cases {
        let begun = Instant::now();
        assert_eq!(status_of(target.address(), message).await, Some(status), "{name}");
        assert!(begun.elapsed() < AT_ONCE, "{name}: after {:?}", begun.elapsed());
    }
    assert!(target.shop.take_deliveries().is_empty());
    target.serves().await;
    target.process.terminate().await;
}

/// Some senders end a body with a line feed that its length does not count.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_also_if_something_stands_behind_the_body() {
    let target = Target::start().await;
    for behind in [&b"\r\n"[..], b"\n", b"what is this?", &[0; 4096]] {
        let genuine = target.site.sign(&target.site.event()).and("Connection", "close").to_http("x");
        assert_eq!(status_of(target.address(), [&genuine, behind].concat()).await, Some(200), "{behind:?}");
    }
    assert_eq!(target.shop.take_deliveries().len(), 4);
    target.process.terminate().await;
}

/// Sends a message, as far as it is taken, and reads what comes: a server that has enough of it answers and hangs up while it
/// is still being sent. None if it hangs up without an answer.
async fn status_of(address: SocketAddr, message: Vec<u8>) -> Option<u16> {
    let (mut answers, mut requests) = TcpStream::connect(address).await.unwrap().into_split();
    let sending = tokio::spawn(async move { (requests.write_all(&message).await, requests) });
    let mut answer = Vec::new();
    // What was read before a reset is an answer too.
    drop(tokio::time::timeout(Duration::from_secs(5), answers.read_to_end(&mut answer)).await);
    sending.abort();
    let line = String::from_utf8_lossy(&answer);
    line.split(' ').nth(1)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_are_cut_off_and_hold_nobody_up() {
    let target = Target::start().await;
    let message = target.site.sign(&target.site.event()).and("Connection", "close").to_http("x");
    let head = message.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    let address = target.address();
    let mut slow = tokio::task::JoinSet::new();
    for number in 0..100_usize {
        // Half of them in their heads, half in their bodies.
        let message = message.clone();
        slow.spawn(async move {
            let begun = Instant::now();
            let mut stream = TcpStream::connect(address).await.unwrap();
            let from = if number % 2 == 0 { 20 } else { head + 10 };
            stream.write_all(&message[..from]).await.unwrap();
            for byte in &message[from..] {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if stream.write_all(&[*byte]).await.is_err() {
                    break;
                }
                if begun.elapsed() > Duration::from_millis(1500) {
                    break;
                }
            }
            let mut answer = String::new();
            let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await;
            assert!(ended.is_ok(), "still open after {:?}", begun.elapsed());
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    target.serves().await;
    assert!(begun.elapsed() < AT_ONCE, "held up for {:?}", begun.elapsed());
    while let Some(ended) = slow.join_next().await {
        ended.unwrap();
    }
    assert!(target.shop.take_deliveries().is_empty());
    target.process.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_streams_that_hurt_leave_the_others_of_their_connection_alone() {
    let target = Target::start().await;
    let stream = TcpStream::connect(target.address()).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let send = |callback: Callback, body: BoxBody<Bytes, Infallible>| {
        let mut request = Request::post(format!("http://gateway.test{PATH}"));
        for (name, value) in &callback.headers {
            request = request.header(name, value);
        }
        let answer = sender.clone().send_request(request.body(body).unwrap());
        async move { answer.await.map(|answer| answer.status().as_u16()) }
    };
    let whole = |bytes: Vec<u8>| Full::new(Bytes::from(bytes)).boxed();
    let genuine = || target.site.sign(&target.site.event());
    let passes = || {
        let callback = genuine();
        let body = whole(callback.body.clone());
        send(callback, body)
    };
    assert_eq!(passes().await.unwrap(), 200);

    let (mut endless, body) = Channel::<Bytes, Infallible>::new(1);
    endless.send_data(Bytes::from_static(b"{")).await.unwrap();
    let slow = tokio::spawn(send(genuine(), body.boxed()));
    let huge = send(genuine().and("x", &"x".repeat(64 * 1024)), whole(b"{}".to_vec())).await;
    assert!(huge.is_err() || huge.unwrap() == 431);
    let many = (0..5000).fold(genuine(), |callback, n| callback.and(&format!("x-{n}"), "x"));
    let many = send(many, whole(b"{}".to_vec())).await;
    assert!(many.is_err() || many.unwrap() == 431);
    assert_eq!(send(genuine(), whole(vec![b' '; MAX_BODY + 1])).await.unwrap(), 413);
    assert_eq!(passes().await.unwrap(), 200, "on the same connection");
    assert_eq!(slow.await.unwrap().unwrap(), 408);
    drop(endless);
    assert_eq!(target.shop.take_deliveries().len(), 2);
    target.process.terminate().await;
}
