//! The merchant's side of the API: makes orders, asks for their state, downloads certificates. Each request is signed with
//! the merchant's API key.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Signed, authorization};
use super::keys::Merchant;
use super::notify::unix_now;
use super::wire::{self, Answer};

/// Longest time for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A client of one WeChat for one merchant.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    merchant: Merchant,
    notify_url: Option<String>,
}

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer.
    #[error("no answer: {0}")]
    Io(#[from] io::Error),
    /// A refusal.
    #[error("{status} {code}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// WeChat's code.
        code: String,
        /// WeChat's words.
        message: String,
    },
    /// An answer that is not what the API describes.
    #[error("the answer lacks {0}")]
    Form(&'static str),
}

impl Client {
    /// A client that talks to the WeChat at `address`.
    pub fn new(address: SocketAddr, merchant: Merchant) -> Self {
        Self { address, merchant, notify_url: None }
    }

    /// Orders shall be notified to this URL.
    #[must_use]
    pub fn with_notify_url(mut self, url: &str) -> Self {
        self.notify_url = Some(url.to_owned());
        self
    }

    /// Makes a Native order of `total` fen; the result is the `code_url` that the user scans.
    pub async fn native_order(&self, out_trade_no: &str, description: &str, total: i64) -> Result<String, ClientError> {
        let order = json!({
            "appid": self.merchant.appid,
            "mchid": self.merchant.mchid,
            "description": description,
            "out_trade_no": out_trade_no,
            "notify_url": self.notify_url,
            "amount": { "total": total, "currency": "CNY" },
        });
        let answer = self.request("POST", "/v3/pay/transactions/native", order.to_string().as_bytes()).await?;
        let code_url = answer.get("code_url").and_then(Value::as_str);
        Ok(code_url.ok_or(ClientError::Form("code_url"))?.to_owned())
    }

    /// The state of an order.
    pub async fn query(&self, out_trade_no: &str) -> Result<Value, ClientError> {
        let target = format!("/v3/pay/transactions/out-trade-no/{out_trade_no}?mchid={}", self.merchant.mchid);
        self.request("GET", &target, b"").await
    }

    /// The platform certificates, still encrypted.
    pub async fn certificates(&self) -> Result<Value, ClientError> {
        self.request("GET", "/v3/certificates", b"").await
    }

    async fn request(&self, method: &str, target: &str, body: &[u8]) -> Result<Value, ClientError> {
        let authorization = authorization(&self.merchant, Signed { method, target, body }, unix_now());
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nAuthorization: {authorization}\r\nAccept: application/json\r\n\
             User-Agent: wxgate-sim\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let Answer { status, body, .. } =
            wire::exchange(self.address, &[head.as_bytes(), body].concat(), ANSWER_WITHIN).await?;
        let answer: Value = serde_json::from_slice(&body).map_err(|_| ClientError::Form("JSON"))?;
        if status == 200 {
            return Ok(answer);
        }
        let text = |member: &str| answer.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        Err(ClientError::Refused { status, code: text("code"), message: text("message") })
    }
}
