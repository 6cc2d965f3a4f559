//! What rules, upstreams and audit see of a callback: one event, whatever protocol it came by.

use bytes::Bytes;

use crate::clock::UnixTime;

/// An event as WeChat told it, decrypted. That an `Event` exists says nothing about trust: the stage types do.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// WeChat's number of the payment.
    pub transaction_id: Option<String>,
    /// `amount.total` in fen, where the resource has one.
    pub amount_total: Option<i64>,
    /// The decrypted JSON, byte for byte as WeChat encrypted it.
    pub body: Bytes,
}
