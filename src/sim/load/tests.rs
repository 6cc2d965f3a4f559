//! The load against a server that only counts.

use std::collections::HashSet;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;
use crate::sim::sign;

/// Checks each signature with the `rsa` package and answers as a gateway would; never a body.
async fn gateway() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/notify", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| async {
                let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
                let (timestamp, nonce) = (header("wechatpay-timestamp"), header("wechatpay-nonce"));
                let signature = header("wechatpay-signature");
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let message = sign::callback_message(&timestamp, &nonce, &body);
                let key = Keys::bundled().platform.certificate_key.public();
                let status = if key.verifies(&message, &signature) { 200 } else { 401 };
                Ok::<_, hyper::Error>(http::Response::builder().status(status).body(Full::<Bytes>::default()).unwrap())
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

fn settings(target: &str) -> Settings {
    Settings {
        target: target.to_owned(),
        connections: 4,
        rate: None,
        callbacks: 200,
        duration: Duration::from_secs(20),
        duplicates: 0.2,
        forged: 0.1,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_are_kept_and_signatures_hold() {
    let settings = settings(&gateway().await);
    let prepared = prepare(&settings, &Keys::bundled()).await.unwrap();
    let messages: HashSet<_> = prepared.callbacks.iter().map(|callback| &callback.message).collect();
    assert_eq!(messages.len(), 200, "no two are equal, copies neither");
    let report = send(&settings, prepared).await.unwrap();
    assert!(report.held(), "{report}");
    assert_eq!((report.sent, report.unsent), (200, 0));
    let count = |kind, status: &str| report.answers[&kind][status];
    assert_eq!(count(Kind::Duplicate, "200"), 40);
    assert_eq!(count(Kind::Forged, "401"), 20);
    assert_eq!(count(Kind::Genuine, "200"), 140);
    assert!(report.latency.p50 > 0.0 && report.latency.p50 <= report.latency.max);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept() {
    let settings =
        Settings { rate: Some(100.0), duration: Duration::from_secs(1), callbacks: 1000, ..settings(&gateway().await) };
    let prepared = prepare(&settings, &Keys::bundled()).await.unwrap();
    assert_eq!(prepared.len(), 100);
    let report = send(&settings, prepared).await.unwrap();
    assert!(report.seconds > 0.9, "{report}");
    assert!(report.sent >= 90, "{report}");
}

#[tokio::test]
async fn numbers_without_sense_are_refused() {
    let good = settings("http://127.0.0.1:9/");
    for bad in [
        Settings { duplicates: 0.6, forged: 0.6, ..good.clone() },
        Settings { forged: -0.1, ..good.clone() },
        Settings { connections: 0, ..good.clone() },
        Settings { rate: Some(0.0), ..good.clone() },
        Settings { callbacks: 0, ..good.clone() },
        Settings { target: "ftp://x/".to_owned(), ..good.clone() },
    ] {
        assert!(prepare(&bad, &Keys::bundled()).await.is_err());
    }
}

#[tokio::test]
async fn what_would_be_stale_is_not_sent() {
    let settings = settings("http://127.0.0.1:9/");
    let mut prepared = prepare(&settings, &Keys::bundled()).await.unwrap();
    prepared.signed_from = unix_now() - 270;
    assert!(matches!(send(&settings, prepared).await, Err(LoadError::Stale { .. })));
}
