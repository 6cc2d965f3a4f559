//! The book of Native orders.
//!
//! Source: WeChat Pay APIv3, "Native order" and "Query an order by out_trade_no".

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::sim::api::ApiError;
use crate::sim::keys::Merchant;
use crate::sim::sample::{Order, rfc3339};
use crate::sim::sign;

/// Most orders that are remembered.
const MAX_ORDERS: usize = 1_000_000;

/// The body of an order, as far as this WeChat reads it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct NativeOrder {
    appid: String,
    mchid: String,
    description: String,
    out_trade_no: String,
    notify_url: Option<String>,
    #[serde(default)]
    attach: String,
    amount: Amount,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Amount {
    total: i64,
    currency: Option<String>,
}

/// An order that was just paid.
pub(super) struct Paid {
    pub(super) order: Order,
    pub(super) notify_url: String,
}

#[derive(Default)]
pub(super) struct Orders {
    by_out_trade_no: HashMap<String, Entry>,
    out_trade_no_by_code: HashMap<String, String>,
}

struct Entry {
    ordered: NativeOrder,
    notify_url: String,
    code_url: String,
    state: PaymentState,
}

enum PaymentState {
    NotPaid,
    Closed,
    Paid(Order),
}

impl Orders {
    /// Takes an order; the result is its `code_url`. The same order again gets the same one.
    pub(super) fn create(
        &mut self,
        merchant: &Merchant,
        default_notify_url: Option<&str>,
        body: &[u8],
    ) -> Result<String, ApiError> {
        let ordered: NativeOrder = serde_json::from_slice(body).map_err(|error| ApiError::param(error.to_string()))?;
        check(merchant, &ordered)?;
        let notify_url = ordered.notify_url.as_deref().or(default_notify_url);
        let notify_url = notify_url.ok_or_else(|| ApiError::param("notify_url is missing"))?.to_owned();
        if let Some(entry) = self.by_out_trade_no.get(&ordered.out_trade_no) {
            return match entry.state {
                PaymentState::Paid(_) => Err(ApiError::new(400, "ORDERPAID", "the order is paid")),
                PaymentState::Closed => Err(ApiError::new(400, "ORDER_CLOSED", "the order is closed")),
                PaymentState::NotPaid if entry.ordered == ordered => Ok(entry.code_url.clone()),
                PaymentState::NotPaid => {
                    Err(ApiError::new(403, "OUT_TRADE_NO_USED", "out_trade_no is used by an order with other content"))
                }
            };
        }
        if self.by_out_trade_no.len() >= MAX_ORDERS {
            return Err(ApiError::new(429, "FREQUENCY_LIMITED", "too many orders: start anew"));
        }
        let code_url = format!("weixin://wxpay/bizpayurl?pr={}", sign::random_text::<9>());
        self.out_trade_no_by_code.insert(code_url.clone(), ordered.out_trade_no.clone());
        let entry = Entry { notify_url, code_url: code_url.clone(), state: PaymentState::NotPaid, ordered };
        self.by_out_trade_no.insert(entry.ordered.out_trade_no.clone(), entry);
        Ok(code_url)
    }

    /// A user pays at `unix` seconds.
    pub(super) fn pay(&mut self, code_url: &str, unix: i64) -> Result<Paid, ApiError> {
        let unknown = || ApiError::new(404, "ORDER_NOT_EXIST", "no order has this code_url");
        let out_trade_no = self.out_trade_no_by_code.get(code_url).ok_or_else(unknown)?;
        let entry = self.by_out_trade_no.get_mut(out_trade_no).ok_or_else(unknown)?;
        match entry.state {
            PaymentState::NotPaid => {}
            PaymentState::Paid(_) => return Err(ApiError::new(400, "ORDERPAID", "the order is paid")),
            PaymentState::Closed => return Err(ApiError::new(400, "ORDER_CLOSED", "the order is closed")),
        }
        let ordered = &entry.ordered;
        let order = Order {
            mchid: ordered.mchid.clone(),
            appid: ordered.appid.clone(),
            out_trade_no: ordered.out_trade_no.clone(),
            transaction_id: format!("42000{}", sign::random_digits::<23>()),
            description: ordered.description.clone(),
            attach: ordered.attach.clone(),
            total: ordered.amount.total,
            openid: format!("o{}", sign::random_text::<27>()),
            paid_at: unix,
        };
        entry.state = PaymentState::Paid(order.clone());
        Ok(Paid { order, notify_url: entry.notify_url.clone() })
    }

