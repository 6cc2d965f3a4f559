//! What a push says: its kind, its identity, and the fields that rules and audit see. Read in one pass over the JSON that
//! is forwarded.
//!
//! Only chat messages have an id of WeChat's own. The rest are told apart by what they say (protocol 3.5): the documented
//! sender and second are too coarse, for a user's location and his click arrive in the same one.

use std::borrow::Cow;

use bytes::Bytes;

use super::super::biz_msg_crypt::hex;
use super::super::crypto::Sha256;
use super::super::head;
use super::super::json::{self, At, Take};
use super::document;
use super::refusal::{DocumentError, Format, OpenError};
use super::reply::Acknowledgement;
use crate::clock::UnixTime;
use crate::event::Event;

/// Longest name and id that are taken, in bytes: they go into headers, records and the store.
const MAX_NAME: usize = 128;
/// Longest text that goes into an event's field, in bytes.
const MAX_TEXT: usize = 1024;
/// Bytes of the digest that stand in an id.
const ID_DIGEST: usize = 16;
/// What virtual payment's events begin with.
const VIRTUAL_PAYMENT: &str = "xpay_";
/// A question of virtual payment's, which the app has to answer itself within 3 s (protocol 3.4).
const REFUND_QUESTION: &str = "xpay_subscribe_ios_refund_query_notify";

/// Whose push it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wechat) enum Family {
    /// An official account's or a mini program's.
    Message,
    /// An open platform's, or of an account that it speaks for.
    OpenPlatform,
    /// WeCom's.
    WeCom,
}

/// A push that was read.
#[derive(Debug)]
pub(in crate::wechat) struct Content {
    pub(super) event: Event,
    pub(super) format: Format,
    pub(super) acknowledgement: Acknowledgement,
}

/// What a push may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Account,
    Sender,
    Time,
    Type,
    Name,
    Key,
    MsgId,
    Order,
    Transaction,
    Refund,
    RefundId,
    Sandbox,
    Mock,
    Retries,
    Merchant,
    App,
    State,
    Total,
    PayerTotal,
    Currency,
}

/// Where fields stand: the outer object, empty for the document itself, and the member; of several places of one field the
/// most telling first.
const PLACES: [(Field, &str, &str); 34] = [
    (Field::Account, "", "ToUserName"),
    (Field::Account, "", "AuthorizerAppid"),
    (Field::Account, "", "AuthCorpId"),
    (Field::Account, "", "AppId"),
    (Field::Account, "", "SuiteId"),
    (Field::Sender, "", "FromUserName"),
    (Field::Sender, "", "OpenId"),
    (Field::Sender, "from", "userid"),
    (Field::Time, "", "CreateTime"),
    (Field::Time, "", "TimeStamp"),
    (Field::Type, "", "MsgType"),
    (Field::Type, "", "msgtype"),
    (Field::Name, "", "Event"),
    (Field::Name, "", "InfoType"),
    (Field::Name, "event", "eventtype"),
    (Field::Key, "", "EventKey"),
    (Field::MsgId, "", "MsgId"),
    (Field::MsgId, "", "msgid"),
    (Field::Order, "", "OutTradeNo"),
    (Field::Order, "", "MchOrderId"),
    (Field::Order, "", "out_trade_no"),
    (Field::Transaction, "WeChatPayInfo", "TransactionId"),
    (Field::Transaction, "", "transaction_id"),
    (Field::Refund, "", "MchRefundId"),
    (Field::RefundId, "", "WxRefundId"),
    (Field::Sandbox, "", "Env"),
    (Field::Mock, "MiniGame", "IsMock"),
    (Field::Retries, "", "RetryTimes"),
    (Field::Merchant, "", "mchid"),
    (Field::App, "", "appid"),
    (Field::State, "", "trade_state"),
    (Field::Total, "amount", "total"),
    (Field::PayerTotal, "amount", "payer_total"),
    (Field::Currency, "amount", "currency"),
];

/// The fields of a push, and a digest of all that it says.
struct Fields<'de> {
    found: [Option<Cow<'de, str>>; PLACES.len()],
    /// Whether a name that should be a text is an object or array.
    is_unclear: bool,
    /// Over all texts and whole numbers with their places, but when it was said and how often.
    said: Sha256,
}

