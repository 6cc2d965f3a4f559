//! The table of fields. Which kinds surely carry a field follows protocol 1.11; what is only said in prose there, or
//! not by all products that share a type, or not by WeChat Pay v2, is `perhaps`.

use core::net::IpAddr;

use super::Presence::{Always, Optional, With};
use super::{EnumType, Fact, Field, FieldId, Kind, Kinds, Presence, Source, Type};
use crate::event::Event;

const PAID: Kinds = Kinds::of(&[Kind::Transaction]);
const REFUNDED: Kinds = Kinds::of(&[Kind::Refund]);
const COMBINED: Kinds = Kinds::of(&[Kind::Combined]);
const TRANSFER: Kinds = Kinds::of(&[Kind::Transfer]);
const OTHERS: Kinds = Kinds::of(&[Kind::Payscore, Kind::Other]);

const fn perhaps(kinds: Kinds) -> Presence {
    Presence::ByKind { sure: Kinds::NONE, perhaps: kinds }
}

const fn mostly(sure: Kinds, perhaps: Kinds) -> Presence {
    Presence::ByKind { sure, perhaps }
}

type FromEvent = for<'e> fn(&'e Event) -> Fact<'e>;

const fn event(path: &'static str, ty: Type, presence: Presence, take: FromEvent, about: &'static str) -> Field {
    Field { path, ty, presence, masked: false, about, source: Source::Event(take) }
}

const fn masked(field: Field) -> Field {
    Field { masked: true, ..field }
}

const fn around(path: &'static str, ty: Type, presence: Presence, source: Source, about: &'static str) -> Field {
    Field { path, ty, presence, masked: false, about, source }
}

/// How many fields there are.
pub const FIELD_COUNT: usize = 51;

