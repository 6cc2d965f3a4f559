//! Anything as rules: by the first byte a file, what stands in a rule set, or a condition. What loads judges an event.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use wxgate::clock::UnixTime;
use wxgate::event::Event;
use wxgate::risk::ask::Answers;
use wxgate::risk::schema::{Around, Facts};
use wxgate::risk::{Files, Policy, load};
use wxgate_fuzz::{Room, within};

const NOW: UnixTime = UnixTime::from_secs(1_760_000_000);
const HEAD: &str = "apiVersion: wxgate.rules/v1\nkind: RuleSet\nname: shop\nversion: 3\nschema: pay-v3\n";

/// What a condition may name beside fields.
const AROUND: &str = "macros:
  - { name: paid, expr: 'event.kind == Kind.TRANSACTION && event.trade_state == TradeState.SUCCESS' }
  - { name: refunded, expr: 'event.kind == Kind.REFUND && event.refund_status == RefundStatus.SUCCESS' }
lists:
  - { name: ours, type: string, source: { inline: [\"1900000001\", openid] }, empty: error }
  - { name: ranges, type: cidr, source: { inline: [127.0.0.0/8, \"::1/128\"] }, empty: error }
  - { name: told, type: string, source: { dynamic: true }, empty: allow }
counters:
  - { name: pays, count: events, when: paid, key: [ event.mchid, event.payer.openid ], window: 10m }
  - { name: sums, sum: event.amount.total, when: paid, key: [ event.mchid ], window: 1d }
  - { name: orders, distinct: event.out_trade_no, when: paid, key: [ event.mchid ], window: 1h }
  - { name: seen, first_seen: true, when: paid, key: [ event.payer.openid ], window: 30d }
";

libfuzzer_sys::fuzz_target!(|data: &[u8]| within(Room::TEXTS, data, rules));

fn rules(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = match choice % 3 {
        0 => text.to_owned(),
        1 => format!("{HEAD}{text}"),
        _ => {
            let when = text.replace('\n', "\n      ");
            format!(
                "{HEAD}{AROUND}rules:\n  - id: WXP-1001\n    title: t\n    action: flag\n    reason: r\n    mode: shadow\n    \
                 when: |\n      {when}\n"
            )
        }
    };
    match load(&Files::new("").with("shop.yaml", file), NOW) {
        Ok(loaded) => judge(Policy::new(loaded.sets)),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a word");
            problems.iter().for_each(|problem| drop(problem.to_string()));
        }
    }
}

/// With an event that has all that a payment has, and with one that has nothing; nothing is known of either.
fn judge(policy: Policy) {
    let payment = Event {
        id: "EV-1".to_owned(),
        kind: "wechatpay.transaction.success".to_owned(),
        time: Some(NOW),
        mchid: Some("1900000001".to_owned()),
        out_trade_no: Some("订单-1".to_owned()),
        trade_state: Some("SUCCESS".to_owned()),
        trade_type: Some("NATIVE".to_owned()),
        payer: Some("openid".to_owned()),
        attach: Some("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!".to_owned()),
        success_time: Some(NOW),
        amount_total: Some(i64::MAX),
        amount_refund: Some(i64::MIN),
        currency: Some("CNY".to_owned()),
        ..Event::default()
    };
    for event in [payment, Event::default()] {
        let facts = Facts::from_event(&event, &Around::new(NOW, IpAddr::V4(Ipv4Addr::LOCALHOST), "shop"));
        let inquiry = policy.ask(&facts);
        drop(policy.judge(&facts, &inquiry, &Answers::default(), &[]));
    }
}