    /// The state of an order as the query API tells it.
    pub(super) fn query(&self, out_trade_no: &str) -> Result<Value, ApiError> {
        let entry = self.by_out_trade_no.get(out_trade_no).ok_or_else(not_found)?;
        let ordered = &entry.ordered;
        let mut answer = json!({
            "appid": ordered.appid,
            "mchid": ordered.mchid,
            "out_trade_no": ordered.out_trade_no,
            "attach": ordered.attach,
            "amount": { "total": ordered.amount.total, "currency": "CNY" },
        });
        let more = match &entry.state {
            PaymentState::NotPaid => json!({ "trade_state": "NOTPAY", "trade_state_desc": "订单未支付" }),
            PaymentState::Closed => json!({ "trade_state": "CLOSED", "trade_state_desc": "订单已关闭" }),
            PaymentState::Paid(order) => json!({
                "trade_state": "SUCCESS",
                "trade_state_desc": "支付成功",
                "trade_type": "NATIVE",
                "transaction_id": order.transaction_id,
                "bank_type": "OTHERS",
                "success_time": rfc3339(order.paid_at),
                "payer": { "openid": order.openid },
            }),
        };
        if let (Some(answer), Value::Object(more)) = (answer.as_object_mut(), more) {
            answer.extend(more);
        }
        Ok(answer)
    }

    /// Closes an order that is not paid.
    pub(super) fn close(&mut self, out_trade_no: &str) -> Result<(), ApiError> {
        let entry = self.by_out_trade_no.get_mut(out_trade_no).ok_or_else(not_found)?;
        if matches!(entry.state, PaymentState::Paid(_)) {
            return Err(ApiError::new(400, "ORDERPAID", "the order is paid"));
        }
        entry.state = PaymentState::Closed;
        Ok(())
    }
}

fn not_found() -> ApiError {
    ApiError::new(404, "ORDER_NOT_EXIST", "no order has this out_trade_no")
}

fn check(merchant: &Merchant, order: &NativeOrder) -> Result<(), ApiError> {
    if order.mchid != merchant.mchid {
        return Err(ApiError::new(400, "MCH_NOT_EXISTS", "mchid is not known here"));
    }
    if order.appid != merchant.appid {
        return Err(ApiError::new(400, "APPID_MCHID_NOT_MATCH", "appid does not belong to mchid"));
    }
    let is_number_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '|' | '*');
    if !(6..=32).contains(&order.out_trade_no.len()) || !order.out_trade_no.chars().all(is_number_char) {
        return Err(ApiError::param("out_trade_no must be 6 to 32 letters, digits or _-|*"));
    }
    if order.description.is_empty() || order.description.len() > 127 {
        return Err(ApiError::param("description must have 1 to 127 bytes"));
    }
    if order.attach.len() > 128 {
        return Err(ApiError::param("attach must have at most 128 bytes"));
    }
    if order.amount.total < 1 || order.amount.currency.as_deref().is_some_and(|currency| currency != "CNY") {
        return Err(ApiError::param("amount must be at least 1 fen, in CNY"));
    }
    // In life it must also be https.
    if order.notify_url.as_ref().is_some_and(|url| !url.starts_with("http") || url.contains('?')) {
        return Err(ApiError::param("notify_url must be a URL without a query"));
    }
    Ok(())
}
