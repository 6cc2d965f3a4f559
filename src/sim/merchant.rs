//! The merchant's side of WeChat Pay's API: signs requests, checks who signed the answers.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::authorization_message;
use super::client::{self, Answer};
use super::keys::Merchant;
use super::notify::unix_now;

const PATIENCE: Duration = Duration::from_secs(5);

/// A merchant that makes orders.
pub struct Client {
    api: SocketAddr,
    merchant: Merchant,
    notify_url: String,
}

/// Why an order was not made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer.
    #[error("no answer: {0}")]
    Io(#[from] std::io::Error),
    /// Not 200.
    #[error("{status}: {body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What WeChat said.
        body: String,
    },
    /// An answer without what was asked for.
    #[error("the answer has no `{0}`")]
    Absent(&'static str),
}

impl Client {
    /// A client of the API at this address.
    pub fn new(api: SocketAddr, merchant: Merchant) -> Self {
        Self { api, merchant, notify_url: String::new() }
    }

    /// Where the results of its orders are to be told.
    #[must_use]
    pub fn with_notify_url(mut self, notify_url: &str) -> Self {
        notify_url.clone_into(&mut self.notify_url);
        self
    }

    /// Makes a Native order of `total` fen and gives its `code_url`, which is shown as a QR code.
    pub async fn native_order(&self, out_trade_no: &str, description: &str, total: i64) -> Result<String, ClientError> {
        let order = json!({
            "mchid": self.merchant.mchid,
            "appid": self.merchant.appid,
            "description": description,
            "out_trade_no": out_trade_no,
            "notify_url": self.notify_url,
            "amount": { "total": total, "currency": "CNY" },
        });
        let made = self.ask("POST", "/v3/pay/transactions/native", order.to_string().as_bytes()).await?;
        made["code_url"].as_str().map(str::to_owned).ok_or(ClientError::Absent("code_url"))
    }

    /// What WeChat knows of an order.
    pub async fn query(&self, out_trade_no: &str) -> Result<Value, ClientError> {
        let target = format!("/v3/pay/transactions/out-trade-no/{out_trade_no}?mchid={}", self.merchant.mchid);
        self.ask("GET", &target, b"").await
    }

    async fn ask(&self, method: &str, target: &str, body: &[u8]) -> Result<Value, ClientError> {
        let authorization = authorization(&self.merchant, method, target, body, unix_now());
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAccept: application/json\r\nUser-Agent: wxgate-sim\r\n\
             Content-Type: application/json\r\nAuthorization: {authorization}\r\nContent-Length: {}\r\n\r\n",
            self.api,
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        let Answer { status, body, .. } = client::exchange(&self.api.to_string(), &request, PATIENCE).await?;
        if status != 200 {
            return Err(ClientError::Refused { status, body: String::from_utf8_lossy(&body).into_owned() });
        }
        serde_json::from_slice(&body).map_err(|_| ClientError::Absent("JSON"))
    }
}

/// The `Authorization` of a request, signed by the merchant.
pub fn authorization(merchant: &Merchant, method: &str, target: &str, body: &[u8], unix: i64) -> String {
    let (timestamp, nonce) = (unix.to_string(), super::random_text(32).unwrap_or_default());
    let signature = merchant.sign(&authorization_message(method, target, &timestamp, &nonce, body));
    format!(
        "WECHATPAY2-SHA256-RSA2048 mchid=\"{}\",nonce_str=\"{nonce}\",signature=\"{signature}\",timestamp=\"{timestamp}\",serial_no=\"{}\"",
        merchant.mchid, merchant.serial
    )
}
