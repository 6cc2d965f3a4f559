//! What makes two pushes the same event (protocol 3.5), with the cases in which others lost events.

use super::super::content::{self, Family};
use crate::event::Event;

fn event(family: Family, json: &str) -> Event {
    content::read(family, None, json.to_owned().into()).unwrap().event
}

fn id(json: &str) -> String {
    event(Family::Message, json).id
}

fn xml_id(members: &str) -> String {
    event(Family::WeCom, &format!("<xml>{members}</xml>")).id
}

#[test]
fn a_message_is_known_by_its_account_and_number_alone() {
    let one = id(r#"{"ToUserName":"gh_1","FromUserName":"o","CreateTime":1,"MsgType":"text","Content":"a","MsgId":7}"#);
    assert_eq!(one, "gh_1:7");
    assert_eq!(id(r#"{"MsgId":"7","ToUserName":"gh_1","MsgType":"text"}"#), one);
    assert_ne!(id(r#"{"MsgId":"7","ToUserName":"gh_2","MsgType":"text"}"#), one);
    assert_eq!(id(r#"{"MsgId":18446744073709551615,"ToUserName":"g","MsgType":"text"}"#), "g:18446744073709551615");
    assert_eq!(id(r#"{"MsgId":"a-b_c","ToUserName":"g","MsgType":"miniprogrampage"}"#), "g:a-b_c");
}

#[test]
fn events_of_one_user_in_one_second_are_several() {
    let event = |rest: &str| {
        id(&format!(r#"{{"ToUserName":"gh_1","FromUserName":"o","CreateTime":5,"MsgType":"event",{rest}}}"#))
    };
    let all = [
        event(r#""Event":"VIEW","EventKey":"https://example.com/a""#),
        event(r#""Event":"VIEW","EventKey":"https://example.com/b""#),
        event(r#""Event":"LOCATION","Latitude":23,"Longitude":113"#),
        event(r#""Event":"CLICK","EventKey":"a""#),
        event(r#""Event":"wxa_media_check","trace_id":"1""#),
        event(r#""Event":"wxa_media_check","trace_id":"2""#),
        event(r#""Event":"TEMPLATESENDJOBFINISH","MsgID":1,"Status":"success""#),
        event(r#""Event":"TEMPLATESENDJOBFINISH","MsgID":2,"Status":"success""#),
    ];
    for (place, one) in all.iter().enumerate() {
        assert!(one.len() <= 128 && all[place + 1..].iter().all(|other| other != one), "{one}");
    }
}

/// The five threads of one SDK in which sender and second were too coarse.
#[test]
fn what_differs_in_one_member_differs() {
    let change = |rest: &str| {
        let head = "<ToUserName>ww1</ToUserName><FromUserName>sys</FromUserName><CreateTime>5</CreateTime>\
                    <MsgType>event</MsgType><Event>change_external_contact</Event>";
        xml_id(&format!("{head}{rest}"))
    };
    let all = [
        change("<ChangeType>add_external_contact</ChangeType><UserID>a</UserID><ExternalUserID>x</ExternalUserID>"),
        change("<ChangeType>edit_external_contact</ChangeType><UserID>a</UserID><ExternalUserID>x</ExternalUserID>"),
        change("<ChangeType>add_external_contact</ChangeType><UserID>b</UserID><ExternalUserID>x</ExternalUserID>"),
        change("<ChangeType>add_external_contact</ChangeType><UserID>a</UserID><ExternalUserID>y</ExternalUserID>"),
        change("<ChangeType>add_external_contact</ChangeType><UserID>ax</UserID><ExternalUserID/>"),
    ];
    for (place, one) in all.iter().enumerate() {
        assert!(all[place + 1..].iter().all(|other| other != one), "{place}");
    }
    assert_eq!(
        all[0],
        change("<ChangeType>add_external_contact</ChangeType><UserID>a</UserID><ExternalUserID>x</ExternalUserID>")
    );
}

#[test]
fn a_payment_is_known_by_its_order_however_often_it_is_told() {
    let told = |time: u32, retries: u32, price: u32| {
        event(
            Family::Message,
            &format!(
                r#"{{"ToUserName":"g","FromUserName":"o","CreateTime":{time},"MsgType":"event","Event":"xpay_goods_deliver_notify","OutTradeNo":"T1","Env":0,"GoodsInfo":{{"ActualPrice":{price}}},"RetryTimes":{retries}}}"#
            ),
        )
    };
    let (first, again, changed) = (told(1, 0, 600), told(99, 3, 600), told(1, 0, 6));
    assert_eq!(first.id, "xpay_goods_deliver_notify:g:0:T1");
    assert_eq!((&first.id, first.fingerprint), (&again.id, again.fingerprint));
    assert_eq!(first.id, changed.id);
    assert_ne!(first.fingerprint, changed.fingerprint, "the same order with another price is a conflict");
    let sandbox = id(r#"{"ToUserName":"g","Event":"xpay_goods_deliver_notify","OutTradeNo":"T1","Env":1}"#);
    assert_eq!(sandbox, "xpay_goods_deliver_notify:g:1:T1");
    let refund = id(r#"{"ToUserName":"g","Event":"xpay_refund_notify","MchOrderId":"T1","MchRefundId":"R1"}"#);
    assert_eq!(refund, "xpay_refund_notify:g::R1");
}

#[test]
fn a_question_is_new_each_time_it_is_asked() {
    let asked = |retries: u32| {
        id(&format!(
            r#"{{"ToUserName":"g","CreateTime":5,"Event":"xpay_subscribe_ios_refund_query_notify","OutTradeNo":"T1","RetryTimes":{retries}}}"#
        ))
    };
    assert_ne!(asked(0), asked(1));
}

#[test]
fn what_has_no_number_but_counts_its_retries_stays_the_same() {
    let told = |time: u32, retries: u32, complaint: &str| {
        id(&format!(
            r#"{{"ToUserName":"g","CreateTime":{time},"Event":"xpay_complaint_notify","ComplaintId":"{complaint}","RetryTimes":{retries}}}"#
        ))
    };
    assert_eq!(told(1, 0, "c"), told(60, 2, "c"));
    assert_ne!(told(1, 0, "c"), told(1, 0, "d"));
}

#[test]
fn an_authorisation_is_known_without_sender() {
    let told = |authorizer: &str| {
        let json = format!(
            r#"{{"AppId":"wxc","CreateTime":5,"InfoType":"authorized","AuthorizerAppid":"{authorizer}","AuthorizationCode":"q"}}"#
        );
        event(Family::OpenPlatform, &json)
    };
    assert_ne!(told("wxa").id, told("wxb").id);
    assert!(told("wxa").id.starts_with("authorized:5:"));
    assert_eq!(told("wxa").event_name.as_deref(), Some("authorized"));
}

#[test]
fn a_trial_is_marked_as_one() {
    let is_test =
        |rest: &str| event(Family::Message, &format!(r#"{{"Event":"xpay_goods_deliver_notify",{rest}}}"#)).is_test;
    assert!(is_test(r#""Env":1"#) && is_test(r#""Env":"1""#));
    assert!(is_test(r#""MiniGame":{"IsMock":true}"#) && is_test(r#""MiniGame":{"IsMock":"true"}"#));
    assert!(!is_test(r#""Env":0"#) && !is_test(r#""MiniGame":{"IsMock":false}"#));
}

#[test]
fn no_id_can_be_made_of_other_parts_or_be_too_long() {
    let long = "a".repeat(200);
    for number in [long.as_str(), "a:b", "a\\nb"] {
        let id = id(&format!(r#"{{"ToUserName":"g","MsgType":"text","MsgId":"{number}"}}"#));
        assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
    assert_ne!(
        id(r#"{"ToUserName":"g:a","MsgType":"text","MsgId":"b"}"#),
        id(r#"{"ToUserName":"g","MsgType":"text","MsgId":"a:b"}"#)
    );
}
