//! WeChat Pay's API as far as a merchant of scan-to-pay orders needs it: make a Native order, query it, download the
//! platform certificates. Requests are checked as WeChat checks them; answers are signed as WeChat signs them.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::keys::{Keys, SignedBy};
use super::notify::{self, china_time, message};
use super::sample::Order;

/// How far a request's timestamp may be off, in seconds.
const TOLERANCE: u64 = 300;
const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048 ";

/// A request to the API.
#[derive(Clone, Copy, Debug)]
pub struct ApiRequest<'a> {
    /// `GET` or `POST`
    pub method: &'a str,
    /// Path with query: what is signed.
    pub target: &'a str,
    /// The `Authorization` header.
    pub authorization: &'a str,
    /// Body.
    pub body: &'a [u8],
}

/// An answer with the headers that sign it.
#[derive(Clone, Debug)]
pub struct ApiAnswer {
    /// HTTP status.
    pub status: u16,
    /// Signing headers.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Vec<u8>,
}

/// Why WeChat says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The authorization does not hold.
    #[error("SIGN_ERROR: {0}")]
    Sign(&'static str),
    /// The request is not understood.
    #[error("PARAM_ERROR: {0}")]
    Param(&'static str),
    /// There is no such order or code.
    #[error("ORDER_NOT_EXIST")]
    NoOrder,
    /// The number was used for another order.
    #[error("OUT_TRADE_NO_USED")]
    NumberUsed,
    /// It was paid before.
    #[error("ORDERPAID")]
    Paid,
    /// No such method.
    #[error("RESOURCE_NOT_EXISTS")]
    NoResource,
}

/// An order that was made.
#[derive(Clone, Debug)]
pub struct Placed {
    /// What it is about.
    pub order: Order,
    /// Where its result is to be told.
    pub notify_url: String,
    /// Whether the user has paid.
    pub paid: bool,
}

/// The orders by their code.
#[derive(Default)]
pub struct Orders {
    by_code: HashMap<String, Placed>,
}

impl ApiError {
    fn status(&self) -> u16 {
        match self {
            Self::Sign(_) => 401,
            Self::Param(_) | Self::Paid => 400,
            Self::NumberUsed => 403,
            Self::NoOrder | Self::NoResource => 404,
        }
    }
}

impl Orders {
    /// The user scans the code and pays: gives the order, once.
    pub fn pay(&mut self, code_url: &str, unix: i64) -> Result<Placed, ApiError> {
        let placed = self.by_code.get_mut(code_url).ok_or(ApiError::NoOrder)?;
        if placed.paid {
            return Err(ApiError::Paid);
        }
        placed.paid = true;
        placed.order.unix = unix;
        Ok(placed.clone())
    }

    /// Answers a request of the merchant's.
    pub fn handle(&mut self, keys: &Keys, by: SignedBy, request: ApiRequest<'_>, unix: i64) -> ApiAnswer {
        let end = authorize(keys, request, unix).and_then(|()| self.route(keys, request, unix));
        let (status, body) = match end {
            Ok(body) => (200, body),
            Err(error) => {
                let text = error.to_string();
                let code = text.split(':').next().unwrap_or_default();
                (error.status(), json!({ "code": code, "message": text }))
            }
        };
        sign_answer(keys, by, status, body.to_string().into_bytes(), unix)
    }

    fn route(&mut self, keys: &Keys, request: ApiRequest<'_>, unix: i64) -> Result<Value, ApiError> {
        let path = request.target.split('?').next().unwrap_or_default();
        match (request.method, path) {
            ("POST", "/v3/pay/transactions/native") => self.native(keys, request.body, unix),
            ("GET", "/v3/certificates") => Ok(certificates(keys)),
            ("GET", path) => {
                let number = path.strip_prefix("/v3/pay/transactions/out-trade-no/").ok_or(ApiError::NoResource)?;
                self.query(number)
            }
            _ => Err(ApiError::NoResource),
        }
    }

    fn native(&mut self, keys: &Keys, body: &[u8], unix: i64) -> Result<Value, ApiError> {
        let asked: Value = serde_json::from_slice(body).map_err(|_| ApiError::Param("the body is no JSON"))?;
        let text =
            |name: &'static str| asked[name].as_str().filter(|text| !text.is_empty()).ok_or(ApiError::Param(name));
        if text("mchid")? != keys.merchant.mchid || text("appid")? != keys.merchant.appid {
            return Err(ApiError::Param("mchid and appid are not the merchant's"));
        }
        text("description")?;
        let total =
            asked["amount"]["total"].as_i64().filter(|total| *total > 0).ok_or(ApiError::Param("amount.total"))?;
        let out_trade_no = text("out_trade_no")?;
        let is_number = |c: char| c.is_ascii_alphanumeric() || "_-|*".contains(c);
        if !(6..=32).contains(&out_trade_no.len()) || !out_trade_no.chars().all(is_number) {
            return Err(ApiError::Param("out_trade_no has 6 to 32 letters and digits"));
        }
        // The same order again gives the same code (WeChat answers so as well); another one may not take its number.
        if let Some((code, placed)) = self.by_code.iter().find(|(_, placed)| placed.order.out_trade_no == out_trade_no)
        {
            return if placed.order.total == total {
                Ok(json!({ "code_url": code }))
            } else {
                Err(ApiError::NumberUsed)
            };
        }
        let order = Order {
            out_trade_no: out_trade_no.to_owned(),
            total,
            attach: asked["attach"].as_str().unwrap_or_default().to_owned(),
            ..Order::new(&keys.merchant, unix)
        };
        let code =
            format!("weixin://wxpay/bizpayurl?pr={}", super::random_text(9).unwrap_or_else(|| out_trade_no.to_owned()));
        self.by_code.insert(code.clone(), Placed { order, notify_url: text("notify_url")?.to_owned(), paid: false });
        Ok(json!({ "code_url": code }))
    }

    fn query(&self, out_trade_no: &str) -> Result<Value, ApiError> {
        let placed = self.by_code.values().find(|placed| placed.order.out_trade_no == out_trade_no);
        let Placed { order, paid, .. } = placed.ok_or(ApiError::NoOrder)?;
        let mut told = json!({
            "appid": order.appid,
            "mchid": order.mchid,
            "out_trade_no": order.out_trade_no,
            "trade_state": if *paid { "SUCCESS" } else { "NOTPAY" },
            "amount": { "total": order.total, "currency": "CNY" },
        });
        if *paid {
            told["transaction_id"] = json!(order.transaction_id);
            told["success_time"] = json!(china_time(order.unix));
        }
        Ok(told)
    }
}

/// Checks `Authorization` (protocol 1.12): the merchant's signature over method, target, timestamp, nonce and body.
fn authorize(keys: &Keys, request: ApiRequest<'_>, unix: i64) -> Result<(), ApiError> {
    let fields = request.authorization.strip_prefix(SCHEME).ok_or(ApiError::Sign("another scheme"))?;
    let field = |name: &str| {
        let found = fields.split(',').filter_map(|field| field.trim().split_once('=')).find(|(have, _)| *have == name);
        found
            .and_then(|(_, value)| value.strip_prefix('"')?.strip_suffix('"'))
            .ok_or(ApiError::Sign("a field is absent"))
    };
    if field("mchid")? != keys.merchant.mchid || field("serial_no")? != keys.merchant.serial {
        return Err(ApiError::Sign("not this merchant's certificate"));
    }
    let (timestamp, nonce) = (field("timestamp")?, field("nonce_str")?);
    let told: i64 = timestamp.parse().map_err(|_| ApiError::Sign("the timestamp is no number"))?;
    if told.abs_diff(unix) > TOLERANCE {
        return Err(ApiError::Sign("the timestamp is off"));
    }
    let signed = authorization_message(request.method, request.target, timestamp, nonce, request.body);
    if keys.merchant.verifies(&signed, field("signature")?) {
        Ok(())
    } else {
        Err(ApiError::Sign("the signature does not hold"))
    }
}

/// Five lines, the last line feed included.
pub(super) fn authorization_message(method: &str, target: &str, timestamp: &str, nonce: &str, body: &[u8]) -> Vec<u8> {
    [format!("{method}\n{target}\n{timestamp}\n{nonce}\n").as_bytes(), body, b"\n"].concat()
}

fn certificates(keys: &Keys) -> Value {
    let nonce = super::random_text(12).unwrap_or_else(|| "0123456789ab".to_owned());
    let pem = keys.platform.certificate_pem.as_bytes();
    json!({ "data": [{
        "serial_no": keys.platform.serial,
        "effective_time": "2026-01-01T00:00:00+08:00",
        "expire_time": "2076-01-01T00:00:00+08:00",
        "encrypt_certificate": {
            "algorithm": "AEAD_AES_256_GCM",
            "nonce": nonce,
            "associated_data": "certificate",
            "ciphertext": notify::encrypt(&keys.merchant.api_v3, &nonce, "certificate", pem),
        },
    }] })
}

fn sign_answer(keys: &Keys, by: SignedBy, status: u16, body: Vec<u8>, unix: i64) -> ApiAnswer {
    let (timestamp, nonce) = (unix.to_string(), super::random_text(32).unwrap_or_default());
    let signature = keys.platform.sign(by, &message(&timestamp, &nonce, &body));
    let headers = vec![
        ("Wechatpay-Timestamp", timestamp),
        ("Wechatpay-Nonce", nonce),
        ("Wechatpay-Serial", keys.platform.id(by).to_owned()),
        ("Wechatpay-Signature", signature),
    ];
    ApiAnswer { status, headers, body }
}

#[cfg(test)]
mod tests {
    use super::super::merchant::authorization;
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn ask(
        orders: &mut Orders,
        keys: &Keys,
        method: &str,
        target: &str,
        body: &str,
        edit: impl Fn(String) -> String,
    ) -> (u16, Value) {
        let authorization = edit(authorization(&keys.merchant, method, target, body.as_bytes(), NOW));
        let request = ApiRequest { method, target, authorization: &authorization, body: body.as_bytes() };
        let answer = orders.handle(keys, SignedBy::Certificate, request, NOW);
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    fn order(keys: &Keys, number: &str, total: i64) -> String {
        json!({ "mchid": keys.merchant.mchid, "appid": keys.merchant.appid, "description": "tea", "out_trade_no": number,
            "notify_url": "http://127.0.0.1/notify", "amount": { "total": total } })
        .to_string()
    }

    #[test]
    fn an_order_is_made_paid_once_and_queried() {
        let (keys, mut orders) = (Keys::bundled(), Orders::default());
        let native = "/v3/pay/transactions/native";
        let (status, made) = ask(&mut orders, &keys, "POST", native, &order(&keys, "ORDER001", 5), |a| a);
        assert_eq!(status, 200);
        let code = made["code_url"].as_str().unwrap();
        assert!(code.starts_with("weixin://wxpay/bizpayurl?pr="));
        let query = "/v3/pay/transactions/out-trade-no/ORDER001?mchid=1900000001";
        assert_eq!(ask(&mut orders, &keys, "GET", query, "", |a| a).1["trade_state"], "NOTPAY");
        assert_eq!(orders.pay(code, NOW).unwrap().order.total, 5);
        assert_eq!(orders.pay(code, NOW).err(), Some(ApiError::Paid));
        assert_eq!(ask(&mut orders, &keys, "GET", query, "", |a| a).1["trade_state"], "SUCCESS");
        assert_eq!(ask(&mut orders, &keys, "POST", native, &order(&keys, "ORDER001", 6), |a| a).0, 403);
        assert_eq!(orders.pay("weixin://other", NOW).err(), Some(ApiError::NoOrder));
    }

    #[test]
    fn a_request_that_the_merchant_did_not_sign_is_refused() {
        let (keys, mut orders) = (Keys::bundled(), Orders::default());
        let target = "/v3/certificates";
        let mut refused = |edit: fn(String) -> String| ask(&mut orders, &keys, "GET", target, "", edit).0;
        assert_eq!(refused(|a| a), 200);
        assert_eq!(refused(|_| String::new()), 401);
        assert_eq!(refused(|a| a.replace("signature=\"", "signature=\"A")), 401);
        assert_eq!(refused(|a| a.replace(&NOW.to_string(), &(NOW - 301).to_string())), 401);
        assert_eq!(refused(|a| a.replace("mchid=\"19", "mchid=\"18")), 401);
    }

    #[test]
    fn the_certificates_decrypt_to_the_platforms_own() {
        let (keys, mut orders) = (Keys::bundled(), Orders::default());
        let (_, told) = ask(&mut orders, &keys, "GET", "/v3/certificates", "", |a| a);
        let sealed = &told["data"][0]["encrypt_certificate"];
        let text = |name: &str| sealed[name].as_str().unwrap();
        let pem = notify::decrypt(&keys.merchant.api_v3, text("nonce"), text("associated_data"), text("ciphertext"));
        assert_eq!(pem.unwrap(), keys.platform.certificate_pem.as_bytes());
        assert_eq!(told["data"][0]["serial_no"], keys.platform.serial);
    }
}
