//! What was encrypted: the fields that bind a resource to a merchant and app, and those that rules and audit see
//! (protocol 1.11). Partner and combined orders name the same things differently; here they become one.

use std::borrow::Cow;

use bytes::Bytes;

use super::OpenError;
use crate::clock::UnixTime;
use crate::event::Event;
use crate::wechat::json::{self, At, JsonError, Take};

/// Members that name the merchant: each that is there must be the endpoint's.
const MCHIDS: [&str; 4] = ["mchid", "sp_mchid", "combine_mchid", "mch_id"];
/// Members that name the app.
const APPIDS: [&str; 3] = ["appid", "sp_appid", "combine_appid"];
/// Members that number what an event is about, the most telling first: a refund also names its order.
const SUBJECTS: [&str; 7] = [
    "out_refund_no",
    "out_trade_no",
    "combine_out_trade_no",
    "out_bill_no",
    "out_batch_no",
    "out_order_no",
    "complaint_id",
];
/// Who paid, of several names the first: not the one that happens to stand last.
const PAYERS: [(&str, &str); 4] =
    [("payer", "openid"), ("payer", "sp_openid"), ("combine_payer_info", "openid"), ("payer", "sub_openid")];
/// Longest text that goes into an event's field, in bytes. The longest that WeChat documents is attach, 128 characters.
const MAX_TEXT: usize = 1024;

type Text<'de> = Option<Cow<'de, str>>;

/// The fields found in a resource.
#[derive(Default)]
pub(super) struct Resource<'de> {
    mchids: [Text<'de>; MCHIDS.len()],
    appids: [Text<'de>; APPIDS.len()],
    /// A member that should name a merchant or app, but is neither text nor number.
    unreadable: Option<&'static str>,
    subjects: [Text<'de>; SUBJECTS.len()],
    payers: [Text<'de>; PAYERS.len()],
    sub_mchid: Text<'de>,
    transaction_id: Text<'de>,
    refund_id: Text<'de>,
    transfer_bill_no: Text<'de>,
    trade_state: Text<'de>,
    refund_status: Text<'de>,
    state: Text<'de>,
    batch_status: Text<'de>,
    trade_type: Text<'de>,
    bank_type: Text<'de>,
    openid: Text<'de>,
    attach: Text<'de>,
    success_time: Text<'de>,
    currency: Text<'de>,
    total: Option<i64>,
    bare_amount: Option<i64>,
    payer_total: Option<i64>,
    refund: Option<i64>,
    payer_refund: Option<i64>,
    transfer_amount: Option<i64>,
    total_amount: Option<i64>,
    parts: Parts<'de>,
}

/// The orders of a combined one, as far as they add up.
#[derive(Default)]
struct Parts<'de> {
    orders: usize,
    amounts: usize,
    /// None: it is beyond a whole number.
    sum: Option<i64>,
    currency: Text<'de>,
    currencies_differ: bool,
}

/// Reads the decrypted resource, which must be a strict JSON object.
pub(super) fn read(plaintext: &[u8]) -> Result<Resource<'_>, JsonError> {
    let mut resource = Resource::default();
    json::read(plaintext, &mut resource)?;
    Ok(resource)
}

impl<'de> Take<'de> for Resource<'de> {
    fn text(&mut self, at: At<'_>, value: Cow<'de, str>) {
        let slot = match at {
            At::Top(name) => self.slot(name),
            At::In("amount", "currency") => Some(&mut self.currency),
            At::In(parent, name) => {
                let place = PAYERS.iter().position(|known| *known == (parent, name));
                place.and_then(|place| self.payers.get_mut(place))
            }
            At::InEach("sub_orders", "amount", "currency") => return self.parts.pay_in(value),
            At::Each(_) | At::OfEach(..) | At::InEach(..) | At::Elsewhere => None,
        };
        if let Some(slot) = slot {
            *slot = Some(value);
        }
    }

    fn integer(&mut self, at: At<'_>, value: i64) {
        let slot = match at {
            At::In("amount", "total") => &mut self.total,
            At::In("amount", "payer_total") => &mut self.payer_total,
            At::In("amount", "refund") => &mut self.refund,
            At::In("amount", "payer_refund") => &mut self.payer_refund,
            At::Top("amount") => &mut self.bare_amount,
            At::Top("transfer_amount") => &mut self.transfer_amount,
            At::Top("total_amount") => &mut self.total_amount,
            At::Top(name) => {
                // A merchant's number that comes as a number names the same merchant.
                if let Some(slot) = self.identity(name) {
                    *slot = Some(Cow::Owned(value.to_string()));
                }
                return;
            }
            At::InEach("sub_orders", "amount", "total_amount") => return self.parts.add(value),
            At::In(..) | At::Each(_) | At::OfEach(..) | At::InEach(..) | At::Elsewhere => return,
        };
        *slot = Some(value);
    }

    fn other(&mut self, at: At<'_>) {
        match at {
            At::Top(name) => {
                let known = MCHIDS.iter().chain(&APPIDS).find(|known| **known == name);
                self.unreadable = known.copied().or(self.unreadable);
            }
            At::Each("sub_orders") => self.parts.orders = self.parts.orders.saturating_add(1),
            At::In(..) | At::Each(_) | At::OfEach(..) | At::InEach(..) | At::Elsewhere => {}
        }
    }
}