/// Every field, in the order of the reference.
pub static FIELDS: [Field; FIELD_COUNT] = [
    event(
        "event.kind",
        Type::Enum(EnumType::Kind),
        Always,
        |e| {
            let kind = Kind::of(e);
            Fact::Member(kind as u8, kind.name())
        },
        "What the event is about.",
    ),
    event(
        "event.type",
        Type::Text,
        Always,
        |e| Fact::Text(&e.kind),
        "The CloudEvents type, `wechatpay.transaction.success`.",
    ),
    event(
        "event.id",
        Type::Text,
        Always,
        |e| Fact::Text(&e.id),
        "WeChat's id of the notification, the same in every retry.",
    ),
    event("event.create_time", Type::Time, Optional, |e| Fact::time(e.time), "When WeChat made the notification."),
    event(
        "event.subject",
        Type::Text,
        Optional,
        |e| Fact::text(e.subject.as_deref()),
        "The merchant's own number of what this is about.",
    ),
    event(
        "event.mchid",
        Type::Text,
        mostly(PAID.or(COMBINED).or(REFUNDED), TRANSFER.or(OTHERS)),
        |e| Fact::text(e.mchid.as_deref()),
        "The merchant, of a partner's order the service provider.",
    ),
    event(
        "event.appid",
        Type::Text,
        mostly(PAID.or(COMBINED), TRANSFER.or(OTHERS).or(Kinds::PUSH)),
        |e| Fact::text(e.appid.as_deref()),
        "The app; a refund names none.",
    ),
    event(
        "event.sub_mchid",
        Type::Text,
        perhaps(Kinds::PAY),
        |e| Fact::text(e.sub_mchid.as_deref()),
        "The merchant served by a partner.",
    ),
    event(
        "event.out_trade_no",
        Type::Text,
        mostly(PAID.or(COMBINED).or(REFUNDED), OTHERS),
        |e| Fact::text(e.out_trade_no.as_deref()),
        "The merchant's number of the order.",
    ),
    event(
        "event.out_refund_no",
        Type::Text,
        mostly(REFUNDED, OTHERS),
        |e| Fact::text(e.out_refund_no.as_deref()),
        "The merchant's number of the refund.",
    ),
    event(
        "event.out_bill_no",
        Type::Text,
        perhaps(TRANSFER.or(OTHERS)),
        |e| Fact::text(e.out_bill_no.as_deref()),
        "The merchant's number of the transfer.",
    ),
    event(
        "event.transaction_id",
        Type::Text,
        mostly(PAID.or(REFUNDED), OTHERS),
        |e| Fact::text(e.transaction_id.as_deref()),
        "WeChat's number of the payment.",
    ),
    event(
        "event.refund_id",
        Type::Text,
        mostly(REFUNDED, OTHERS),
        |e| Fact::text(e.refund_id.as_deref()),
        "WeChat's number of the refund.",
    ),
    event(
        "event.transfer_bill_no",
        Type::Text,
        perhaps(TRANSFER.or(OTHERS)),
        |e| Fact::text(e.transfer_bill_no.as_deref()),
        "WeChat's number of the transfer.",
    ),
    event(
        "event.trade_state",
        Type::Enum(EnumType::TradeState),
        mostly(PAID, COMBINED.or(OTHERS)),
        |e| Fact::member(EnumType::TradeState, e.trade_state.as_deref()),
        "How the payment ended.",
    ),
    event(
        "event.refund_status",
        Type::Enum(EnumType::RefundStatus),
        mostly(REFUNDED, OTHERS),
        |e| Fact::member(EnumType::RefundStatus, e.refund_status.as_deref()),
        "How the refund ended.",
    ),
    event(
        "event.state",
        Type::Text,
        perhaps(TRANSFER.or(OTHERS)),
        |e| Fact::text(e.state.as_deref()),
        "The state of a transfer, a batch of transfers or a pay score order.",
    ),
    event(
        "event.trade_type",
        Type::Enum(EnumType::TradeType),
        mostly(PAID, COMBINED.or(OTHERS)),
        |e| Fact::member(EnumType::TradeType, e.trade_type.as_deref()),
        "How the user paid.",
    ),
    event(
        "event.bank_type",
        Type::Text,
        perhaps(PAID.or(COMBINED).or(OTHERS)),
        |e| Fact::text(e.bank_type.as_deref()),
        "Bank and kind of card.",
    ),
    masked(event(
        "event.payer.openid",
        Type::Text,
        mostly(PAID, COMBINED.or(OTHERS)),
        |e| Fact::text(e.payer.as_deref()),
        "Who paid.",
    )),
    masked(event(
        "event.openid",
        Type::Text,
        perhaps(TRANSFER.or(OTHERS).or(Kinds::PUSH)),
        |e| Fact::text(e.openid.as_deref()),
        "Whom an event without payer is about; the sender of a message.",
    )),
    event(
        "event.account",
        Type::Text,
        perhaps(Kinds::PUSH),
        |e| Fact::text(e.account.as_deref()),
        "The account that a message was sent to (ToUserName); of an authorisation the authoriser's app id.",
    ),
    event(
        "event.is_test",
        Type::Bool,
        Always,
        |e| Fact::Int(i64::from(e.is_test)),
        "Whether WeChat says that it is a trial: virtual payment's sandbox, or a mocked push. Deliver no goods for it.",
    ),
    event(
        "event.attach",
        Type::Text,
        perhaps(PAID.or(COMBINED).or(OTHERS)),
        |e| Fact::text(e.attach.as_deref()),
        "The merchant's own words, as given with the order.",
    ),
    event(
        "event.success_time",
        Type::Time,
        mostly(PAID, COMBINED.or(REFUNDED).or(OTHERS)),
        |e| Fact::time(e.success_time),
        "When the payment or refund succeeded; of refunds only those that did.",
    ),
    event(
        "event.amount.total",
        Type::Fen,
        mostly(PAID.or(REFUNDED), COMBINED.or(OTHERS)),
        |e| Fact::int(e.amount_total),
        "What the order comes to; of a combined one, its orders together. Combined payments of v2 do not tell it.",
    ),
    event(
        "event.amount.payer_total",
        Type::Fen,
        mostly(PAID, REFUNDED.or(OTHERS)),
        |e| Fact::int(e.amount_payer_total),
        "What the user paid, after coupons; a refund of v2 does not tell it.",
    ),
    event(
        "event.amount.refund",
        Type::Fen,
        mostly(REFUNDED, OTHERS),
        |e| Fact::int(e.amount_refund),
        "What this refund gives back.",
    ),
    event(
        "event.amount.payer_refund",
        Type::Fen,
        perhaps(REFUNDED.or(OTHERS)),
        |e| Fact::int(e.amount_payer_refund),
        "What the user gets back, after coupons; not every refund of v2 tells it.",
    ),
    event(
        "event.amount.transfer",
        Type::Fen,
        perhaps(TRANSFER.or(OTHERS)),
        |e| Fact::int(e.amount_transfer),
        "What a transfer or a batch of them comes to.",
    ),
    event(
        "event.amount.currency",
        Type::Text,
        mostly(PAID, COMBINED.or(REFUNDED).or(OTHERS)),
        |e| Fact::text(e.currency.as_deref()),
        "The currency, `CNY`.",
    ),
    around(
        "order",
        Type::Group,
        Optional,
        Source::Order(|_| Fact::There),
        "The order as the merchant registered it; write `has(order)` first.",
    ),
    around(
        "order.amount_total",
        Type::Fen,
        With("order"),
        Source::Order(|o| Fact::Int(o.amount_total)),
        "What is to be paid.",
    ),
    around(
        "order.currency",
        Type::Text,
        With("order"),
        Source::Order(|o| Fact::Text(&o.currency)),
        "In which currency.",
    ),
    masked(around(
        "order.payer_openid",
        Type::Text,
        Optional,
        Source::Order(|o| Fact::text(o.payer_openid.as_deref())),
        "Who is to pay, if the merchant knows.",
    )),
    around(
        "order.client_ip",
        Type::Ip,
        Optional,
        Source::Order(|o| {
            o.client_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()).map_or(Fact::Absent, Fact::ip)
        }),
        "The address that ordered, if the merchant tells it.",
    ),
    around(
        "order.registered_at",
        Type::Time,
        With("order"),
        Source::Order(|o| Fact::Int(o.registered_at.millis())),
        "When it was registered.",
    ),
    around(
        "order.expires_at",
        Type::Time,
        With("order"),
        Source::Order(|o| Fact::Int(o.expires_at.millis())),
        "Until when it is to be paid.",
    ),
    around(
        "client.ip",
        Type::Ip,
        Always,
        Source::Around(|a| Fact::ip(a.client_ip)),
        "Who sent the callback: the peer, or whom a trusted proxy names.",
    ),
    around(
        "http.method",
        Type::Text,
        Always,
        Source::Around(|a| Fact::Text(a.method)),
        "The request's method. Events come by `POST`.",
    ),
    around(
        "http.path",
        Type::Text,
        Always,
        Source::Around(|a| Fact::Text(a.path)),
        "The request's path, without the query.",
    ),
    around(
        "verify.scheme",
        Type::Text,
        Optional,
        Source::Around(|a| Fact::text(a.scheme)),
        "How the callback was signed: `WECHATPAY2-SHA256-RSA2048`, of v2 `MD5` or `HMAC-SHA256`, of pushes `SHA1`. A refund of v2 is not.",
    ),
    around(
        "verify.serial",
        Type::Text,
        Optional,
        Source::Around(|a| Fact::text(a.serial)),
        "The serial number or id of the key that verified it.",
    ),
    around(
        "verify.skew",
        Type::Duration,
        Optional,
        Source::Around(|a| Fact::int(a.signed_at.map(|at| a.received_at.millis().saturating_sub(at.millis())))),
        "How long before its receipt the callback was signed; negative if after.",
    ),
    around(
        "route.name",
        Type::Text,
        Always,
        Source::Around(|a| Fact::Text(a.route)),
        "The endpoint's name in the configuration.",
    ),
    around(
        "route.allowed_trade_types",
        Type::List(super::Element::Text),
        Always,
        Source::Around(|a| Fact::Texts(a.allowed_trade_types)),
        "Ways to pay that the endpoint allows; one that names none allows all.",
    ),
    around(
        "local.hour",
        Type::Int,
        Always,
        Source::Local(|t| i64::from(t.hour())),
        "The hour of receipt in the rule set's zone, 0 to 23.",
    ),
    around("local.minute", Type::Int, Always, Source::Local(|t| i64::from(t.minute())), "The minute, 0 to 59."),
    around(
        "local.weekday",
        Type::Int,
        Always,
        Source::Local(|t| i64::from(t.weekday().to_monday_one_offset())),
        "The day of the week, 1 for Monday to 7 for Sunday.",
    ),
    around(
        "local.date",
        Type::Date,
        Always,
        Source::Local(|t| {
            let month = i64::from(t.month()).saturating_mul(100);
            i64::from(t.year()).saturating_mul(10_000).saturating_add(month).saturating_add(i64::from(t.day()))
        }),
        "The day of receipt, compared with texts like `\"2026-03-01\"`.",
    ),
    around(
        "now",
        Type::Time,
        Always,
        Source::Around(|a| Fact::Int(a.received_at.millis())),
        "When the callback was received.",
    ),
];

/// The field of that path.
pub fn field(path: &str) -> Option<FieldId> {
    let place = FIELDS.iter().position(|field| field.path == path)?;
    u8::try_from(place).ok().map(FieldId)
}

/// All fields with their places, in the order of the reference.
pub fn fields() -> impl Iterator<Item = (FieldId, &'static Field)> {
    (0_u8..=u8::MAX).map(FieldId).zip(&FIELDS)
}
