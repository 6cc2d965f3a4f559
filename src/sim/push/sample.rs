//! Pushes as WeChat documents them. Source: developers.weixin.qq.com and developer.work.weixin.qq.com, the pages of each
//! message and event.

use serde_json::{Value, json};

use super::Family;
use crate::sim::sign;

/// An openid.
const USER: &str = "oia2TjjewbmiOUlr6X-1crbLOvLw";
/// An original id.
const ACCOUNT: &str = "gh_7f083739789a";

/// A kind of push.
#[derive(Clone, Copy)]
pub struct Sample {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Whose pushes it belongs to.
    pub family: Family,
    content: fn(i64) -> Value,
}

impl Sample {
    /// The content of one made at `unix` seconds, with new ids.
    pub fn content(&self, unix: i64) -> Value {
        (self.content)(unix)
    }
}

/// The sample of a name.
pub fn find(family: Family, name: &str) -> Option<&'static Sample> {
    ALL.iter().find(|sample| sample.family == family && sample.name == name)
}

const fn message(name: &'static str, content: fn(i64) -> Value) -> Sample {
    Sample { name, family: Family::Message, content }
}

const fn open(name: &'static str, content: fn(i64) -> Value) -> Sample {
    Sample { name, family: Family::OpenPlatform, content }
}

const fn wecom(name: &'static str, content: fn(i64) -> Value) -> Sample {
    Sample { name, family: Family::WeCom, content }
}

/// All samples.
pub const ALL: &[Sample] = &[
    message("text", |at| chat(at, "text", json!({"Content": "你好，世界 😀 <b>&amp;</b> ]]>"}))),
    message("image", |at| chat(at, "image", json!({"PicUrl": "https://mmbiz.qpic.cn/a", "MediaId": "media"}))),
    message("voice", |at| chat(at, "voice", json!({"MediaId": "media", "Format": "amr", "MediaId16K": "media16"}))),
    message("video", |at| chat(at, "video", json!({"MediaId": "media", "ThumbMediaId": "thumb"}))),
    message("shortvideo", |at| chat(at, "shortvideo", json!({"MediaId": "media", "ThumbMediaId": "thumb"}))),
    message("location", |at| {
        chat(at, "location", json!({"Location_X": "23.134", "Location_Y": "113.358", "Scale": 20, "Label": "广州"}))
    }),
    message("link", |at| {
        chat(at, "link", json!({"Title": "t", "Description": "d", "Url": "https://example.com/?a=1&b=2"}))
    }),
    message("subscribe", |at| event(at, "subscribe", json!({"EventKey": ""}))),
    message("subscribe-by-code", |at| {
        event(at, "subscribe", json!({"EventKey": "qrscene_123123", "Ticket": "TICKET"}))
    }),
    message("unsubscribe", |at| event(at, "unsubscribe", json!({"EventKey": ""}))),
    message("SCAN", |at| event(at, "SCAN", json!({"EventKey": "123123", "Ticket": "TICKET"}))),
    message("LOCATION", |at| {
        event(at, "LOCATION", json!({"Latitude": "23.137466", "Longitude": "113.352425", "Precision": "119.385040"}))
    }),
    message("CLICK", |at| event(at, "CLICK", json!({"EventKey": "menu-1"}))),
    message("VIEW", |at| event(at, "VIEW", json!({"EventKey": "https://example.com/?a=1&b=2", "MenuId": "418"}))),
    message("scancode_push", |at| {
        event(at, "scancode_push", json!({"EventKey": "6", "ScanCodeInfo": {"ScanType": "qrcode", "ScanResult": "1"}}))
    }),
    message("pic_sysphoto", |at| {
        let list = json!({"item": [{"PicMd5Sum": "1b5f7c23b5bf75682a53e7b6d163e185"}, {"PicMd5Sum": "0"}]});
        event(at, "pic_sysphoto", json!({"EventKey": "6", "SendPicsInfo": {"Count": 2, "PicList": list}}))
    }),
    message("TEMPLATESENDJOBFINISH", |at| {
        event(at, "TEMPLATESENDJOBFINISH", json!({"MsgID": number(), "Status": "success"}))
    }),
    message("user_enter_tempsession", |at| event(at, "user_enter_tempsession", json!({"SessionFrom": "page"}))),
    message("wxa_media_check", |at| {
        let result = json!({"suggest": "pass", "label": 100});
        event(at, "wxa_media_check", json!({"trace_id": sign::random_text::<24>(), "errcode": 0, "result": result}))
    }),
    message("xpay_goods_deliver_notify", goods_delivered),
    message("xpay_goods_deliver_notify-game", |at| {
        let game = json!({"Payload": "{\"Env\":0}", "PayEventSig": "0".repeat(64), "IsMock": true});
        joined(goods_delivered(at), json!({"MiniGame": game}))
    }),
    message("xpay_coin_pay_notify", |at| {
        event(at, "xpay_coin_pay_notify", json!({"OpenId": USER, "OutTradeNo": order(), "Env": 0, "RetryTimes": 0}))
    }),
    message("xpay_refund_notify", |at| {
        let refund = json!({"OpenId": USER, "MchRefundId": order(), "WxRefundId": digits(), "MchOrderId": order(),
            "RefundFee": 600, "RetCode": 0, "Env": 0, "RetryTimes": 0});
        event(at, "xpay_refund_notify", refund)
    }),
    message("xpay_complaint_notify", |at| {
        event(at, "xpay_complaint_notify", json!({"OpenId": USER, "ComplaintId": digits(), "RetryTimes": 0}))
    }),
    message("xpay_subscribe_ios_refund_query_notify", |at| {
        event(
            at,
            "xpay_subscribe_ios_refund_query_notify",
            json!({"OpenId": USER, "OutTradeNo": order(), "RetryTimes": 0}),
        )
    }),
    open("component_verify_ticket", |at| {
        let ticket = format!("ticket@@@{}", sign::random_text::<40>());
        authorization(at, "component_verify_ticket", json!({"ComponentVerifyTicket": ticket}))
    }),
    open("authorized", |at| authorized(at, "authorized")),
    open("updateauthorized", |at| authorized(at, "updateauthorized")),
    open("unauthorized", |at| authorization(at, "unauthorized", json!({"AuthorizerAppid": "wxf8b4f85f3a794e77"}))),
    open("notify_third_fasteregister", |at| {
        authorization(at, "notify_third_fasteregister", json!({"appid": "wxf8b4f85f3a794e77", "status": 0}))
    }),
    open("text", |at| chat(at, "text", json!({"Content": "你好"}))),
    wecom("text", |at| corp(at, json!({"MsgType": "text", "Content": "你好", "MsgId": number()}))),
    wecom("image", |at| {
        corp(at, json!({"MsgType": "image", "PicUrl": "https://example.com/a", "MediaId": "m", "MsgId": number()}))
    }),
    wecom("enter_agent", |at| corp(at, json!({"MsgType": "event", "Event": "enter_agent", "EventKey": ""}))),
    wecom("create_user", |at| {
        let user =
            json!({"MsgType": "event", "Event": "change_contact", "ChangeType": "create_user", "UserID": "lisi"});
        corp(at, user)
    }),
    wecom("change_external_contact", |at| {
        let change = json!({"MsgType": "event", "Event": "change_external_contact",
            "ChangeType": "add_external_contact", "UserID": "zhangsan", "ExternalUserID": sign::random_text::<32>()});
        corp(at, change)
    }),
    wecom("suite_ticket", |at| suite(at, "suite_ticket", json!({"SuiteTicket": sign::random_text::<32>()}))),
    wecom("create_auth", |at| suite(at, "create_auth", json!({"AuthCode": sign::random_text::<32>()}))),
    wecom("change_auth", |at| suite(at, "change_auth", json!({"AuthCorpId": "ww1436e0e65a779aee"}))),
    wecom("cancel_auth", |at| suite(at, "cancel_auth", json!({"AuthCorpId": "ww1436e0e65a779aee"}))),
    wecom("pay", |_| {
        json!({"appid": "wxd678efh567hg6787", "mchid": "1230000109", "out_trade_no": order(), "trade_state": "SUCCESS",
            "amount": {"total": 100, "payer_total": 100, "currency": "CNY"}})
    }),
    wecom("bot-text", |_| {
        json!({"msgid": sign::random_text::<24>(), "aibotid": "bot", "chattype": "single",
            "from": {"userid": "zhangsan"}, "msgtype": "text", "text": {"content": "hello"}})
    }),
];

