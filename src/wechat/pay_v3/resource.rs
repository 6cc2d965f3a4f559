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

type Text<'de> = Option<Cow<'de, str>>;

/// The fields found in a resource.
#[derive(Default)]
pub(super) struct Resource<'de> {
    mchids: [Text<'de>; MCHIDS.len()],
    appids: [Text<'de>; APPIDS.len()],
    subjects: [Text<'de>; SUBJECTS.len()],
    sub_mchid: Text<'de>,
    transaction_id: Text<'de>,
    refund_id: Text<'de>,
    state: Text<'de>,
    trade_type: Text<'de>,
    payer: Text<'de>,
    attach: Text<'de>,
    success_time: Text<'de>,
    currency: Text<'de>,
    total: Option<i64>,
    payer_total: Option<i64>,
    refund: Option<i64>,
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
            At::In("payer" | "combine_payer_info", "openid" | "sp_openid") => Some(&mut self.payer),
            At::In("amount", "currency") => Some(&mut self.currency),
            At::In(..) | At::Elsewhere => None,
        };
        if let Some(slot) = slot {
            *slot = Some(value);
        }
    }

    fn integer(&mut self, at: At<'_>, value: i64) {
        match at {
            At::In("amount", "total") | At::Top("amount" | "transfer_amount" | "total_amount") => {
                self.total = Some(value);
            }
            At::In("amount", "payer_total") => self.payer_total = Some(value),
            At::In("amount", "refund") => self.refund = Some(value),
            At::Top(_) | At::In(..) | At::Elsewhere => {}
        }
    }
}

impl<'de> Resource<'de> {
    fn slot(&mut self, name: &str) -> Option<&mut Text<'de>> {
        match name {
            "sub_mchid" => Some(&mut self.sub_mchid),
            "transaction_id" => Some(&mut self.transaction_id),
            "refund_id" => Some(&mut self.refund_id),
            "trade_state" | "refund_status" | "batch_status" | "state" => Some(&mut self.state),
            "trade_type" => Some(&mut self.trade_type),
            "openid" => Some(&mut self.payer),
            "attach" => Some(&mut self.attach),
            "success_time" => Some(&mut self.success_time),
            _ => {
                let Self { mchids, appids, subjects, .. } = self;
                named(&MCHIDS, mchids, name)
                    .or_else(|| named(&APPIDS, appids, name))
                    .or_else(|| named(&SUBJECTS, subjects, name))
            }
        }
    }

    /// Each merchant and app that is named must be one of the endpoint's; what is not named is no error, since some
    /// events name neither (protocol 1.11).
    pub(super) fn belongs_to(&self, mchids: &[String], appids: &[String]) -> Result<(), OpenError> {
        if let Some(field) = stranger(&MCHIDS, &self.mchids, mchids) {
            return Err(OpenError::Mchid { field });
        }
        stranger(&APPIDS, &self.appids, appids).map_or(Ok(()), |field| Err(OpenError::Appid { field }))
    }

    pub(super) fn into_event(self, id: String, kind: String, time: Option<UnixTime>, body: Bytes) -> Event {
        let owned = |text: Text<'de>| text.map(Cow::into_owned);
        let first = |texts: &[Text<'de>]| texts.iter().flatten().next().map(|text| text.clone().into_owned());
        let subject = first(&self.subjects);
        let [out_refund_no, out_trade_no, combined, ..] = self.subjects;
        Event {
            id,
            kind,
            time,
            subject,
            mchid: first(&self.mchids),
            appid: first(&self.appids),
            sub_mchid: owned(self.sub_mchid),
            out_trade_no: owned(out_trade_no.or(combined)),
            out_refund_no: owned(out_refund_no),
            transaction_id: owned(self.transaction_id),
            refund_id: owned(self.refund_id),
            state: owned(self.state),
            trade_type: owned(self.trade_type),
            payer: owned(self.payer),
            attach: owned(self.attach),
            success_time: self.success_time.as_deref().and_then(parse_time),
            amount_total: self.total,
            amount_payer_total: self.payer_total,
            amount_refund: self.refund,
            currency: owned(self.currency),
            body,
        }
    }
}

fn named<'a, 'de>(names: &[&str], slots: &'a mut [Text<'de>], name: &str) -> Option<&'a mut Text<'de>> {
    names.iter().zip(slots).find(|(known, _)| **known == name).map(|(_, slot)| slot)
}

/// The first member that names somebody who is not expected; an empty expectation expects anybody.
fn stranger(names: &[&'static str], found: &[Text<'_>], expected: &[String]) -> Option<&'static str> {
    if expected.is_empty() {
        return None;
    }
    let is_stranger = |value: &Text<'_>| value.as_ref().is_some_and(|value| !expected.iter().any(|e| *e == **value));
    names.iter().zip(found).find(|(_, value)| is_stranger(value)).map(|(name, _)| *name)
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
            r#"{"out_trade_no":"o","out_refund_no":"r","amount":{"total":5,"refund":2},"refund_status":"SUCCESS"}"#,
        );
        assert_eq!((refund.subject.as_deref(), refund.amount_refund), (Some("r"), Some(2)));
        assert_eq!((refund.out_trade_no.as_deref(), refund.state.as_deref()), (Some("o"), Some("SUCCESS")));
        let combined = read(br#"{"combine_mchid":"1","sub_orders":[{"mchid":"2"}]}"#).unwrap();
        assert!(combined.belongs_to(&["1".to_owned()], &[]).is_ok());
        assert!(combined.belongs_to(&["2".to_owned()], &[]).is_err());
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