impl<'de> Parts<'de> {
    fn add(&mut self, amount: i64) {
        let before = if self.amounts == 0 { Some(0) } else { self.sum };
        self.sum = before.and_then(|sum| sum.checked_add(amount));
        self.amounts = self.amounts.saturating_add(1);
    }

    fn pay_in(&mut self, currency: Cow<'de, str>) {
        self.currencies_differ |= self.currency.as_ref().is_some_and(|first| *first != currency);
        self.currency = Some(currency);
    }

    /// What all of them come to; none if one of them does not tell.
    fn total(&self) -> Option<i64> {
        self.sum.filter(|_| self.amounts == self.orders)
    }

    /// In which currency, if they agree.
    fn currency(self) -> Text<'de> {
        self.currency.filter(|_| !self.currencies_differ)
    }
}

impl<'de> Resource<'de> {
    fn slot(&mut self, name: &str) -> Option<&mut Text<'de>> {
        match name {
            "sub_mchid" => Some(&mut self.sub_mchid),
            "transaction_id" => Some(&mut self.transaction_id),
            "refund_id" => Some(&mut self.refund_id),
            "transfer_bill_no" => Some(&mut self.transfer_bill_no),
            "trade_state" => Some(&mut self.trade_state),
            "refund_status" => Some(&mut self.refund_status),
            "state" => Some(&mut self.state),
            "batch_status" => Some(&mut self.batch_status),
            "trade_type" => Some(&mut self.trade_type),
            "bank_type" => Some(&mut self.bank_type),
            "openid" => Some(&mut self.openid),
            "attach" => Some(&mut self.attach),
            "success_time" => Some(&mut self.success_time),
            _ => match SUBJECTS.iter().position(|known| *known == name) {
                Some(place) => self.subjects.get_mut(place),
                None => self.identity(name),
            },
        }
    }

    fn identity(&mut self, name: &str) -> Option<&mut Text<'de>> {
        match MCHIDS.iter().position(|known| *known == name) {
            Some(place) => self.mchids.get_mut(place),
            None => self.appids.get_mut(APPIDS.iter().position(|known| *known == name)?),
        }
    }

    /// Each merchant and app that is named must be one of the endpoint's; what is not named is no error, since some
    /// events name neither (protocol 1.11).
    pub(super) fn belongs_to(&self, mchids: &[String], appids: &[String]) -> Result<(), OpenError> {
        if let Some(field) = self.stranger(&MCHIDS, &self.mchids, mchids) {
            return Err(OpenError::Mchid { field });
        }
        self.stranger(&APPIDS, &self.appids, appids).map_or(Ok(()), |field| Err(OpenError::Appid { field }))
    }

    /// The first member that names somebody who is not expected; an empty expectation expects anybody.
    fn stranger(&self, names: &[&'static str], found: &[Text<'_>], expected: &[String]) -> Option<&'static str> {
        if expected.is_empty() {
            return None;
        }
        let is_stranger = |name: &str, value: &Text<'_>| match value {
            Some(value) => !expected.iter().any(|expected| *expected == **value),
            None => self.unreadable == Some(name),
        };
        names.iter().zip(found).find(|(name, value)| is_stranger(name, value)).map(|(name, _)| *name)
    }

    pub(super) fn into_event(self, id: String, kind: String, time: Option<UnixTime>, body: Bytes) -> Event {
        let subject = self.subjects.iter().flatten().next().cloned();
        let [out_refund_no, out_trade_no, combine_out_trade_no, out_bill_no, ..] = self.subjects;
        Event {
            id,
            kind,
            time,
            subject: owned(subject),
            mchid: owned(first(self.mchids)),
            appid: owned(first(self.appids)),
            sub_mchid: owned(self.sub_mchid),
            is_combined: combine_out_trade_no.is_some(),
            out_trade_no: owned(out_trade_no.or(combine_out_trade_no)),
            out_refund_no: owned(out_refund_no),
            out_bill_no: owned(out_bill_no),
            transaction_id: owned(self.transaction_id),
            refund_id: owned(self.refund_id),
            transfer_bill_no: owned(self.transfer_bill_no),
            trade_state: owned(self.trade_state),
            refund_status: owned(self.refund_status),
            state: owned(self.state.or(self.batch_status)),
            trade_type: owned(self.trade_type),
            bank_type: owned(self.bank_type),
            payer: owned(first(self.payers)),
            openid: owned(self.openid),
            attach: owned(self.attach),
            success_time: self.success_time.as_deref().and_then(parse_time),
            amount_total: self.total.or(self.bare_amount).or(self.parts.total()),
            amount_payer_total: self.payer_total,
            amount_refund: self.refund,
            amount_payer_refund: self.payer_refund,
            amount_transfer: self.transfer_amount.or(self.total_amount),
            currency: owned(self.currency.or(self.parts.currency())),
            body,
            ..Event::default()
        }
    }
}