impl<'de> Fields<'de> {
    fn read(json: &'de [u8]) -> Result<Self, json::JsonError> {
        let mut fields = Self { found: [const { None }; _], is_unclear: false, said: Sha256::new() };
        json::read(json, &mut fields)?;
        Ok(fields)
    }

    fn slot(&mut self, at: At<'_>) -> Option<(Field, &mut Option<Cow<'de, str>>)> {
        let (parent, name) = place(at)?;
        let stands = |(_, inside, known): &&(Field, &str, &str)| (*inside, *known) == (parent, name);
        let mut slots = PLACES.iter().zip(&mut self.found);
        slots.find(|(place, _)| stands(place)).map(|((field, ..), slot)| (*field, slot))
    }

    /// The value of a field, if it has one that is not empty.
    fn get(&self, field: Field) -> Option<&str> {
        let mut slots = PLACES.iter().zip(&self.found).filter(|((have, ..), _)| *have == field);
        slots.find_map(|(_, slot)| slot.as_deref().filter(|value| !value.is_empty()))
    }

    /// The same, where it is not too long for an event.
    fn owned(&self, field: Field) -> Option<String> {
        self.get(field).filter(|value| value.len() <= MAX_TEXT).map(str::to_owned)
    }

    fn number(&self, field: Field) -> Option<i64> {
        self.get(field)?.parse().ok()
    }

    /// What a push is called: the event's name, else the type of the message.
    fn name(&self) -> &str {
        let is_event = self.get(Field::Type).is_none_or(|kind| kind.eq_ignore_ascii_case("event"));
        let name = self.get(Field::Name).filter(|_| is_event).or_else(|| self.get(Field::Type));
        match name {
            Some(name) => name,
            None if self.get(Field::State).is_some() && self.get(Field::Order).is_some() => "pay",
            // Unknown pushes pass like unknown events: they are authentic.
            None => "other",
        }
    }

    /// The identity, the same in every retry and of nothing else (protocol 3.5).
    fn id(&self, name: &str, said: &[u8; 32]) -> String {
        let account = self.get(Field::Account).or_else(|| self.get(Field::Merchant)).unwrap_or_default();
        let time = self.get(Field::Time).unwrap_or_default();
        let said = hex(said.get(..ID_DIGEST).unwrap_or_default());
        let is_message = self.get(Field::Type).is_some_and(|kind| !kind.eq_ignore_ascii_case("event"));
        match (self.get(Field::MsgId).filter(|_| is_message), self.order(name), self.get(Field::Retries)) {
            (Some(msg_id), _, _) => joined(&[account, msg_id]),
            // A question is a new one each time: only the app can answer it.
            (None, _, Some(retry)) if name == REFUND_QUESTION => joined(&[name, time, retry, &said]),
            (None, Some(order), _) => {
                joined(&[name, account, self.get(Field::Sandbox).or(self.get(Field::State)).unwrap_or_default(), order])
            }
            // What counts its retries may come hours later, with another time.
            (None, None, Some(_)) => joined(&[name, &said]),
            (None, None, None) => joined(&[name, time, &said]),
        }
    }

    /// The number that a payment is known by.
    fn order(&self, name: &str) -> Option<&str> {
        let is_payment = (name.starts_with(VIRTUAL_PAYMENT) && name != REFUND_QUESTION)
            || (self.get(Field::Type).is_none() && self.get(Field::State).is_some());
        let refund = self.get(Field::Refund).or_else(|| self.get(Field::RefundId));
        refund.or_else(|| self.get(Field::Order)).filter(|_| is_payment)
    }

    fn say(&mut self, at: At<'_>, value: &[u8]) {
        let (parent, name) = place(at).unwrap_or(("", ""));
        if matches!((parent, name), ("", "CreateTime" | "TimeStamp" | "RetryTimes")) {
            return;
        }
        for piece in [parent.as_bytes(), name.as_bytes(), value] {
            self.said.update(&u64::try_from(piece.len()).unwrap_or(u64::MAX).to_be_bytes());
            self.said.update(piece);
        }
    }
}

