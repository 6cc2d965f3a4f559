//! The server from outside: orders, payment, notification, retries.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::sim::merchant::{Client, ClientError};
use crate::sim::sign;

/// A merchant app that answers its n-th request with the n-th status, and the last of them from then on.
async fn app(statuses: &'static [u16]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/notify", listener.local_addr().unwrap());
    let got = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&got);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 16 * 1024];
            let _ = stream.read(&mut request).await.unwrap();
            let number = counter.fetch_add(1, Ordering::SeqCst);
            let status = statuses.get(number).or(statuses.last()).unwrap();
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, got)
}

async fn wechat(url: &str, time_scale: f64) -> (Wechat, Client) {
    let settings = Settings { time_scale, ..Settings::local(url) };
    let merchant = settings.keys.merchant.clone();
    let wechat = Wechat::start(settings).await.unwrap();
    let client = Client::new(wechat.addr(), merchant);
    (wechat, client)
}

fn code(error: &ClientError) -> &str {
    match error {
        ClientError::Refused { code, .. } => code,
        ClientError::Io(_) | ClientError::Form(_) => panic!("{error}"),
    }
}

#[tokio::test]
async fn an_order_is_made_paid_told_and_found() {
    let (url, got) = app(&[204]).await;
    let (wechat, client) = wechat(&url, 1.0).await;
    let code_url = client.native_order("ORDER-1", "tea", 100).await.unwrap();
    assert!(code_url.starts_with("weixin://wxpay/bizpayurl?pr="));
    assert_eq!(client.native_order("ORDER-1", "tea", 100).await.unwrap(), code_url, "the same order again");
    assert_eq!(code(&client.native_order("ORDER-1", "tea", 101).await.unwrap_err()), "OUT_TRADE_NO_USED");
    assert_eq!(client.query("ORDER-1").await.unwrap()["trade_state"], "NOTPAY");

    let transaction_id = wechat.pay(&code_url).unwrap();
    assert_eq!(wechat.pay(&code_url).unwrap_err().code, "ORDERPAID");
    assert!(wechat.wait_idle(Duration::from_secs(5)).await);
    assert_eq!(got.load(Ordering::SeqCst), 1);
    let deliveries = wechat.deliveries();
    assert!(deliveries[0].done && deliveries[0].attempts[0].status == Some(204), "{deliveries:?}");
    let order = client.query("ORDER-1").await.unwrap();
    assert_eq!((&order["trade_state"], &order["transaction_id"]), (&"SUCCESS".into(), &transaction_id.into()));
    assert_eq!(code(&client.query("ORDER-2").await.unwrap_err()), "ORDER_NOT_EXIST");
    assert_eq!(code(&client.native_order("ORDER-2", "tea", 0).await.unwrap_err()), "PARAM_ERROR");
}

#[tokio::test]
async fn a_forged_request_makes_no_order() {
    let (wechat, _) = wechat("http://127.0.0.1:9/", 1.0).await;
    let keys = Keys::bundled();
    let mut forger = keys.merchant.clone();
    forger.key = keys.stranger.clone();
    let forger = Client::new(wechat.addr(), forger);
    assert_eq!(code(&forger.native_order("ORDER-1", "tea", 1).await.unwrap_err()), "SIGN_ERROR");
    assert_eq!(code(&forger.certificates().await.unwrap_err()), "SIGN_ERROR");
    assert!(lock(&wechat.state.orders).query("ORDER-1").is_err());
}

#[tokio::test]
async fn the_certificate_is_handed_out_encrypted() {
    let (_wechat, client) = wechat("http://127.0.0.1:9/", 1.0).await;
    let answer = client.certificates().await.unwrap();
    let keys = Keys::bundled();
    let entry = &answer["data"][0];
    assert_eq!(entry["serial_no"], keys.platform.certificate_serial.as_str());
    let sealed = &entry["encrypt_certificate"];
    let text = |member: &str| sealed[member].as_str().unwrap();
    let pem = sign::open(&keys.merchant.api_v3_key, text("nonce"), text("associated_data"), text("ciphertext"));
    assert_eq!(pem.unwrap(), keys.platform.certificate_pem.as_bytes());
}

#[tokio::test]
async fn it_tries_again_until_success_which_is_200_or_204_alone() {
    let (url, got) = app(&[500, 201, 302, 200]).await;
    let (wechat, client) = wechat(&url, 3000.0).await;
    let code_url = client.native_order("ORDER-1", "tea", 100).await.unwrap();
    wechat.pay(&code_url).unwrap();
    assert!(wechat.wait_idle(Duration::from_secs(10)).await);
    assert_eq!(got.load(Ordering::SeqCst), 4);
    let statuses: Vec<_> = wechat.deliveries()[0].attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [Some(500), Some(201), Some(302), Some(200)]);
}

#[tokio::test]
async fn after_fifteen_retries_it_gives_up() {
    let (url, got) = app(&[500]).await;
    let (wechat, client) = wechat(&url, 1e6).await;
    let code_url = client.native_order("ORDER-1", "tea", 100).await.unwrap();
    wechat.pay(&code_url).unwrap();
    assert!(wechat.wait_idle(Duration::from_secs(20)).await);
    assert_eq!(got.load(Ordering::SeqCst), 16);
    assert!(wechat.deliveries()[0].given_up && !wechat.deliveries()[0].done);
}

#[test]
fn the_schedule_is_wechats_and_scales() {
    assert_eq!(RETRY_GAPS.iter().sum::<u64>(), 24 * 3600 + 4 * 60);
    assert_eq!(gap(0, 1.0), None);
    assert_eq!(gap(1, 1.0), Some(Duration::from_secs(15)));
    assert_eq!(gap(4, 1.0), Some(Duration::from_mins(3)));
    assert_eq!(gap(1, 200.0), Some(Duration::from_millis(75)));
    assert_eq!(gap(15, 1.0), Some(Duration::from_hours(6)));
    assert_eq!(gap(16, 1.0), None);
    assert_eq!(gap(1, 0.0), Some(Duration::from_secs(15)), "a scale without sense leaves it as it is");
}
