use std::net::Ipv4Addr;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;

use super::*;
use crate::event::Event;
use crate::wechat::Authentic;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn observe(path: &Path) -> Observe {
    let target = AuditTarget::File(path.to_owned());
    Observe::new(&AuditSettings {
        target,
        max_size: u64::MAX,
        max_age: Duration::MAX,
        keep: 1,
        facts: Some(Persons::Plain),
    })
    .unwrap()
}

fn authentic() -> Authentic {
    let event = Event {
        id: "EV-1".to_owned(),
        kind: "wechatpay.transaction.success".to_owned(),
        subject: Some("order \"7\"".to_owned()),
        body: Bytes::from_static(b"{}"),
        ..Event::default()
    };
    Authentic::for_test(event, "nonce", UnixTime::from_secs(1000))
}

async fn audited(observe: &Observe, path: &Path) -> Vec<Value> {
    observe.close().await;
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_forwarded_callback_is_told_in_full() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.ndjson");
    let observe = observe(&path);
    let endpoint = observe.endpoint(&Arc::from("shop"), "pay-v3");
    let mut record = observe.begin(CLIENT);
    let mut headers = HeaderMap::new();
    headers.insert("Request-ID", HeaderValue::from_static("08AB"));
    record.request(&Method::POST, "/notify/shop", &headers);
    record.endpoint(&endpoint);
    record.close(Stage::Admit);
    record.close(Stage::Open);
    record.authentic(&authentic(), UnixTime::from_millis(998_500));
    record.close(Stage::Open);
    record.attempt(2);
    record.upstream(Some(204));
    record.close(Stage::Forward);
    assert!(observe.render().contains("wxgate_in_flight 1"));
    observe.finish(record, Reason::Forwarded, 200);

    let lines = audited(&observe, &path).await;
    let [line] = lines.as_slice() else { panic!("one line, not {lines:?}") };
    let expected = serde_json::json!({
        "client": "192.0.2.1", "endpoint": "shop", "protocol": "pay-v3", "method": "POST", "path": "/notify/shop",
        "request_id": "08AB", "outcome": "forwarded", "reason": "forwarded", "status": 200, "key": "TEST",
        "event": {"id": "EV-1", "type": "wechatpay.transaction.success", "subject": "order \"7\""},
        "attempt": 2, "upstream_status": 204,
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&line[member], value, "{member}");
    }
    let stages: Vec<&String> = line["stages_us"].as_object().unwrap().keys().collect();
    assert_eq!(stages, ["admit", "forward", "open"], "each stage once, in whatever order JSON has");
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");

    let text = observe.render();
    for series in [
        r#"wxgate_requests_total{endpoint="shop",outcome="forwarded",reason="forwarded"} 1"#,
        r#"wxgate_verified_total{endpoint="shop",key="TEST"} 1"#,
        r#"wxgate_upstream_requests_total{endpoint="shop",status="204"} 1"#,
        r#"wxgate_stage_seconds_count{stage="open"} 1"#,
        r#"wxgate_stage_seconds_count{stage="claim"} 0"#,
        "wxgate_clock_skew_seconds -1.5",
        "wxgate_in_flight 0",
    ] {
        assert!(text.contains(series), "{series} is not in:\n{text}");
    }
}

#[tokio::test]
async fn a_strangers_words_are_cut_and_cannot_forge_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.ndjson");
    let observe = observe(&path);
    let mut record = observe.begin(CLIENT);
    let long = format!("/\"}}\n{{\"outcome\":\"forwarded\"}}\u{1b}[2J{}", "汉".repeat(500));
    record.request(&Method::from_bytes(&[b'X'; 100]).unwrap(), &long, &HeaderMap::new());
    record.detail(&"d".repeat(5000));
    observe.finish(record, Reason::UnknownRoute, 404);
    let lines = audited(&observe, &path).await;
    assert_eq!(lines.len(), 1);
    let told = lines[0]["path"].as_str().unwrap();
    assert!(told.len() <= 256 && told.len() > 250 && !told.contains(char::is_control), "{told}");
    assert_eq!(lines[0]["outcome"], "refused");
    assert_eq!(lines[0]["endpoint"], Value::Null);
    assert!(lines[0].get("event").is_none() && lines[0].get("key").is_none());
    assert_eq!(lines[0]["method"].as_str().map(str::len), Some(16));
    assert_eq!(lines[0]["detail"].as_str().map(str::len), Some(512));
    let series = r#"wxgate_requests_total{endpoint="-",outcome="refused",reason="unknown-route"} 1"#;
    assert!(observe.render().contains(series));
}

