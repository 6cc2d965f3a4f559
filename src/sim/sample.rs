//! Realistic events of each kind (protocol 1.10, 1.11), made from an order.

use serde_json::{Value, json};

use super::keys::Merchant;
use super::notify::{Event, china_time};

/// What events are about.
#[derive(Clone, Debug)]
pub struct Order {
    /// The merchant's number.
    pub mchid: String,
    /// The app.
    pub appid: String,
    /// The merchant's number of the order.
    pub out_trade_no: String,
    /// WeChat's number of the payment.
    pub transaction_id: String,
    /// In fen.
    pub total: i64,
    /// The merchant's own words.
    pub attach: String,
    /// The payer.
    pub openid: String,
    /// When it was paid.
    pub unix: i64,
}

impl Order {
    /// An order of 100 fen with random numbers.
    pub fn new(merchant: &Merchant, unix: i64) -> Self {
        let random = super::random_text(20).unwrap_or_default();
        Self {
            mchid: merchant.mchid.clone(),
            appid: merchant.appid.clone(),
            out_trade_no: format!("SIM{random}"),
            transaction_id: format!("4200{unix}{}", random.to_uppercase().get(..14).unwrap_or_default()),
            total: 100,
            attach: String::new(),
            openid: "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".to_owned(),
            unix,
        }
    }
}

/// One kind of event.
#[derive(Clone, Copy)]
pub struct Sample {
    /// Its name on the command line.
    pub name: &'static str,
    event_type: &'static str,
    original_type: &'static str,
    summary: &'static str,
    resource: fn(&Order) -> Value,
}

/// Every kind.
pub const ALL: &[Sample] = &[
    sample("payment-native", "TRANSACTION.SUCCESS", "transaction", "支付成功", |order| payment(order, "NATIVE")),
    sample("payment-jsapi", "TRANSACTION.SUCCESS", "transaction", "支付成功", |order| payment(order, "JSAPI")),
    sample("payment-partner", "TRANSACTION.SUCCESS", "transaction", "支付成功", partner),
    sample("payment-combined", "TRANSACTION.SUCCESS", "transaction", "支付成功", combined),
    sample("refund", "REFUND.SUCCESS", "refund", "退款成功", refund),
    sample("refund-abnormal", "REFUND.ABNORMAL", "refund", "退款异常", |order| {
        let mut resource = refund(order);
        resource["refund_status"] = json!("ABNORMAL");
        resource
    }),
    sample("transfer", "MCHTRANSFER.BILL.FINISHED", "mch_payment", "商家转账单据终态通知", transfer),
    sample("payscore", "PAYSCORE.USER_PAID", "payscore", "支付成功", payscore),
    sample(
        "complaint",
        "COMPLAINT.CREATE",
        "complaint",
        "产生新投诉",
        |order| json!({ "complaint_id": format!("2000{}", order.transaction_id), "action_type": "CREATE_COMPLAINT" }),
    ),
];

const fn sample(
    name: &'static str,
    event_type: &'static str,
    original_type: &'static str,
    summary: &'static str,
    resource: fn(&Order) -> Value,
) -> Sample {
    Sample { name, event_type, original_type, summary, resource }
}

/// The sample of this name.
pub fn find(name: &str) -> Option<&'static Sample> {
    ALL.iter().find(|sample| sample.name == name)
}

impl Sample {
    /// An event of this kind about `order`, with a new id.
    pub fn event(&self, order: &Order) -> Event {
        Event {
            id: format!("EV-{}", super::random_text(32).unwrap_or_else(|| order.out_trade_no.clone())),
            create_time: china_time(order.unix),
            event_type: self.event_type.to_owned(),
            original_type: self.original_type.to_owned(),
            summary: self.summary.to_owned(),
            resource: (self.resource)(order).to_string(),
        }
    }
}

fn amount(order: &Order) -> Value {
    json!({ "total": order.total, "payer_total": order.total, "currency": "CNY", "payer_currency": "CNY" })
}

fn payment(order: &Order, trade_type: &str) -> Value {
    json!({
        "mchid": order.mchid,
        "appid": order.appid,
        "out_trade_no": order.out_trade_no,
        "transaction_id": order.transaction_id,
        "trade_type": trade_type,
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "OTHERS",
        "attach": order.attach,
        "success_time": china_time(order.unix),
        "payer": { "openid": order.openid },
        "amount": amount(order),
    })
}

fn partner(order: &Order) -> Value {
    json!({
        "sp_mchid": order.mchid,
        "sp_appid": order.appid,
        "sub_mchid": "1900000109",
        "out_trade_no": order.out_trade_no,
        "transaction_id": order.transaction_id,
        "trade_type": "NATIVE",
        "trade_state": "SUCCESS",
        "success_time": china_time(order.unix),
        "payer": { "sp_openid": order.openid },
        "amount": amount(order),
    })
}

fn combined(order: &Order) -> Value {
    json!({
        "combine_mchid": order.mchid,
        "combine_appid": order.appid,
        "combine_out_trade_no": order.out_trade_no,
        "combine_payer_info": { "openid": order.openid },
        "sub_orders": [{
            "mchid": "1230000109",
            "out_trade_no": format!("{}A", order.out_trade_no),
            "transaction_id": order.transaction_id,
            "trade_type": "NATIVE",
            "trade_state": "SUCCESS",
            "success_time": china_time(order.unix),
            "amount": { "total_amount": order.total, "payer_amount": order.total, "currency": "CNY", "payer_currency": "CNY" },
        }],
    })
}

fn refund(order: &Order) -> Value {
    json!({
        "mchid": order.mchid,
        "out_trade_no": order.out_trade_no,
        "transaction_id": order.transaction_id,
        "out_refund_no": format!("R{}", order.out_trade_no),
        "refund_id": format!("50{}", order.transaction_id),
        "refund_status": "SUCCESS",
        "success_time": china_time(order.unix),
        "user_received_account": "支付用户零钱",
        "amount": { "total": order.total, "refund": order.total, "payer_total": order.total, "payer_refund": order.total },
    })
}

fn transfer(order: &Order) -> Value {
    json!({
        "mch_id": order.mchid,
        "out_bill_no": order.out_trade_no,
        "transfer_bill_no": order.transaction_id,
        "state": "SUCCESS",
        "transfer_amount": order.total,
        "openid": order.openid,
        "create_time": china_time(order.unix),
        "update_time": china_time(order.unix),
    })
}

fn payscore(order: &Order) -> Value {
    json!({
        "mchid": order.mchid,
        "appid": order.appid,
        "service_id": "500001",
        "out_order_no": order.out_trade_no,
        "order_id": order.transaction_id,
        "state": "DONE",
        "openid": order.openid,
        "total_amount": order.total,
        "collection": { "state": "USER_PAID", "total_amount": order.total },
    })
}

#[cfg(test)]
mod tests {
    use super::super::keys::Keys;
    use super::*;

    #[test]
    fn names_are_unique_and_each_event_is_its_own() {
        let names: std::collections::HashSet<_> = ALL.iter().map(|sample| sample.name).collect();
        assert_eq!(names.len(), ALL.len());
        let order = Order::new(&Keys::bundled().merchant, 1_700_000_000);
        for sample in ALL {
            assert_ne!(sample.event(&order).id, sample.event(&order).id);
            assert!(serde_json::from_str::<Value>(&sample.event(&order).resource).unwrap().is_object());
        }
    }
}