impl<'de> Take<'de> for Fields<'de> {
    fn text(&mut self, at: At<'_>, value: Cow<'de, str>) {
        self.say(at, value.as_bytes());
        if let Some((_, slot)) = self.slot(at) {
            *slot = Some(value);
        }
    }

    fn integer(&mut self, at: At<'_>, value: i64) {
        self.text(at, Cow::Owned(value.to_string()));
    }

    fn large(&mut self, at: At<'_>, value: u64) {
        self.text(at, Cow::Owned(value.to_string()));
    }

    fn flag(&mut self, at: At<'_>, value: bool) {
        self.text(at, Cow::Borrowed(if value { "true" } else { "false" }));
    }

    fn other(&mut self, at: At<'_>) {
        self.say(at, b"");
        if let Some((Field::Account | Field::Sender | Field::Type | Field::Name | Field::MsgId, _)) = self.slot(at) {
            self.is_unclear = true;
        }
    }
}

/// Reads a push. `receive_id` is the id that stood at its end, if it was encrypted.
pub(in crate::wechat) fn read(family: Family, receive_id: Option<&str>, message: Bytes) -> Result<Content, OpenError> {
    let (format, body) = document::to_json(message).map_err(OpenError::Content)?;
    let fields = Fields::read(&body).map_err(|error| OpenError::Content(DocumentError::Json(error)))?;
    let name = fields.name();
    if fields.is_unclear || !is_name(name) {
        return Err(OpenError::BadName(format));
    }
    let said = fields.said.clone().finish();
    let prefix = if family == Family::WeCom { "wecom" } else { "wechat.message" };
    let event = Event {
        id: fields.id(name, &said),
        kind: format!("{prefix}.{}", name.to_lowercase()),
        time: fields.get(Field::Time).and_then(|time| head::seconds(time.as_bytes())).map(UnixTime::from_secs),
        subject: fields.order(name).filter(|order| order.len() <= MAX_TEXT).map(str::to_owned),
        mchid: fields.owned(Field::Merchant),
        appid: receive_id
            .filter(|_| family == Family::Message)
            .map_or_else(|| fields.owned(Field::App), |id| Some(id.to_owned())),
        out_trade_no: fields.owned(Field::Order),
        out_refund_no: fields.owned(Field::Refund),
        transaction_id: fields.owned(Field::Transaction),
        refund_id: fields.owned(Field::RefundId),
        trade_state: fields.owned(Field::State),
        openid: fields.owned(Field::Sender),
        amount_total: fields.number(Field::Total),
        amount_payer_total: fields.number(Field::PayerTotal),
        currency: fields.owned(Field::Currency),
        account: fields.owned(Field::Account),
        msg_type: fields.owned(Field::Type),
        event_name: fields.owned(Field::Name),
        event_key: fields.owned(Field::Key),
        is_test: fields.get(Field::Sandbox) == Some("1") || fields.get(Field::Mock) == Some("true"),
        fingerprint: fields.get(Field::Retries).map(|_| said),
        body: body.clone(),
        ..Event::default()
    };
    let acknowledgement = match family {
        _ if name == REFUND_QUESTION => Acknowledgement::None,
        _ if name.starts_with(VIRTUAL_PAYMENT) => Acknowledgement::ErrCode,
        Family::WeCom if fields.get(Field::Type).is_some() || fields.get(Field::Name).is_none() => {
            Acknowledgement::Empty
        }
        Family::WeCom | Family::Message | Family::OpenPlatform => Acknowledgement::Success,
    };
    Ok(Content { event, format, acknowledgement })
}

/// Outer object and name of a member; of what stands deeper nothing is known.
fn place(at: At<'_>) -> Option<(&str, &str)> {
    match at {
        At::Top(name) => Some(("", name)),
        At::In(parent, name) => Some((parent, name)),
        At::Each(_) | At::OfEach(..) | At::InEach(..) | At::Elsewhere => None,
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME && !text.chars().any(char::is_control)
}

/// One text of several that no others give: joined by colons, or where that is not clear or too long their digest.
fn joined(parts: &[&str]) -> String {
    let text = parts.join(":");
    if is_name(&text) && !parts.iter().any(|part| part.contains(':')) {
        return text;
    }
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part.as_bytes());
    }
    hex(&digest.finish())
}
