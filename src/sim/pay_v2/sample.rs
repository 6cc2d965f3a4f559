//! Notices of v2 as WeChat documents them, made for an order.

use super::{Members, Notice, owned};
use crate::sim::sample::Order;

/// A kind of notice.
#[derive(Clone, Copy)]
pub struct Sample {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it tells.
    pub about: &'static str,
    notice: fn(&Order) -> Notice,
}

impl Sample {
    /// The notice for `order`.
    pub fn notice(&self, order: &Order) -> Notice {
        (self.notice)(order)
    }
}

/// The sample of a name.
pub fn find(name: &str) -> Option<&'static Sample> {
    ALL.iter().find(|sample| sample.name == name)
}

/// All samples.
pub const ALL: &[Sample] = &[
    Sample { name: "v2-payment-native", about: "an order paid by scanning its code", notice: |o| payment(o, "NATIVE") },
    Sample {
        name: "v2-payment-jsapi",
        about: "an order paid inside WeChat, with a coupon",
        notice: |order| {
            let coupon = [("coupon_fee", "1"), ("coupon_count", "1"), ("coupon_type_0", "CASH"), ("coupon_fee_0", "1")];
            let paid = payment(order, "JSAPI").with("cash_fee", &order.total.saturating_sub(1).to_string());
            coupon.into_iter().fold(paid, |notice, (name, value)| notice.with(name, value))
        },
    },
    Sample {
        name: "v2-payment-error",
        about: "a payment that failed",
        notice: |order| {
            let failed = payment(order, "MICROPAY").with("result_code", "FAIL");
            failed.with("err_code", "SYSTEMERROR").with("err_code_des", "系统错误")
        },
    },
    Sample { name: "v2-payment-combined", about: "several orders paid as one", notice: combined },
    Sample {
        name: "v2-refund-success",
        about: "a refund that reached the payer",
        notice: |order| refund(order, "SUCCESS").with("success_time", &beijing(order.paid_at, "%Y-%m-%d %H:%M:%S")),
    },
    Sample { name: "v2-refund-change", about: "a refund that needs a person", notice: |o| refund(o, "CHANGE") },
    Sample { name: "v2-refund-closed", about: "a refund that was closed", notice: |o| refund(o, "REFUNDCLOSE") },
    Sample { name: "v2-contract-signed", about: "a contract of repeated deductions", notice: contract },
];

fn payment(order: &Order, trade_type: &str) -> Notice {
    let total = order.total.to_string();
    Notice::Signed(owned(&[
        ("appid", &order.appid),
        ("attach", &order.attach),
        ("bank_type", "CFT"),
        ("fee_type", "CNY"),
        ("is_subscribe", "Y"),
        ("mch_id", &order.mchid),
        ("openid", &order.openid),
        ("out_trade_no", &order.out_trade_no),
        ("result_code", "SUCCESS"),
        ("return_code", "SUCCESS"),
        ("time_end", &beijing(order.paid_at, "%Y%m%d%H%M%S")),
        ("total_fee", &total),
        ("cash_fee", &total),
        ("trade_type", trade_type),
        ("transaction_id", &order.transaction_id),
    ]))
}

fn combined(order: &Order) -> Notice {
    // The parts belong to other merchants: that is what combining is for.
    let list = serde_json::json!({ "order_num": 1, "order_list": [{
        "appid": order.appid, "mch_id": "1900000109", "openid": order.openid, "total_fee": order.total,
        "cash_fee": order.total, "transaction_id": order.transaction_id,
        "out_trade_no": format!("{}-1", order.out_trade_no), "time_end": beijing(order.paid_at, "%Y%m%d%H%M%S"),
    }] });
    Notice::Signed(owned(&[
        ("return_code", "SUCCESS"),
        ("result_code", "SUCCESS"),
        ("combine_appid", &order.appid),
        ("combine_mch_id", &order.mchid),
        ("combine_openid", &order.openid),
        ("combine_out_trade_no", &order.out_trade_no),
        ("trade_type", "MWEB"),
        ("bank_type", "CMC"),
        ("sub_order_list", &list.to_string()),
    ]))
}

fn refund(order: &Order, refund_status: &str) -> Notice {
    let total = order.total.to_string();
    let members: Members = owned(&[
        ("out_refund_no", &format!("R{}", order.out_trade_no)),
        ("out_trade_no", &order.out_trade_no),
        ("refund_account", "REFUND_SOURCE_RECHARGE_FUNDS"),
        ("refund_fee", &total),
        ("refund_id", &format!("50000{}", order.transaction_id)),
        ("refund_recv_accout", "支付用户零钱"),
        ("refund_request_source", "API"),
        ("refund_status", refund_status),
        ("settlement_refund_fee", &total),
        ("settlement_total_fee", &total),
        ("total_fee", &total),
        ("transaction_id", &order.transaction_id),
    ]);
    Notice::Encrypted(members)
}

fn contract(order: &Order) -> Notice {
    Notice::Signed(owned(&[
        ("return_code", "SUCCESS"),
        ("result_code", "SUCCESS"),
        ("mch_id", &order.mchid),
        ("contract_code", &order.out_trade_no),
        ("plan_id", "123"),
        ("openid", &order.openid),
        ("change_type", "ADD"),
        ("operate_time", &beijing(order.paid_at, "%Y-%m-%d %H:%M:%S")),
        ("contract_id", &order.transaction_id),
    ]))
}

/// Beijing time.
fn beijing(unix: i64, form: &str) -> String {
    let at = jiff::Timestamp::from_second(unix).unwrap_or_default();
    jiff::tz::offset(8).to_datetime(at).strftime(form).to_string()
}
