//! Rubbish and forgeries: each gets an answer in the protocol's form and one audit record, and a stranger learns nothing.

use std::collections::HashSet;

use wxgate::sim::notify::{Callback, Stamp, signed, unix_now};

use crate::gateway::{Gateway, PATH};
use crate::http_client;
use crate::queue::wxgate;

fn with_header(mut callback: Callback, name: &str, value: &str) -> Callback {
    callback.headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
    if !value.is_empty() {
        callback.headers.push((name.to_owned(), value.to_owned()));
    }
    callback
}

#[tokio::test]
async fn every_bad_request_is_answered_and_audited_once() {
    let gateway = Gateway::start().await;
    let genuine = || gateway.site.sign(&gateway.site.event());
    let now = unix_now().to_string();
    let unsigned = |body: &[u8]| {
        let stamp = Stamp { by: wxgate::sim::keys::SignedBy::Certificate, timestamp: &now, nonce: "0123456789abcdef" };
        signed(&gateway.site.keys, stamp, PATH, body.to_vec())
    };
    let mut cases: Vec<(&str, u16, Callback)> = vec![
        ("unknown-route", 404, Callback { path: "/notify/other".into(), ..genuine() }),
        ("unknown-route", 404, Callback { path: format!("{PATH}/"), ..genuine() }),
        ("unknown-route", 404, Callback { path: "/".into(), ..genuine() }),
        ("bad-method", 405, Callback { method: "GET".into(), ..genuine() }),
        ("missing-header", 400, with_header(genuine(), "wechatpay-signature", "")),
        ("missing-header", 400, with_header(genuine(), "wechatpay-timestamp", "")),
        ("bad-timestamp", 401, with_header(genuine(), "wechatpay-timestamp", "+1700000000")),
        ("timestamp-out-of-window", 401, with_header(genuine(), "wechatpay-timestamp", "1700000000")),
        ("unknown-serial", 401, with_header(genuine(), "wechatpay-serial", "ABCDEF0123456789")),
        ("signtest-probe", 401, with_header(genuine(), "wechatpay-signature", "WECHATPAY/SIGNTEST/AAAA")),
        ("bad-signature", 401, with_header(genuine(), "wechatpay-nonce", "changed")),
        (
            "unsupported-signature-type",
            401,
            with_header(genuine(), "wechatpay-signature-type", "WECHATPAY2-SM2-WITH-SM3"),
        ),
        ("bad-encoding", 400, with_header(genuine(), "content-encoding", "gzip")),
        ("bad-json", 400, unsigned(b"{}}")),
    ];
    let mut twice = genuine();
    twice.headers.push(("Wechatpay-Serial".into(), twice.header("wechatpay-serial").unwrap().to_owned()));
    cases.push(("duplicate-header", 400, twice));

    for (reason, status, callback) in &cases {
        let answer = gateway.send(callback).await;
        assert_eq!(answer.status, *status, "{reason}: {answer:?}");
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["code"], "FAIL");
        assert!(body["message"].as_str().unwrap().len() <= 64);
        assert!(answer.head.contains("content-type: application/json"));
        assert!(!answer.head.contains("server:"), "nothing about us: {}", answer.head);
    }
    let count = cases.len();
    let (site, shop) = gateway.stop().await;
    assert_eq!(shop.deliveries().len(), 0);
    let audit = site.audit();
    let reasons: Vec<_> = audit.iter().map(|record| record["reason"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<_> = cases.iter().map(|(reason, _, _)| (*reason).to_owned()).collect();
    assert_eq!(reasons, expected);
    assert_eq!(audit.len(), count);
    assert!(audit.iter().all(|record| record["outcome"] == "refused"));
}

#[tokio::test]
async fn all_signature_problems_read_the_same() {
    let gateway = Gateway::start().await;
    let genuine = || gateway.site.sign(&gateway.site.event());
    let mut answers = HashSet::new();
    for callback in [
        with_header(genuine(), "wechatpay-nonce", "changed"),
        with_header(genuine(), "wechatpay-serial", "ABCDEF0123456789"),
        with_header(genuine(), "wechatpay-signature", "WECHATPAY/SIGNTEST/AAAA"),
        with_header(genuine(), "wechatpay-timestamp", "1700000000"),
    ] {
        let answer = gateway.send(&callback).await;
        answers.insert((answer.status, answer.body));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn a_body_is_bounded_in_size_and_time() {
    let gateway = Gateway::start().await;
    let mut large = gateway.site.sign(&gateway.site.event());
    large.body = vec![b' '; 1024 * 1024 + 1];
    assert_eq!(gateway.send(&large).await.status, 413);

    let callback = gateway.site.sign(&gateway.site.event());
    let mut slow = callback.to_http("gateway.test");
    slow.truncate(slow.len() - 10);
    let answer = http_client::raw(gateway.address(), &with_close(&slow)).await.unwrap();
    assert_eq!(answer.status, 408);
}

/// Asks the server to close after its answer.
fn with_close(request: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    text.replacen("\r\n", "\r\nConnection: close\r\n", 1).into_bytes()
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let gateway = Gateway::start().await;
    for beginning in [&b""[..], b"P", b"POST / HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{beginning:?} is still open");
    }
    assert_eq!(gateway.deliver(&gateway.site.event()).await.status, 200, "and it serves on");
}

#[tokio::test]
async fn a_forger_is_banned_and_genuine_traffic_of_others_is_not() {
    let limits = r#"limits = { failures_per_ip = "5/m", ban = "10m" }"#;
    let gateway = Gateway::with("memory:", limits, wxgate::sim::shop::Behaviour::Healthy).await;
    let forged = || with_header(gateway.site.sign(&gateway.site.event()), "wechatpay-nonce", "changed");
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(gateway.send(&forged()).await.status);
    }
    assert_eq!(
        statuses.iter().filter(|status| **status == 401).count(),
        6,
        "the one over the budget bans: {statuses:?}"
    );
    let last = gateway.send(&forged()).await;
    assert_eq!(last.status, 429);
    assert!(last.head.contains("retry-after: "), "{}", last.head);
    assert_eq!(gateway.shop.deliveries().len(), 0);
}

#[tokio::test]
async fn a_ban_is_told_and_lifted_by_the_commands_and_nobody_who_is_exempt_has_one() {
    let limits = r#"limits = { failures_per_ip = "1/m", ban = "10m" }"#;
    let gateway = Gateway::with("memory:", limits, wxgate::sim::shop::Behaviour::Healthy).await;
    let admin = gateway.app.admin_address().unwrap();
    for _ in 0..3 {
        gateway.send(&with_header(gateway.site.sign(&gateway.site.event()), "wechatpay-nonce", "changed")).await;
    }
    assert_eq!(gateway.deliver(&gateway.site.event()).await.status, 429);
    let text = std::fs::read_to_string(gateway.site.config()).unwrap();
    std::fs::write(gateway.site.config(), text.replace("ban = \"10m\"", "ban = \"10m\", total = \"9/s\"")).unwrap();
    gateway.app.reload(gateway.site.load().endpoints);
    assert_eq!(gateway.deliver(&gateway.site.event()).await.status, 429, "another limit has changed, not this one");

    let told = wxgate(admin, &["bans", "list"]).await;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.starts_with("127.0.0.1 ") && told.contains("shop-pay"), "{told}");
    assert_eq!(wxgate(admin, &["bans", "lift", "127.0.0.1"]).await.status.code(), Some(0));
    assert_eq!(wxgate(admin, &["bans", "lift", "127.0.0.1"]).await.status.code(), Some(1), "nobody is banned");
    assert_eq!(gateway.deliver(&gateway.site.event()).await.status, 200);

    std::fs::write(gateway.site.config(), text.replace("ban = \"10m\"", "exempt = [\"127.0.0.0/8\"]")).unwrap();
    gateway.app.reload(gateway.site.load().endpoints);
    for _ in 0..5 {
        gateway.send(&with_header(gateway.site.sign(&gateway.site.event()), "wechatpay-nonce", "changed")).await;
    }
    assert_eq!(gateway.deliver(&gateway.site.event()).await.status, 200);
    let (site, _) = gateway.stop().await;
    let lifts: Vec<_> = site
        .audit()
        .iter()
        .filter(|line| line["action"] == "lift")
        .map(|line| format!("{} {} {}", line["of"], line["id"], line["result"]))
        .collect();
    assert_eq!(lifts, [r#""bans" "127.0.0.1" "done""#, r#""bans" "127.0.0.1" "not-found""#]);
}

#[tokio::test]
async fn probes_never_ban() {
    let limits = r#"limits = { failures_per_ip = "3/m", ban = "10m" }"#;
    let gateway = Gateway::with("memory:", limits, wxgate::sim::shop::Behaviour::Healthy).await;
    for _ in 0..10 {
        let probe =
            with_header(gateway.site.sign(&gateway.site.event()), "wechatpay-signature", "WECHATPAY/SIGNTEST/AAAA");
        assert_eq!(gateway.send(&probe).await.status, 401);
    }
    assert_eq!(gateway.deliver(&gateway.site.event()).await.status, 200);
}
