//! Events as WeChat documents them, made for an order: what merchants see most.

use serde_json::{Value, json};

use super::keys::Merchant;
use super::notify::Event;
use super::sign;

/// An order that has been paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The merchant's number.
    pub mchid: String,
    /// The merchant's app.
    pub appid: String,
    /// The merchant's own number of the order.
    pub out_trade_no: String,
    /// WeChat's number of the payment.
    pub transaction_id: String,
    /// What was ordered.
    pub description: String,
    /// Handed back as it was given.
    pub attach: String,
    /// In fen.
    pub total: i64,
    /// Who paid.
    pub openid: String,
    /// When, Unix seconds.
    pub paid_at: i64,
}

impl Order {
    /// An order of 1.00 yuan with new numbers.
    pub fn new(merchant: &Merchant, unix: i64) -> Self {
        Self {
            mchid: merchant.mchid.clone(),
            appid: merchant.appid.clone(),
            out_trade_no: format!("T{unix}{}", sign::random_text::<10>()),
            transaction_id: format!("42000{}", sign::random_digits::<23>()),
            description: "sample order".to_owned(),
            attach: "sample".to_owned(),
            total: 100,
            openid: format!("o{}", sign::random_text::<27>()),
            paid_at: unix,
        }
    }
}

/// A kind of event.
#[derive(Clone, Copy)]
pub struct Sample {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it tells.
    pub about: &'static str,
    event_type: &'static str,
    original_type: &'static str,
    summary: &'static str,
    resource: fn(&Order) -> Value,
}

impl Sample {
    /// The event for `order`, under a new id.
    pub fn event(&self, order: &Order) -> Event {
        Event {
            id: event_id(),
            create_time: rfc3339(order.paid_at),
            event_type: self.event_type.to_owned(),
            original_type: self.original_type.to_owned(),
            summary: self.summary.to_owned(),
            associated_data: self.original_type.to_owned(),
            resource: (self.resource)(order).to_string(),
        }
    }
}

/// The sample of a name.
pub fn find(name: &str) -> Option<&'static Sample> {
    ALL.iter().find(|sample| sample.name == name)
}

/// All samples. Source: WeChat Pay APIv3, the notification pages of each product.
pub const ALL: &[Sample] = &[
    Sample {
        name: "payment-native",
        about: "an order paid by scanning its code",
        event_type: "TRANSACTION.SUCCESS",
        original_type: "transaction",
        summary: "支付成功",
        resource: |order| payment(order, "NATIVE", "SUCCESS"),
    },
    Sample {
        name: "payment-jsapi",
        about: "an order paid inside WeChat, with a coupon",
        event_type: "TRANSACTION.SUCCESS",
        original_type: "transaction",
        summary: "支付成功",
        resource: payment_with_coupon,
    },
    Sample {
        name: "payment-error",
        about: "a payment code that did not pay",
        event_type: "TRANSACTION.FAIL",
        original_type: "transaction",
        summary: "支付失败",
        resource: |order| payment(order, "MICROPAY", "PAYERROR"),
    },
    Sample {
        name: "payment-combined",
        about: "several orders paid as one",
        event_type: "TRANSACTION.SUCCESS",
        original_type: "transaction",
        summary: "支付成功",
        resource: combined,
    },
    Sample {
        name: "refund-success",
        about: "a refund that reached the payer",
        event_type: "REFUND.SUCCESS",
        original_type: "refund",
        summary: "退款成功",
        resource: |order| refund(order, "SUCCESS"),
    },
    Sample {
        name: "refund-abnormal",
        about: "a refund that needs a person",
        event_type: "REFUND.ABNORMAL",
        original_type: "refund",
        summary: "退款异常",
        resource: |order| refund(order, "ABNORMAL"),
    },
    Sample {
        name: "refund-closed",
        about: "a refund that was closed",
        event_type: "REFUND.CLOSED",
        original_type: "refund",
        summary: "退款关闭",
        resource: |order| refund(order, "CLOSED"),
    },
    Sample {
        name: "transfer-finished",
        about: "a transfer to a user that is done",
        event_type: "MCHTRANSFER.BILL.FINISHED",
        original_type: "mch_payment",
        summary: "商家转账单据终态通知",
        resource: transfer,
    },
    Sample {
        name: "complaint-created",
        about: "a user complains; no merchant number inside",
        event_type: "COMPLAINT.CREATE",
        original_type: "complaint",
        summary: "产生新投诉",
        resource: |order| json!({ "complaint_id": format!("2002012022112800{}", order.transaction_id), "action_type": "CREATE_COMPLAINT" }),
    },
    Sample {
        name: "unknown-event",
        about: "an event of a type that does not exist yet",
        event_type: "SOMETHING.NEW",
        original_type: "something",
        summary: "新的通知",
        resource: |order| json!({ "mchid": order.mchid, "out_trade_no": order.out_trade_no, "large": 9_007_199_254_740_993_i64 }),
    },
];

