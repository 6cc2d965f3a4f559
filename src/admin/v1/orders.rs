//! Orders over the API: the merchant's app registers what is to be paid when it shows the QR code, so that rules can tell
//! when another amount was paid.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::super::reply::{Problem, Reply, json as reply};
use super::forms::rfc3339;
use super::query::{Query, time};
use super::{Who, audit, from_json, not_found, register_problem, unavailable};
use crate::clock::UnixTime;
use crate::gate::Gate;
use crate::risk::ask::Order;
use crate::store::Registered;

/// How long an order may be paid if the merchant does not say: as long as WeChat's QR code is good.
const USUAL_TIME_TO_PAY: Duration = Duration::from_hours(2);

/// An order as the merchant writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderForm {
    amount_total: i64,
    currency: Option<String>,
    payer_openid: Option<String>,
    client_ip: Option<String>,
    expires_at: Option<TimeForm>,
}

#[derive(Deserialize)]
struct NumberedForm {
    order_no: String,
    #[serde(flatten)]
    order: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchForm {
    orders: Vec<NumberedForm>,
}

/// RFC 3339, or seconds since the epoch.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum TimeForm {
    Seconds(i64),
    Text(String),
}

impl TimeForm {
    pub(super) fn read(&self) -> Result<UnixTime, Problem> {
        let read = match self {
            Self::Seconds(secs) => Some(UnixTime::from_secs(*secs)),
            Self::Text(text) => time(text),
        };
        let message = "a time is RFC 3339, \"2026-01-01T12:00:00+08:00\", or Unix seconds";
        read.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "bad-body", message))
    }
}

impl OrderForm {
    fn read(self, now: UnixTime) -> Result<Order, Problem> {
        if self.amount_total < 0 {
            let message = "`amount_total` is in fen, and not below 0";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "bad-body", message));
        }
        let expires_at = self.expires_at.map(|time| time.read()).transpose()?;
        Ok(Order {
            amount_total: self.amount_total,
            currency: self.currency.unwrap_or_else(|| "CNY".to_owned()),
            payer_openid: self.payer_openid,
            client_ip: self.client_ip,
            registered_at: now,
            expires_at: expires_at.unwrap_or_else(|| now.plus(USUAL_TIME_TO_PAY)),
        })
    }
}

pub(super) async fn put(gate: &Gate, who: Who, endpoint: &str, number: &str, body: &[u8]) -> Result<Reply, Problem> {
    check_endpoint(gate, endpoint)?;
    let order = from_json::<OrderForm>(body)?.read(gate.clock().now())?;
    let registered = gate.store().put_order(endpoint, number, order).await.map_err(register_problem);
    audit(gate, who, "put", &format!("orders/{endpoint}"), number, &registered);
    Ok(reply(StatusCode::OK, &json!({ "order_no": number, "registered": word(registered?) })))
}

/// Many at once: all are looked at before any is registered.
pub(super) async fn put_many(gate: &Gate, who: Who, endpoint: &str, body: &[u8]) -> Result<Reply, Problem> {
    check_endpoint(gate, endpoint)?;
    let now = gate.clock().now();
    let read = |form: NumberedForm| {
        let order = serde_json::to_vec(&form.order).unwrap_or_default();
        Ok((form.order_no, from_json::<OrderForm>(&order)?.read(now)?))
    };
    let orders: Vec<_> = from_json::<BatchForm>(body)?.orders.into_iter().map(read).collect::<Result<_, Problem>>()?;
    let registered = gate.store().put_orders(endpoint, orders).await.map_err(register_problem);
    audit(gate, who, "put", &format!("orders/{endpoint}"), "", &registered);
    let registered = registered?;
    let count = |of: Registered| registered.iter().filter(|one| **one == of).count();
    let form = json!({
        "new": count(Registered::New),
        "unchanged": count(Registered::Unchanged),
        "replaced": count(Registered::Replaced),
    });
    Ok(reply(StatusCode::OK, &form))
}

pub(super) async fn get(gate: &Gate, endpoint: &str, number: &str, asked: Query) -> Result<Reply, Problem> {
    asked.finish()?;
    check_endpoint(gate, endpoint)?;
    let order = gate.store().order(endpoint, number).await.map_err(unavailable)?;
    let order = order.ok_or_else(|| not_found("no order of this number is registered, or it expired a day ago"))?;
    let form = json!({
        "order_no": number,
        "amount_total": order.amount_total,
        "currency": order.currency,
        "payer_openid": order.payer_openid,
        "client_ip": order.client_ip,
        "registered_at": rfc3339(order.registered_at),
        "expires_at": rfc3339(order.expires_at),
    });
    Ok(reply(StatusCode::OK, &form))
}

/// A slip in the name would register orders that no callback ever asks for.
fn check_endpoint(gate: &Gate, name: &str) -> Result<(), Problem> {
    if gate.routes().named(name).is_some() {
        return Ok(());
    }
    Err(not_found("no endpoint of this name is configured: it is the NAME of `[endpoint.NAME]`"))
}

const fn word(registered: Registered) -> &'static str {
    match registered {
        Registered::New => "new",
        Registered::Unchanged => "unchanged",
        Registered::Replaced => "replaced",
    }
}
