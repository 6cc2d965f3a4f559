//! What rules, upstreams and audit see of a callback: one event, whatever protocol it came by.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;

/// An event as WeChat told it, decrypted. That an `Event` exists says nothing about trust: the stage types do.
///
/// A field is none if the event does not have it, or has it in another form than the protocol's (a text beyond 1024
/// bytes, an amount that is no whole number): nothing is lost by that, `body` is always the whole.
///
/// Its serialized form is that of stored rows: fields are added, never renamed. The body is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// WeChat's own id of the notification; the same in every retry. At most 128 bytes.
    pub id: String,
    /// The CloudEvents type, for one `wechatpay.transaction.success`. At most 160 bytes.
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
    /// Whether this is a combined order, which has the `kind` of a plain payment but an amount for each of its orders.
    pub is_combined: bool,
    /// The merchant's number of the order; of a combined one combine_out_trade_no.
    pub out_trade_no: Option<String>,
    /// The merchant's number of the refund.
    pub out_refund_no: Option<String>,
    /// The merchant's number of the transfer.
    pub out_bill_no: Option<String>,
    /// WeChat's number of the payment.
    pub transaction_id: Option<String>,
    /// WeChat's number of the refund.
    pub refund_id: Option<String>,
    /// WeChat's number of the transfer.
    pub transfer_bill_no: Option<String>,
    /// How a payment ended: `SUCCESS`, `PAYERROR`, …
    pub trade_state: Option<String>,
    /// How a refund ended: `SUCCESS`, `ABNORMAL`, `CLOSED`, …
    pub refund_status: Option<String>,
    /// `state` of a transfer or a pay score order, `batch_status` of a batch of transfers.
    pub state: Option<String>,
    /// `JSAPI`, `NATIVE`, …
    pub trade_type: Option<String>,
    /// Bank and kind of card that paid.
    pub bank_type: Option<String>,
    /// Who paid: openid with the merchant, sp_openid with its service provider, or else sub_openid.
    pub payer: Option<String>,
    /// Whom a transfer, a pay score order or another event without payer is about; of a message, who sent it
    /// (FromUserName).
    pub openid: Option<String>,
    /// The merchant's own words.
    pub attach: Option<String>,
    /// When the payment or refund succeeded.
    pub success_time: Option<UnixTime>,
    /// `amount.total` of an order in fen, or `amount` where that is the number itself; of a combined one what its orders come
    /// to together, if each of them tells.
    pub amount_total: Option<i64>,
    /// `amount.payer_total` in fen: after coupons.
    pub amount_payer_total: Option<i64>,
    /// `amount.refund` in fen.
    pub amount_refund: Option<i64>,
    /// `amount.payer_refund` in fen: what the payer gets back.
    pub amount_payer_refund: Option<i64>,
    /// `transfer_amount` of a transfer, `total_amount` of a batch, in fen.
    pub amount_transfer: Option<i64>,
    /// `amount.currency`.
    pub currency: Option<String>,
    /// Message push: the account that it was sent to (ToUserName), of an authorisation the authoriser's app id. It stands
    /// inside the signature, unlike what a URL says.
    pub account: Option<String>,
    /// Message push: `text`, `image`, `event`, …
    pub msg_type: Option<String>,
    /// Message push: the name of an event (Event or InfoType), as WeChat writes it: `subscribe`, `CLICK`, …
    pub event_name: Option<String>,
    /// Message push: EventKey, for one that of a menu.
    pub event_key: Option<String>,
    /// Whether WeChat says that this is a trial: virtual payment's sandbox (Env 1), or a mocked push (IsMock).
    pub is_test: bool,
    /// SHA-256 of what stays the same in every retry, if that is not all of `body`: WeChat Pay v2 has the nonce and the
    /// signature of each try in it, virtual payment counts its retries in RetryTimes.
    pub fingerprint: Option<[u8; 32]>,
    /// The decrypted JSON, byte for byte as WeChat encrypted it; of XML its JSON.
    #[serde(skip)]
    pub body: Bytes,
}