#[tokio::test]
async fn a_record_without_an_end_is_an_internal_error_unless_its_caller_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.ndjson");
    let observe = observe(&path);
    let mut lost = observe.begin(CLIENT);
    lost.close(Stage::Claim);
    drop(lost);
    let mut left = observe.begin(CLIENT);
    left.close(Stage::Admit);
    left.close(Stage::Screen);
    drop(left);
    let mut panicked = observe.begin(CLIENT);
    panicked.close(Stage::Screen);
    let panicked = std::panic::AssertUnwindSafe(panicked);
    let unwound = std::panic::catch_unwind(move || {
        let _record = panicked;
        panic!("in a stage");
    });
    assert!(unwound.is_err());
    let lines = audited(&observe, &path).await;
    let reasons: Vec<_> =
        lines.iter().map(|line| (line["reason"].as_str().unwrap(), line["status"].as_u64())).collect();
    assert_eq!(reasons, [("internal-error", Some(503)), ("body-timeout", Some(408)), ("internal-error", Some(503))]);
    assert!(observe.render().contains("wxgate_in_flight 0"));
}

#[test]
fn the_limit_that_was_hit_is_told_by_the_place_where_it_is_asked() {
    let observe = Observe::new(&off()).unwrap();
    let endpoint = observe.endpoint(&Arc::from("shop"), "pay-v3");
    for (stage, reason) in [
        (Stage::Admit, Reason::RateLimited),
        (Stage::Open, Reason::RateLimited),
        (Stage::Open, Reason::RateLimited),
        (Stage::Admit, Reason::Banned),
        (Stage::Admit, Reason::Overloaded),
    ] {
        let mut record = observe.begin(CLIENT);
        record.endpoint(&endpoint);
        record.close(stage);
        observe.finish(record, reason, reason.status());
    }
    let text = observe.render();
    for (limit, count) in [("per_ip", 1), ("total", 2), ("failures_per_ip", 1)] {
        let series = format!(r#"wxgate_rate_limited_total{{endpoint="shop",limit="{limit}"}} {count}"#);
        assert!(text.contains(&series), "{series} is not in:\n{text}");
    }
}

#[test]
fn an_endpoint_counts_on_over_reloads_and_a_connection_until_it_closes() {
    let observe = Observe::new(&off()).unwrap();
    let before = observe.endpoint(&Arc::from("shop"), "pay-v3");
    assert!(Arc::ptr_eq(&before, &observe.endpoint(&Arc::from("shop"), "pay-v3")));
    let at = UnixTime::from_secs;
    observe.config_loaded(at(1));
    observe.config_reloaded(Reload::Taken { needs_restart: true }, at(2));
    observe.config_reloaded(Reload::Rejected, at(3));
    observe.config_reloaded(Reload::Rejected, at(4));
    let open = observe.connection();
    assert!(observe.render().contains("wxgate_connections 1"));
    drop(open);
    let text = observe.render();
    for series in [
        "wxgate_connections 0",
        r#"wxgate_config_reloads_total{result="taken"} 1"#,
        r#"wxgate_config_reloads_total{result="rejected"} 2"#,
        "wxgate_audit_dropped_total 0",
        "wxgate_config_reload_ok 0",
        "wxgate_config_loaded_timestamp_seconds 2",
        "wxgate_config_restart_needed 1",
    ] {
        assert!(text.contains(series), "{series} is not in:\n{text}");
    }
    observe.config_reloaded(Reload::Taken { needs_restart: false }, at(5));
    let text = observe.render();
    assert!(text.contains("wxgate_config_reload_ok 1") && text.contains("wxgate_config_restart_needed 0"), "{text}");
}

fn off() -> AuditSettings {
    AuditSettings { target: AuditTarget::Off, max_size: 0, max_age: Duration::ZERO, keep: 0, facts: None }
}
