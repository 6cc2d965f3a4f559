//! What rules, upstreams and audit see of a callback: one event, whatever protocol it came by.

use bytes::Bytes;

use crate::clock::UnixTime;

/// An event as WeChat told it, decrypted. That an `Event` exists says nothing about trust: the stage types do. Fields
/// that an event of its kind does not have, or has in another form, are none: what counts is always in `body`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Event {
    /// WeChat's own id of the notification; the same in every retry. At most 128 bytes.
    pub id: String,
    /// The CloudEvents type, for one `wechatpay.transaction.success`.
    pub kind: String,
    /// When WeChat made the event, if it said so in a form that we know.
    pub time: Option<UnixTime>,
    /// The merchant's own number of what this is about: out_trade_no, out_refund_no, out_bill_no, …
    pub subject: Option<String>,
    /// The merchant: mchid, sp_mchid, combine_mchid or mch_id.
    pub mchid: Option<String>,
    /// The app: appid, sp_appid or combine_appid.
    pub appid: Option<String>,
    /// The merchant served by a partner.
    pub sub_mchid: Option<String>,
    /// The merchant's number of the order.
    pub out_trade_no: Option<String>,
    /// The merchant's number of the refund.
    pub out_refund_no: Option<String>,
    /// WeChat's number of the payment.
    pub transaction_id: Option<String>,
    /// WeChat's number of the refund.
    pub refund_id: Option<String>,
    /// `trade_state`, `refund_status`, `batch_status` or `state`: how it ended.
    pub state: Option<String>,
    /// `JSAPI`, `NATIVE`, …
    pub trade_type: Option<String>,
    /// The payer's openid with the merchant or its service provider.
    pub payer: Option<String>,
    /// The merchant's own words.
    pub attach: Option<String>,
    /// When the payment or refund succeeded.
    pub success_time: Option<UnixTime>,
    /// `amount.total` (of combined orders and transfers: their own name of it) in fen.
    pub amount_total: Option<i64>,
    /// `amount.payer_total` in fen.
    pub amount_payer_total: Option<i64>,
    /// `amount.refund` in fen.
    pub amount_refund: Option<i64>,
    /// `amount.currency`.
    pub currency: Option<String>,
    /// The decrypted JSON, byte for byte as WeChat encrypted it.
    pub body: Bytes,
}
