//! Rows as JSON. Who paid, and what the merchant's own words say, is masked unless it is asked for: most questions about a
//! row need neither.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::clock::UnixTime;
use crate::event::Event;
use crate::store::queue::desk::Shown;
use crate::store::queue::{Head, Listed, Page, Queue};

/// Fields of an event that name no person. Any other is masked, so that a new one is too.
const PLAIN: &[&str] = &[
    "id",
    "kind",
    "time",
    "subject",
    "mchid",
    "appid",
    "sub_mchid",
    "is_combined",
    "out_trade_no",
    "out_refund_no",
    "out_bill_no",
    "transaction_id",
    "refund_id",
    "transfer_bill_no",
    "trade_state",
    "refund_status",
    "state",
    "trade_type",
    "bank_type",
    "success_time",
    "amount_total",
    "amount_payer_total",
    "amount_refund",
    "amount_payer_refund",
    "amount_transfer",
    "currency",
    "account",
    "msg_type",
    "event_name",
    "event_key",
    "is_test",
];

/// A page of a list.
#[derive(Serialize)]
pub(super) struct PageForm {
    rows: Vec<HeadForm>,
    next: Option<String>,
}

#[derive(Serialize)]
struct HeadForm {
    id: String,
    queue: &'static str,
    endpoint: String,
    reason: &'static str,
    received_at: String,
    entered_at: String,
    next_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    tries: u32,
    quarantined: bool,
}

impl PageForm {
    pub(super) fn of(page: &Page) -> Self {
        let row = |listed: &Listed| HeadForm::of(&listed.head, listed.is_quarantined);
        Self { rows: page.rows.iter().map(row).collect(), next: page.next.map(|next| next.to_string()) }
    }
}

impl HeadForm {
    fn of(head: &Head, quarantined: bool) -> Self {
        let waits = head.queue == Queue::Pending;
        let has_end = head.queue == Queue::Held && head.entered_at < head.next_at;
        Self {
            id: head.id.to_string(),
            queue: head.queue.name(),
            endpoint: head.endpoint.to_string(),
            reason: head.reason.code(),
            received_at: rfc3339(head.received_at),
            entered_at: rfc3339(head.entered_at),
            next_at: waits.then(|| rfc3339(head.next_at)),
            until: has_end.then(|| rfc3339(head.next_at)),
            tries: head.attempts,
            quarantined,
        }
    }
}

/// A row in full; without `reveal` masked, and without its body.
pub(super) fn shown(shown: &Shown, reveal: bool) -> Value {
    let mut form = json!({
        "row": HeadForm::of(&shown.head, false),
        "event": event(&shown.event, reveal),
        "webhook_id": shown.webhook_id,
        "attempts": shown.attempts,
        "then": shown.expiry.map(|expiry| expiry.then),
        "released_from": shown.released_from.map(Queue::name),
        "signed": { "at": shown.signed_at.map(rfc3339), "by": shown.signed_by, "nonce": shown.nonce },
        "verdict": serde_json::from_str::<Value>(&shown.verdict).unwrap_or(Value::Null),
        "body_bytes": shown.event.body.len(),
        "masked": !reveal,
    });
    if let (true, Some(fields)) = (reveal, form.as_object_mut()) {
        fields.insert("body".to_owned(), Value::String(String::from_utf8_lossy(&shown.event.body).into_owned()));
    }
    form
}

fn event(event: &Event, reveal: bool) -> Map<String, Value> {
    let Ok(Value::Object(fields)) = serde_json::to_value(event) else { return Map::new() };
    let told =
        fields.into_iter().filter(|(name, value)| !value.is_null() && name != "fingerprint").map(|(name, value)| {
            let moment = value.as_i64().filter(|_| matches!(name.as_str(), "time" | "success_time"));
            let value = match moment {
                Some(millis) => Value::String(rfc3339(UnixTime::from_millis(millis))),
                None if reveal || PLAIN.contains(&name.as_str()) => value,
                None => Value::String(masked(&value)),
            };
            (name, value)
        });
    told.collect()
}

/// Enough to compare two by eye, not enough to know one.
fn masked(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let count = text.chars().count();
    let shown: String = text.chars().take(if count >= 12 { 3 } else { 0 }).collect();
    format!("{shown}… ({count} characters)")
}

pub(super) fn rfc3339(time: UnixTime) -> String {
    jiff::Timestamp::from_millisecond(time.millis()).map(|stamp| format!("{stamp:.3}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_paid_is_masked_unless_it_is_asked_for() {
        let told = Event {
            id: "EV-1".to_owned(),
            payer: Some("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".to_owned()),
            attach: Some("short".to_owned()),
            out_trade_no: Some("order-1".to_owned()),
            time: Some(UnixTime::from_secs(1_700_000_000)),
            ..Event::default()
        };
        let masked = event(&told, false);
        assert_eq!(masked["payer"], "oUp… (28 characters)");
        assert_eq!(masked["attach"], "… (5 characters)");
        assert_eq!(masked["out_trade_no"], "order-1");
        assert_eq!(masked["time"], "2023-11-14T22:13:20.000Z");
        assert!(!masked.contains_key("refund_id"));
        assert_eq!(event(&told, true)["payer"], "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o");
    }
}
