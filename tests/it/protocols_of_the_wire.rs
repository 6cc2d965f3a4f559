//! HTTP itself: versions, framing, kept connections.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::gateway::{Gateway, PATH};
use crate::http_client;

#[tokio::test]
async fn http_2_without_tls_is_spoken() {
    let gateway = Gateway::start().await;
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let callback = gateway.site.sign(&gateway.site.event());
        let mut request = http::Request::post(format!("http://gateway.test{PATH}"));
        for (name, value) in &callback.headers {
            request = request.header(name, value);
        }
        let response = sender.send_request(request.body(Full::new(Bytes::from(callback.body))).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(gateway.shop.accepted().len(), 3);
}

#[tokio::test]
async fn a_chunked_body_is_what_was_signed() {
    let gateway = Gateway::start().await;
    let callback = gateway.site.sign(&gateway.site.event());
    let mut request = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n");
    for (name, value) in &callback.headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    let mut bytes = request.into_bytes();
    for chunk in callback.body.chunks(100) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(http_client::raw(gateway.address(), &bytes).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_connection_is_kept_and_requests_may_be_pipelined() {
    let gateway = Gateway::start().await;
    let mut bytes = Vec::new();
    for _ in 0..3 {
        bytes.extend(gateway.site.sign(&gateway.site.event()).to_http("gateway.test"));
    }
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answers = Vec::new();
    // The idle connection is closed after header_timeout.
    stream.read_to_end(&mut answers).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answers).matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!(gateway.shop.accepted().len(), 3);
}

#[tokio::test]
async fn what_a_body_hides_is_never_a_second_request() {
    let gateway = Gateway::start().await;
    let inner = gateway.site.sign(&gateway.site.event()).to_http("gateway.test");
    // Both lengths at once: the chunks count (RFC 9112, 6.3) and what follows the last one is its own request, or nothing is
    // taken at all. Either way the shop sees at most what was signed.
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        inner.len()
    );
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&inner).await.unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).await.unwrap();
    assert!(!String::from_utf8_lossy(&answers).contains("200 OK"));
    assert_eq!(gateway.shop.deliveries().len(), 0);
}
