//! The attacks that only rules can see: every callback is genuine and new, and yet something is wrong. The merchant's app
//! registers an order as it would when it shows the code, over the admin API; the starter rules are those of `rules/`.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::Stage;
use super::site::RISK_PATH;
use crate::sim::notify::unix_now;
use crate::sim::sample::{self, Order};
use crate::sim::{keys::SignedBy, wire};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// What the registered order costs, in fen.
const ORDERED: i64 = 8800;
/// So many payments of one payer within minutes; from the sixth on `payment-risk` holds them.
const PAYMENTS_OF_ONE: usize = 8;
const PASSES: usize = 5;

/// Something that is wrong with genuine callbacks.
#[derive(Debug, Serialize)]
pub(super) struct Act {
    pub(super) name: &'static str,
    pub(super) answers: Vec<u16>,
    pub(super) delivered: usize,
    pub(super) allowed: usize,
    pub(super) held: bool,
    /// What the audit log says about those that were kept: rule and message.
    pub(super) explained: Vec<String>,
    #[serde(skip)]
    subjects: Vec<String>,
    #[serde(skip)]
    kept: usize,
    #[serde(skip)]
    rule: &'static str,
}

/// Plays them one after the other.
pub(super) async fn play(stage: &Stage) -> io::Result<Vec<Act>> {
    let admin = stage.app.admin_address().ok_or(io::ErrorKind::NotConnected)?;
    let paid = |order: Order| async move { pay(stage, &order).await };
    let order = || Order::new(&stage.keys.merchant, unix_now());

    let ordered = Order { out_trade_no: "RISK-88-YUAN".to_owned(), total: ORDERED, ..order() };
    register(admin, &ordered).await?;
    let before = stage.shop.deliveries().len();
    let status = paid(Order { total: 1, ..ordered.clone() }).await?;
    let wrong_amount = Act {
        name: "paid 0.01 for an order of 88.00",
        answers: vec![status],
        delivered: stage.shop.deliveries().len().saturating_sub(before),
        allowed: 0,
        held: false,
        explained: Vec::new(),
        subjects: vec![ordered.out_trade_no],
        kept: 1,
        rule: "WXP-1001",
    };

    let before = stage.shop.deliveries().len();
    let (payer, mut answers, mut subjects) = (order().openid, Vec::new(), Vec::new());
    for number in 0..PAYMENTS_OF_ONE {
        let small =
            Order { out_trade_no: format!("RISK-SMALL-{number}"), openid: payer.clone(), total: 300, ..order() };
        subjects.push(small.out_trade_no.clone());
        answers.push(paid(small).await?);
    }
    let one_payer = Act {
        name: "8 payments of one payer in a moment",
        answers,
        delivered: stage.shop.deliveries().len().saturating_sub(before),
        allowed: PASSES,
        held: false,
        explained: Vec::new(),
        subjects,
        kept: PAYMENTS_OF_ONE.saturating_sub(PASSES),
        rule: "WXP-2001",
    };
    Ok(vec![wrong_amount, one_payer])
}

/// What a merchant's app does when it shows the code.
async fn register(admin: SocketAddr, order: &Order) -> io::Result<()> {
    let body = serde_json::json!({ "amount_total": order.total, "currency": "CNY" }).to_string();
    let request = format!(
        "PUT /v1/orders/shop-risk/{} HTTP/1.1\r\nHost: {admin}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        order.out_trade_no,
        body.len()
    );
    let answer = wire::exchange(admin, request.as_bytes(), ANSWER_WITHIN).await?;
    if answer.status == 200 {
        return Ok(());
    }
    Err(io::Error::other(format!("an order is not registered: {}", String::from_utf8_lossy(&answer.body))))
}

async fn pay(stage: &Stage, order: &Order) -> io::Result<u16> {
    let gateway = *stage.app.addresses().first().ok_or(io::ErrorKind::NotConnected)?;
    let event = sample::find("payment-native").ok_or(io::ErrorKind::NotFound)?.event(order);
    let callback = event.callback(&stage.keys, SignedBy::Certificate, RISK_PATH, unix_now());
    Ok(wire::exchange(gateway, &callback.to_http("demo.test"), ANSWER_WITHIN).await?.status)
}

impl Act {
    /// Reads in the audit log what became of it, and why.
    pub(super) fn judge(&mut self, audit: &Path) {
        let text = std::fs::read_to_string(audit).unwrap_or_default();
        let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ours = |record: &Value| {
            let subject = record.pointer("/event/subject").and_then(Value::as_str);
            subject.is_some_and(|subject| self.subjects.iter().any(|own| own == subject))
        };
        let kept: Vec<Value> =
            records.filter(ours).filter(|record| text_of(record, "/reason") == Some("held")).collect();
        let explained = kept.iter().filter_map(|record| explanation(record, self.rule)).collect::<Vec<_>>();
        let all_are_explained = explained.len() == kept.len();
        self.explained = explained.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let all_answered = self.answers.iter().all(|status| *status == 200);
        self.held = all_answered && all_are_explained && kept.len() == self.kept && self.delivered == self.allowed;
    }
}

fn text_of<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// `WXP-1001: paid ¥0.01, the order says ¥88.00`, if that rule is among those that hit.
fn explanation(record: &Value, rule: &str) -> Option<String> {
    let hits = record.pointer("/verdict/hits")?.as_array()?;
    let hit = hits.iter().find(|hit| text_of(hit, "/rule") == Some(rule))?;
    let words = text_of(hit, "/message").or_else(|| text_of(hit, "/reason")).unwrap_or_default();
    Some(format!("{rule}: {words}"))
}