fn payment(order: &Order, trade_type: &str, trade_state: &str) -> Value {
    json!({
        "mchid": order.mchid,
        "appid": order.appid,
        "out_trade_no": order.out_trade_no,
        "transaction_id": order.transaction_id,
        "trade_type": trade_type,
        "trade_state": trade_state,
        "trade_state_desc": if trade_state == "SUCCESS" { "支付成功" } else { "支付失败" },
        "bank_type": "OTHERS",
        "attach": order.attach,
        "success_time": rfc3339(order.paid_at),
        "payer": { "openid": order.openid },
        "amount": { "total": order.total, "payer_total": order.total, "currency": "CNY", "payer_currency": "CNY" },
    })
}

fn payment_with_coupon(order: &Order) -> Value {
    let mut resource = payment(order, "JSAPI", "SUCCESS");
    if let Some(members) = resource.as_object_mut() {
        let coupon = json!([{
            "coupon_id": "109519", "name": "单品惠-6", "scope": "SINGLE", "type": "CASH", "amount": 1, "stock_id": "931386",
            "wechatpay_contribute": 0, "merchant_contribute": 1, "other_contribute": 0, "currency": "CNY",
            "goods_detail": [{ "goods_id": "M1006", "quantity": 1, "unit_price": 100, "discount_amount": 1, "goods_remark": "" }],
        }]);
        members.insert("promotion_detail".to_owned(), coupon);
    }
    resource
}

fn combined(order: &Order) -> Value {
    json!({
        "combine_appid": order.appid,
        "combine_mchid": order.mchid,
        "combine_out_trade_no": order.out_trade_no,
        "combine_payer_info": { "openid": order.openid },
        "scene_info": { "device_id": "POS1:1" },
        // The parts belong to other merchants: that is what combining is for.
        "sub_orders": [{
            "mchid": "1900000109", "trade_type": "NATIVE", "trade_state": "SUCCESS", "bank_type": "OTHERS", "attach": "",
            "success_time": rfc3339(order.paid_at), "transaction_id": order.transaction_id,
            "out_trade_no": format!("{}-1", order.out_trade_no),
            "amount": { "total_amount": order.total, "payer_amount": order.total, "currency": "CNY", "payer_currency": "CNY" },
        }],
    })
}

fn refund(order: &Order, refund_status: &str) -> Value {
    let mut resource = json!({
        "mchid": order.mchid,
        "out_trade_no": order.out_trade_no,
        "transaction_id": order.transaction_id,
        "out_refund_no": format!("R{}", order.out_trade_no),
        "refund_id": format!("50000{}", order.transaction_id),
        "refund_status": refund_status,
        "user_received_account": "支付用户零钱",
        "amount": { "total": order.total, "refund": order.total, "payer_total": order.total, "payer_refund": order.total },
    });
    if let (Some(members), "SUCCESS") = (resource.as_object_mut(), refund_status) {
        members.insert("success_time".to_owned(), rfc3339(order.paid_at).into());
    }
    resource
}

fn transfer(order: &Order) -> Value {
    json!({
        "out_bill_no": order.out_trade_no,
        "transfer_bill_no": format!("1330000{}", order.transaction_id),
        "state": "SUCCESS",
        "mch_id": order.mchid,
        "transfer_amount": order.total,
        "openid": order.openid,
        "fail_reason": "",
        "create_time": rfc3339(order.paid_at),
        "update_time": rfc3339(order.paid_at),
    })
}

/// A UUID-shaped id, as WeChat's are.
fn event_id() -> String {
    let hex = sign::hex(&sign::random::<16>());
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

/// Beijing time, as WeChat writes it.
pub(super) fn rfc3339(unix: i64) -> String {
    let at = jiff::Timestamp::from_second(unix).unwrap_or_default();
    jiff::tz::offset(8).to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S+08:00").to_string()
}