fn first<const N: usize>(texts: [Text<'_>; N]) -> Text<'_> {
    texts.into_iter().flatten().next()
}

fn owned(text: Text<'_>) -> Option<String> {
    text.filter(|text| text.len() <= MAX_TEXT).map(Cow::into_owned)
}

/// RFC 3339, or the compact `yyyyMMddHHmmss` of some samples, which is in China's time (protocol 1.7).
pub(super) fn parse_time(text: &str) -> Option<UnixTime> {
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Some(UnixTime::from_millis(stamp.as_millisecond()));
    }
    if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| text.get(range);
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let (hour, minute, second) = (part(8..10)?, part(10..12)?, part(12..14)?);
    let stamp: jiff::Timestamp = format!("{year}-{month}-{day}T{hour}:{minute}:{second}+08:00").parse().ok()?;
    Some(UnixTime::from_millis(stamp.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> Event {
        read(json.as_bytes()).unwrap().into_event(String::new(), String::new(), None, Bytes::new())
    }

    #[test]
    fn a_payment_and_a_partners_payment_fill_the_same_fields() {
        let own = event(
            r#"{"mchid":"1","appid":"a","out_trade_no":"o","amount":{"total":5,"payer_total":4,"currency":"CNY"},"payer":{"openid":"p"}}"#,
        );
        let partner = event(
            r#"{"sp_mchid":"1","sp_appid":"a","out_trade_no":"o","amount":{"total":5,"payer_total":4,"currency":"CNY"},"payer":{"sp_openid":"p","sub_openid":"q"}}"#,
        );
        assert_eq!(own, partner);
        assert_eq!((own.amount_total, own.payer.as_deref(), own.subject.as_deref()), (Some(5), Some("p"), Some("o")));
    }

    #[test]
    fn a_refund_is_about_the_refund_and_a_sub_order_names_nobody() {
        let refund = event(
            r#"{"out_trade_no":"o","out_refund_no":"r","amount":{"total":5,"refund":2,"payer_refund":1},"refund_status":"SUCCESS"}"#,
        );
        assert_eq!((refund.subject.as_deref(), refund.amount_refund), (Some("r"), Some(2)));
        assert_eq!((refund.out_trade_no.as_deref(), refund.refund_status.as_deref()), (Some("o"), Some("SUCCESS")));
        assert_eq!(refund.amount_payer_refund, Some(1));
        let combined = read(
            br#"{"combine_mchid":"1","combine_out_trade_no":"c","sub_orders":[{"mchid":"2","amount":{"total":3}}]}"#,
        )
        .unwrap();
        assert!(combined.belongs_to(&["1".to_owned()], &[]).is_ok());
        assert!(combined.belongs_to(&["2".to_owned()], &[]).is_err());
        let combined = combined.into_event(String::new(), String::new(), None, Bytes::new());
        assert!(combined.is_combined && combined.amount_total.is_none());
        assert_eq!(combined.out_trade_no.as_deref(), Some("c"));
    }

    #[test]
    fn a_combined_payment_comes_to_what_its_orders_come_to_if_each_tells() {
        let of = |orders: &str| {
            let combined = event(&format!(r#"{{"combine_out_trade_no":"c","sub_orders":[{orders}]}}"#));
            (combined.amount_total, combined.currency)
        };
        let order = |amount: &str, currency: &str| {
            format!(r#"{{"mchid":"2","amount":{{"total_amount":{amount},"currency":"{currency}"}}}}"#)
        };
        let yuan = Some("CNY".to_owned());
        assert_eq!(of(&order("3", "CNY")), (Some(3), yuan.clone()));
        assert_eq!(of(&[order("3", "CNY"), order("4", "CNY")].join(",")), (Some(7), yuan.clone()));
        assert_eq!(of(&[order("3", "CNY"), order("4", "USD")].join(",")), (Some(7), None), "no currency of all");
        for untold in [r#"{"mchid":"2"}"#, r#"{"amount":{"total":4}}"#, r#"{"amount":{"total_amount":"4"}}"#, "4.5"] {
            assert_eq!(of(&[order("3", "CNY"), untold.to_owned()].join(",")).0, None, "{untold}");
        }
        let beyond = [order("9223372036854775807", "CNY"), order("1", "CNY"), order("1", "CNY")].join(",");
        assert_eq!(of(&beyond).0, None, "no sum begins anew");
        assert_eq!(of("").0, None);
    }

    #[test]
    fn a_transfer_has_its_own_names() {
        let bill = event(
            r#"{"out_bill_no":"b","transfer_bill_no":"w","state":"SUCCESS","mch_id":"1","transfer_amount":200,"openid":"o"}"#,
        );
        assert_eq!((bill.subject.as_deref(), bill.amount_transfer, bill.amount_total), (Some("b"), Some(200), None));
        assert_eq!((bill.state.as_deref(), bill.openid.as_deref(), bill.payer), (Some("SUCCESS"), Some("o"), None));
        assert_eq!((bill.mchid.as_deref(), bill.transfer_bill_no.as_deref()), (Some("1"), Some("w")));
    }

    #[test]
    fn the_order_of_members_changes_nothing() {
        let one = r#"{"payer":{"sp_openid":"p","sub_openid":"q"},"amount":{"total":5},"state":"a","batch_status":"b"}"#;
        let other =
            r#"{"batch_status":"b","state":"a","amount":{"total":5},"payer":{"sub_openid":"q","sp_openid":"p"}}"#;
        assert_eq!(event(one), event(other));
        assert_eq!((event(one).payer.as_deref(), event(one).state.as_deref()), (Some("p"), Some("a")));
    }

    #[test]
    fn a_merchant_is_bound_in_whatever_form_it_is_named() {
        let own = ["1900000001".to_owned()];
        let belongs = |json: &str| read(json.as_bytes()).unwrap().belongs_to(&own, &["wx1".to_owned()]);
        for json in [r#"{"mchid":"1900000001"}"#, r#"{"mchid":1900000001}"#, r#"{"mchid":null}"#, "{}"] {
            assert!(belongs(json).is_ok(), "{json}");
        }
        for json in [
            r#"{"mchid":"1900000002"}"#,
            r#"{"mchid":1900000002}"#,
            r#"{"mchid":1.9e9}"#,
            r#"{"mchid":true}"#,
            r#"{"mchid":["1900000001"]}"#,
            r#"{"mchid":{"mchid":"1900000001"}}"#,
            r#"{"mchid":""}"#,
            r#"{"mchid":" 1900000001"}"#,
            r#"{"mchid":"1900000001","sp_mchid":"1900000002"}"#,
            r#"{"\u006dchid":"1900000002"}"#,
        ] {
            assert!(matches!(belongs(json), Err(OpenError::Mchid { .. })), "{json}");
        }
        assert!(matches!(belongs(r#"{"appid":"WX1"}"#), Err(OpenError::Appid { field: "appid" })));
        assert!(matches!(belongs(r#"{"combine_appid":7}"#), Err(OpenError::Appid { field: "combine_appid" })));
        assert!(read(br#"{"mchid":true}"#).unwrap().belongs_to(&[], &[]).is_ok(), "bound to nobody");
    }

    #[test]
    fn an_amount_is_exact_or_none() {
        let total = |number: &str| event(&format!(r#"{{"amount":{{"total":{number}}}}}"#)).amount_total;
        assert_eq!(total("9007199254740993"), Some(9_007_199_254_740_993));
        assert_eq!(total("9223372036854775807"), Some(i64::MAX));
        assert_eq!(total("-1"), Some(-1));
        for number in ["9223372036854775808", "100.0", "1e2", "\"100\"", "null", "[100]", "{\"total\":1}"] {
            assert_eq!(total(number), None, "{number}");
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_left_to_the_body() {
        let attach = |len: usize| event(&format!(r#"{{"attach":"{}"}}"#, "a".repeat(len))).attach;
        assert_eq!((attach(MAX_TEXT).map(|text| text.len()), attach(MAX_TEXT + 1)), (Some(MAX_TEXT), None));
    }

    #[test]
    fn time_comes_in_two_forms() {
        let moment = Some(UnixTime::from_secs(1_528_425_296));
        assert_eq!(parse_time("2018-06-08T10:34:56+08:00"), moment);
        assert_eq!(parse_time("2018-06-08T10:34:56.000+08:00"), moment);
        assert_eq!(parse_time("20180608103456"), moment);
        assert_eq!(parse_time("yesterday"), None);
    }
}