fn goods_delivered(at: i64) -> Value {
    let paid = json!({"MchOrderNo": digits(), "TransactionId": digits(), "PaidTime": at});
    let goods = json!({"ProductId": "gold_100", "Quantity": 1, "OrigPrice": 600, "ActualPrice": 600, "Attach": ""});
    let rest = json!({"OpenId": USER, "OutTradeNo": order(), "Env": 0, "WeChatPayInfo": paid, "GoodsInfo": goods,
        "RetryTimes": 0});
    event(at, "xpay_goods_deliver_notify", rest)
}

fn chat(at: i64, kind: &str, rest: Value) -> Value {
    let head =
        json!({"ToUserName": ACCOUNT, "FromUserName": USER, "CreateTime": at, "MsgType": kind, "MsgId": number()});
    joined(head, rest)
}

fn event(at: i64, name: &str, rest: Value) -> Value {
    let head =
        json!({"ToUserName": ACCOUNT, "FromUserName": USER, "CreateTime": at, "MsgType": "event", "Event": name});
    joined(head, rest)
}

fn authorized(at: i64, kind: &str) -> Value {
    let rest = json!({"AuthorizerAppid": "wxf8b4f85f3a794e77", "AuthorizationCode": "queryauthcode@@@yy",
        "AuthorizationCodeExpiredTime": at.saturating_add(3600), "PreAuthCode": "preauthcode@@@x"});
    authorization(at, kind, rest)
}

fn authorization(at: i64, kind: &str, rest: Value) -> Value {
    joined(json!({"AppId": "wx134c8103faa5a59e", "CreateTime": at, "InfoType": kind}), rest)
}

fn corp(at: i64, rest: Value) -> Value {
    let head =
        json!({"ToUserName": "ww1436e0e65a779aee", "FromUserName": "zhangsan", "CreateTime": at, "AgentID": 218});
    joined(head, rest)
}

fn suite(at: i64, kind: &str, rest: Value) -> Value {
    joined(json!({"SuiteId": "ww4asffe9xxx4c0f4c", "InfoType": kind, "TimeStamp": at}), rest)
}

/// The members of both.
pub(super) fn joined(mut head: Value, rest: Value) -> Value {
    if let (Some(head), Value::Object(rest)) = (head.as_object_mut(), rest) {
        head.extend(rest);
    }
    head
}

/// A message's number, of 17 digits.
fn number() -> u64 {
    sign::random_digits::<16>().parse().unwrap_or(0_u64).saturating_add(10_000_000_000_000_000)
}

fn digits() -> String {
    sign::random_digits::<20>()
}

fn order() -> String {
    format!("T{}", sign::random_digits::<16>())
}
