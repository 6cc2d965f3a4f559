//! Events that tests begin with, one of each kind, and the fields that a test gives instead.

use jiff::Timestamp;

use crate::clock::UnixTime;
use crate::event::Event;
use crate::risk::ask::Order;
use crate::risk::code::Code;
use crate::risk::file::table::duration;
use crate::risk::file::yaml::{Kind as NodeKind, Node, Scalar};
use crate::risk::problem::{Findings, did_you_mean, quoted};
use crate::risk::schema::{FIELDS, Facts, Family, FieldId, Kind, OwnedFact, Type, field};

/// When a test happens that does not say when: 2026-03-01, noon in Beijing.
pub(super) const NOON: UnixTime = UnixTime::from_secs(1_772_337_600);
const HINT: &str = "`wxgate rules schema` lists the fields";

/// A value that a test gives to a field.
#[derive(Clone, Debug)]
pub(super) struct Given {
    field: FieldId,
    value: OwnedFact,
}

impl Given {
    /// Puts the value where expressions find it.
    pub(super) fn set<'e>(&'e self, facts: &mut Facts<'e>) {
        facts.set(self.field, self.value.as_fact());
    }
}

/// The kind of event that a test is about, unless it says so.
pub(super) fn default_kind(family: Family) -> Kind {
    match family {
        Family::PayV3 | Family::PayV2 | Family::Any => Kind::Transaction,
        Family::Message | Family::OpenPlatform | Family::Wecom => Kind::Message,
    }
}

/// An event of that kind in which everything went well.
pub(super) fn event(kind: Kind, at: UnixTime) -> Event {
    let text = |text: &str| Some(text.to_owned());
    let base =
        Event { id: "EV-2026030100000001".to_owned(), time: Some(at), mchid: text("1900000001"), ..Event::default() };
    let order = Event { out_trade_no: text("ORDER-1"), subject: text("ORDER-1"), ..base.clone() };
    let paid = Event {
        kind: "wechatpay.transaction.success".to_owned(),
        appid: text("wx0000000000000001"),
        transaction_id: text("4200000000202603010000000001"),
        trade_state: text("SUCCESS"),
        trade_type: text("JSAPI"),
        bank_type: text("OTHERS"),
        payer: text("oTestPayer000000000000000001"),
        success_time: Some(at),
        amount_total: Some(100),
        amount_payer_total: Some(100),
        currency: text("CNY"),
        ..order.clone()
    };
    match kind {
        Kind::Transaction => paid,
        Kind::Combined => Event { is_combined: true, amount_total: None, amount_payer_total: None, ..paid },
        Kind::Refund => Event {
            kind: "wechatpay.refund.success".to_owned(),
            subject: text("REFUND-1"),
            out_refund_no: text("REFUND-1"),
            refund_id: text("50000000002026030100000001"),
            transaction_id: paid.transaction_id,
            refund_status: text("SUCCESS"),
            success_time: Some(at),
            amount_total: Some(100),
            amount_payer_total: Some(100),
            amount_refund: Some(100),
            amount_payer_refund: Some(100),
            ..order
        },
        Kind::Transfer => Event {
            kind: "wechatpay.mchtransfer.bill.finished".to_owned(),
            subject: text("BILL-1"),
            out_bill_no: text("BILL-1"),
            transfer_bill_no: text("1330000000000000000000000001"),
            state: text("SUCCESS"),
            openid: text("oTestPayee000000000000000001"),
            amount_transfer: Some(100),
            ..base
        },
        Kind::Payscore => Event { kind: "wechatpay.payscore.user_paid".to_owned(), state: text("DONE"), ..order },
        Kind::Message => Event {
            kind: "wechat.message.text".to_owned(),
            mchid: None,
            appid: text("wx0000000000000001"),
            openid: text("oTestSender00000000000000001"),
            ..base
        },
        Kind::Other => Event { kind: "wechatpay.other".to_owned(), ..base },
    }
}

/// The kind that `event: { kind: … }` of a test says.
pub(super) fn kind(node: Option<&Node>, family: Family, findings: &mut Findings<'_>) -> Option<Kind> {
    let Some(Node { kind: NodeKind::Mapping(entries), .. }) = node else { return Some(default_kind(family)) };
    let Some((_, value)) = entries.iter().find(|(key, _)| key.name == "kind") else {
        return Some(default_kind(family));
    };
    let name = value.as_scalar().map_or("", |scalar| scalar.text.as_str());
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    if kind.is_none() {
        let names = Kind::ALL.map(Kind::name);
        let remedy = did_you_mean(name, names, &format!("one of {}", names.join(", ")));
        findings.add(Code::TestSetup, value.at, format!("there is no kind of event {}", quoted(name)), remedy);
    }
    kind
}

/// The fields that a mapping of a test gives, below `path`.
pub(super) fn fields(path: &str, node: &Node, findings: &mut Findings<'_>) -> Vec<Given> {
    let mut given = Vec::new();
    if let NodeKind::Mapping(entries) = &node.kind {
        for (key, value) in entries {
            walk(&format!("{path}.{}", key.name), key.at, value, &mut given, findings);
        }
    } else {
        findings.add(
            Code::WrongKind,
            node.at,
            format!("`{path}` of a test is a mapping"),
            "`event: { amount: { total: 100 } }`",
        );
    }
    given
}

