//! What v2 notifications say: which members must be there and in which form, who is meant, and the event that comes of it.
//!
//! The signed string has no escapes: `attach=x&bank_type=CFT` signs the same as one field and as two (protocol 2.2). So
//! what was captured can be written again with members hidden in the value before them. Members that must be there cannot
//! be hidden; those that may be there are looked for in the one place where they could be.

use bytes::Bytes;

use super::OpenError;
use super::fields::Fields;
use crate::clock::UnixTime;
use crate::event::Event;

/// Longest text that goes into an event's field, in bytes. The longest that WeChat documents is attach, 127 characters.
const MAX_TEXT: usize = 1024;

/// A member and the form that it must have.
type Form = (&'static str, fn(&str) -> bool);

const PAYMENT: [Form; 7] = [
    ("appid", is_id),
    ("mch_id", is_id),
    ("nonce_str", is_plain),
    ("result_code", is_result),
    ("out_trade_no", is_plain),
    ("transaction_id", is_id),
    ("total_fee", is_amount),
];
const COMBINED: [Form; 6] = [
    ("combine_appid", is_id),
    ("combine_mch_id", is_id),
    ("nonce_str", is_plain),
    ("result_code", is_result),
    ("combine_out_trade_no", is_plain),
    ("sub_order_list", |_| true),
];
const CONTRACT: [Form; 4] = [
    ("mch_id", is_id),
    ("contract_id", is_id),
    ("change_type", |text| matches!(text, "ADD" | "DELETE")),
    ("result_code", is_result),
];
const REFUND_ENVELOPE: [Form; 2] = [("appid", is_id), ("mch_id", is_id)];
const REFUND: [Form; 7] = [
    ("transaction_id", is_id),
    ("out_trade_no", is_plain),
    ("refund_id", is_id),
    ("out_refund_no", is_plain),
    ("total_fee", is_amount),
    ("refund_fee", is_amount),
    ("refund_status", is_id),
];
/// Members of a refund that may be absent. Blocks that were cut together rarely leave them in their form.
const REFUND_OPTIONAL: [Form; 6] = [
    ("settlement_total_fee", is_amount),
    ("settlement_refund_fee", is_amount),
    ("cash_refund_fee", is_amount),
    ("refund_account", is_id),
    ("refund_request_source", is_id),
    ("success_time", |text| china_time(text).is_some()),
];
/// Members that may be absent, and so could be hidden.
const OPTIONAL: [&str; 17] = [
    "bank_type",
    "cash_fee",
    "cash_fee_type",
    "coupon_count",
    "coupon_fee",
    "device_info",
    "err_code",
    "err_code_des",
    "fee_type",
    "is_subscribe",
    "openid",
    "settlement_total_fee",
    "sign_type",
    "sub_appid",
    "sub_mch_id",
    "time_end",
    "trade_type",
];

/// A notification that is signed: of a payment, a combined payment or a contract.
pub(super) fn signed_event(fields: &Fields, body: Bytes) -> Result<Event, OpenError> {
    let event = if fields.has("combine_out_trade_no") {
        combined(fields, body)
    } else if fields.has("change_type") {
        contract(fields, body)
    } else {
        payment(fields, body)
    }?;
    nothing_is_hidden(fields)?;
    Ok(event)
}

fn payment(fields: &Fields, body: Bytes) -> Result<Event, OpenError> {
    require(fields, &PAYMENT)?;
    let (result, kind, trade_state) = outcome(fields);
    let text = |name| text(fields, name);
    let time = fields.get("time_end").and_then(china_time);
    Ok(Event {
        id: id(fields, "transaction_id", result),
        kind: kind.to_owned(),
        time,
        subject: text("out_trade_no"),
        mchid: text("mch_id"),
        appid: text("appid"),
        sub_mchid: text("sub_mch_id"),
        out_trade_no: text("out_trade_no"),
        transaction_id: text("transaction_id"),
        trade_state: Some(trade_state.to_owned()),
        trade_type: text("trade_type"),
        bank_type: text("bank_type"),
        payer: text("openid").or_else(|| text("sub_openid")),
        attach: text("attach"),
        success_time: time.filter(|_| result == "SUCCESS"),
        amount_total: amount(fields, "total_fee"),
        amount_payer_total: amount(fields, "cash_fee"),
        currency: text("fee_type").or_else(|| Some("CNY".to_owned())),
        ..said(fields, body)
    })
}

/// Several orders paid as one: an amount for each of them, inside `sub_order_list`.
fn combined(fields: &Fields, body: Bytes) -> Result<Event, OpenError> {
    require(fields, &COMBINED)?;
    let (result, kind, trade_state) = outcome(fields);
    let text = |name| text(fields, name);
    Ok(Event {
        id: id(fields, "combine_out_trade_no", result),
        kind: kind.to_owned(),
        subject: text("combine_out_trade_no"),
        mchid: text("combine_mch_id"),
        appid: text("combine_appid"),
        is_combined: true,
        out_trade_no: text("combine_out_trade_no"),
        trade_state: Some(trade_state.to_owned()),
        trade_type: text("trade_type"),
        bank_type: text("bank_type"),
        payer: text("combine_openid"),
        ..said(fields, body)
    })
}

/// A contract of repeated deductions (papay), signed or ended.
fn contract(fields: &Fields, body: Bytes) -> Result<Event, OpenError> {
    require(fields, &CONTRACT)?;
    let text = |name| text(fields, name);
    let change = fields.get("change_type").unwrap_or_default();
    let kind = if change == "ADD" { "wechatpay.entrust.sign" } else { "wechatpay.entrust.terminate" };
    Ok(Event {
        id: id(fields, "contract_id", change),
        kind: kind.to_owned(),
        time: fields.get("operate_time").and_then(china_time),
        subject: text("contract_code").or_else(|| text("contract_id")),
        mchid: text("mch_id"),
        appid: text("appid"),
        sub_mchid: text("sub_mch_id"),
        state: text("change_type"),
        openid: text("openid"),
        ..said(fields, body)
    })
}

/// What a refund's `req_info` says. `envelope` is what stood around it, of which nothing is authentic: the merchant and
/// app there are taken because they must be the endpoint's own, and nothing else is.
pub(super) fn refund_event(envelope: &Fields, fields: &Fields, body: Bytes) -> Result<Event, OpenError> {
    require(envelope, &REFUND_ENVELOPE)?;
    require(fields, &REFUND)?;
    for (name, has_form) in REFUND_OPTIONAL {
        if fields.get(name).is_some_and(|value| !has_form(value)) {
            return Err(OpenError::Form(name));
        }
    }
    let (total, refund) = (amount(fields, "total_fee"), amount(fields, "refund_fee"));
    if refund > total {
        return Err(OpenError::Form("refund_fee"));
    }
    let status = fields.get("refund_status").unwrap_or_default();
    // The words of APIv3 for the same, so that one rule holds for both.
    let (kind, refund_status) = match status {
        "SUCCESS" => ("wechatpay.refund.success", "SUCCESS"),
        "CHANGE" => ("wechatpay.refund.abnormal", "ABNORMAL"),
        "REFUNDCLOSE" => ("wechatpay.refund.closed", "CLOSED"),
        other => ("wechatpay.refund.other", other),
    };
    let text = |name| text(fields, name);
    let time = fields.get("success_time").and_then(china_time);
    Ok(Event {
        id: id(fields, "refund_id", status),
        kind: kind.to_owned(),
        time,
        subject: text("out_refund_no"),
        mchid: envelope.get("mch_id").map(str::to_owned),
        appid: envelope.get("appid").map(str::to_owned),
        out_trade_no: text("out_trade_no"),
        out_refund_no: text("out_refund_no"),
        transaction_id: text("transaction_id"),
        refund_id: text("refund_id"),
        refund_status: Some(refund_status.to_owned()),
        success_time: time.filter(|_| status == "SUCCESS"),
        amount_total: total,
        amount_refund: refund,
        amount_payer_refund: amount(fields, "cash_refund_fee"),
        ..said(fields, body)
    })
}

/// What every event has. What tells it from another of its id is not its layout.
fn said(fields: &Fields, body: Bytes) -> Event {
    Event { body, fingerprint: Some(fields.fingerprint()), ..Event::default() }
}

/// `result_code`, and the kind and trade state that APIv3 has for it.
fn outcome(fields: &Fields) -> (&str, &'static str, &'static str) {
    match fields.get("result_code") {
        Some(result @ "SUCCESS") => (result, "wechatpay.transaction.success", "SUCCESS"),
        other => (other.unwrap_or_default(), "wechatpay.transaction.fail", "PAYERROR"),
    }
}

/// WeChat's number and what became of it: v2 has no id of the notification. No dot, which separates what is signed for
/// the app.
fn id(fields: &Fields, number: &str, state: &str) -> String {
    format!("{}-{state}", fields.get(number).unwrap_or_default())
}

fn require(fields: &Fields, required: &[Form]) -> Result<(), OpenError> {
    for (name, has_form) in required {
        let value = fields.get(name).ok_or(OpenError::MissingField(name))?;
        if !has_form(value) {
            return Err(OpenError::Form(name));
        }
    }
    Ok(())
}

/// A member that is absent and stands, with its name, at its place in the order inside the value before it.
fn nothing_is_hidden(fields: &Fields) -> Result<(), OpenError> {
    let nexts = fields.signed().skip(1).map(|(name, _)| Some(name)).chain([None]);
    for ((name, value), next) in fields.signed().zip(nexts) {
        if !value.contains('&') {
            continue;
        }
        let fits = |hidden: &&str| *hidden > name && next.is_none_or(|next| *hidden < next);
        let is_inside = |hidden: &&str| value.contains(&format!("&{hidden}="));
        if let Some(hidden) = OPTIONAL.iter().copied().filter(fits).find(is_inside) {
            return Err(OpenError::Hidden(hidden));
        }
    }
    Ok(())
}

/// Ids and words of WeChat's; so short that two of them fit into an event's id.
fn is_id(text: &str) -> bool {
    text.len() < 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// What merchants number orders with, and nonces; no `&`, which could hide a member.
fn is_plain(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'&')
}

fn is_result(text: &str) -> bool {
    matches!(text, "SUCCESS" | "FAIL")
}

fn is_amount(text: &str) -> bool {
    text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit())
}

fn amount(fields: &Fields, name: &str) -> Option<i64> {
    fields.get(name).filter(|text| is_amount(text))?.parse().ok()
}

fn text(fields: &Fields, name: &str) -> Option<String> {
    fields.get(name).filter(|text| text.len() <= MAX_TEXT).map(str::to_owned)
}

/// `yyyyMMddHHmmss` of payments and `yyyy-MM-dd HH:mm:ss` of refunds and contracts, both in China's time.
pub(super) fn china_time(text: &str) -> Option<UnixTime> {
    let is_form = |form: &str| {
        let fits = |(c, form): (u8, u8)| if form == b'0' { c.is_ascii_digit() } else { c == form };
        text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
    };
    let format = match text.len() {
        14 if is_form("00000000000000") => "%Y%m%d%H%M%S",
        19 if is_form("0000-00-00 00:00:00") => "%Y-%m-%d %H:%M:%S",
        _ => return None,
    };
    let local = jiff::civil::DateTime::strptime(format, text).ok()?;
    let stamp = jiff::tz::Offset::constant(8).to_timestamp(local).ok()?;
    Some(UnixTime::from_millis(stamp.as_millisecond()))
}
