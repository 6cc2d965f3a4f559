//! WeCom's vectors, and what is its own: the encrypted check of the URL and the ids that a message may end with.

use crate::event::Event;
use crate::reason::Reason;
use crate::wechat::message::tests::{Case, End, cases, every_vector_holds, judge_case};

fn vectors() -> Vec<Case> {
    cases(include_str!("../../../tests/vectors/wecom.json"))
}

fn event(name: &str) -> Event {
    let case = vectors().into_iter().find(|case| case.name == name).unwrap();
    match judge_case(&case) {
        Ok(End::Authentic(authentic)) => authentic.event().clone(),
        Ok(End::Echo(_)) | Err(_) => panic!("{name}"),
    }
}

#[test]
fn every_vector_gives_its_verdict_reason_event_and_answer() {
    assert!(vectors().len() >= 32);
    every_vector_holds(&vectors());
}

#[test]
fn what_an_event_says_is_what_was_encrypted() {
    let text = event("wecom-text-json");
    assert_eq!((text.kind.as_str(), text.id.as_str()), ("wecom.text", "ww1436e0e65a779aee:4561255354251345929"));
    assert_eq!((text.openid.as_deref(), text.account.as_deref()), (Some("zhangsan"), Some("ww1436e0e65a779aee")));
    assert_eq!(event("wecom-event-enter-agent").kind, "wecom.enter_agent");
    let ticket = event("wecom-suite-ticket");
    assert_eq!((ticket.kind.as_str(), ticket.account.as_deref()), ("wecom.suite_ticket", Some("ww4asffe9xxx4c0f4c")));
    assert!(ticket.time.is_some());
    let paid = event("wecom-external-pay");
    assert_eq!((paid.kind.as_str(), paid.subject.as_deref()), ("wecom.pay", Some("1217752501201407033233368018")));
    assert_eq!((paid.amount_total, paid.trade_state.as_deref()), (Some(100), Some("SUCCESS")));
    assert_eq!((paid.mchid.as_deref(), paid.appid.as_deref()), (Some("1230000109"), Some("wxd678efh567hg6787")));
}

/// The id of one callback kind is not taken for that of another, however alike: corp, suite, agent and the empty one.
#[test]
fn each_route_takes_its_own_receive_id() {
    let all = vectors();
    let case = |name: &str| all.iter().find(|case| case.name == name).unwrap();
    for name in ["wecom-post-receiveid-suite-vs-corp", "wecom-powerwechat-fixture-agentid-as-receiveid"] {
        assert_eq!(judge_case(case(name)).err(), Some(Reason::AppidMismatch), "{name}");
    }
    assert!(judge_case(case("wecom-get-echostr-empty-receiveid")).is_ok());
}