fn walk(path: &str, at: crate::risk::files::Spot, node: &Node, given: &mut Vec<Given>, findings: &mut Findings<'_>) {
    if path == "event.kind" {
        return;
    }
    if let Some(field) = field(path) {
        if let Some(value) = value(field.field().ty, node) {
            given.push(Given { field, value });
        } else {
            let message = format!("`{path}` of a test is not {}", wanted(field.field().ty));
            findings.add(
                Code::TestSetup,
                node.at,
                message,
                "write it as WeChat does: fen in digits, times as RFC 3339",
            );
        }
        return;
    }
    if let NodeKind::Mapping(entries) = &node.kind {
        for (key, value) in entries {
            walk(&format!("{path}.{}", key.name), key.at, value, given, findings);
        }
        return;
    }
    let remedy = did_you_mean(path, FIELDS.iter().map(|field| field.path), HINT);
    findings.add(Code::TestSetup, at, format!("there is no field {}", quoted(path)), remedy);
}

fn wanted(ty: Type) -> &'static str {
    match ty {
        Type::Fen => "an amount in fen",
        Type::Time => "a moment like \"2026-03-01T12:00:00+08:00\"",
        Type::Duration => "a duration like 10m",
        Type::Ip => "an address",
        Type::List(_) => "a sequence of texts",
        Type::Bool => "`true` or `false`",
        Type::Int | Type::Text | Type::Date | Type::Cidr | Type::Enum(_) | Type::Ratio | Type::Group => ty.name(),
    }
}

fn value(ty: Type, node: &Node) -> Option<OwnedFact> {
    if let NodeKind::Sequence(items) = &node.kind {
        let texts = items.iter().map(|item| Some(item.as_scalar()?.text.clone()));
        return matches!(ty, Type::List(_))
            .then(|| texts.collect::<Option<_>>().map(|texts| OwnedFact::Texts(Some(texts))))
            .flatten();
    }
    let scalar = node.as_scalar()?;
    if scalar.is_null() {
        return Some(OwnedFact::Absent);
    }
    let text = &scalar.text;
    match ty {
        Type::Fen | Type::Int => scalar.as_int().map(OwnedFact::Int),
        Type::Text => Some(OwnedFact::Text(text.clone())),
        Type::Enum(of) => Some(OwnedFact::Member(of.code(text), text.clone())),
        Type::Ip => text.parse().ok().map(OwnedFact::Ip),
        Type::Time => moment(text).map(|at| OwnedFact::Int(at.millis())),
        Type::Duration => duration(text).and_then(|span| i64::try_from(span.as_millis()).ok()).map(OwnedFact::Int),
        Type::Bool => text.parse().ok().map(|truth: bool| OwnedFact::Int(i64::from(truth))),
        Type::Date | Type::Cidr | Type::Ratio | Type::List(_) | Type::Group => None,
    }
}

/// A moment as RFC 3339 writes it.
pub(super) fn moment(text: &str) -> Option<UnixTime> {
    text.parse::<Timestamp>().ok().map(|at| UnixTime::from_millis(at.as_millisecond()))
}

/// The order that a test registers: one of a yuan, with what the test says instead.
pub(super) fn order(node: &Node, at: UnixTime, findings: &mut Findings<'_>) -> Option<Order> {
    let two_hours = std::time::Duration::from_hours(2);
    let mut order = Order {
        amount_total: 100,
        currency: "CNY".to_owned(),
        payer_openid: None,
        client_ip: None,
        registered_at: at.minus(std::time::Duration::from_mins(1)),
        expires_at: at.plus(two_hours),
    };
    let NodeKind::Mapping(entries) = &node.kind else {
        findings.add(Code::WrongKind, node.at, "`order` of a test is a mapping", "`order: { amount_total: 100 }`");
        return None;
    };
    let names = ["amount_total", "currency", "payer_openid", "client_ip", "registered_at", "expires_at"];
    for (key, value) in entries {
        let Some(scalar) = value.as_scalar() else { continue };
        if set_order(&mut order, &key.name, scalar).is_none() {
            let remedy = did_you_mean(
                &key.name,
                names,
                "an order has amount_total, currency, payer_openid, client_ip, \
                                                         registered_at and expires_at",
            );
            let message = format!("`order.{}` cannot be {}", key.name, quoted(&scalar.text));
            findings.add(Code::TestSetup, key.at, message, remedy);
        }
    }
    Some(order)
}

fn set_order(order: &mut Order, key: &str, scalar: &Scalar) -> Option<()> {
    let text = || scalar.text.clone();
    match key {
        "amount_total" => order.amount_total = scalar.as_int()?,
        "currency" => order.currency = text(),
        "payer_openid" => order.payer_openid = Some(text()),
        "client_ip" => order.client_ip = Some(text()),
        "registered_at" => order.registered_at = moment(&scalar.text)?,
        "expires_at" => order.expires_at = moment(&scalar.text)?,
        _ => return None,
    }
    Some(())
}
