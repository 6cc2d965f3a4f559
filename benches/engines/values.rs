//! The event, its order and its counters: one of each, for every engine.

use wxgate::clock::UnixTime;
use wxgate::event::Event;
use wxgate::risk::ask::Order;

/// 2026-03-01 12:00:00 in Shanghai.
pub const NOON: UnixTime = UnixTime::from_millis(1_772_337_600_000);
const MEMBERS: usize = 100;
const OPENID: &str = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o";

pub const PAYS_10M: i64 = 3;
pub const FEN_1D: i64 = 400_000;
pub const TX_BY_ORDER: i64 = 1;

pub fn event() -> Event {
    Event {
        id: "EV-2018022511223320873".into(),
        kind: "wechatpay.transaction.success".into(),
        time: Some(NOON),
        mchid: Some("1900000001".into()),
        appid: Some("wxd678efh567hg6787".into()),
        out_trade_no: Some("1217752501201407033233368018".into()),
        transaction_id: Some("1217752501201407033233368018".into()),
        trade_state: Some("SUCCESS".into()),
        trade_type: Some("JSAPI".into()),
        bank_type: Some("CMC".into()),
        payer: Some(OPENID.into()),
        attach: Some("shop:beijing:12".into()),
        success_time: Some(NOON),
        amount_total: Some(200_000),
        amount_payer_total: Some(200_000),
        currency: Some("CNY".into()),
        ..Event::default()
    }
}

pub fn order() -> Order {
    Order { amount_total: 200_000, currency: "CNY".into(), ..Order::default() }
}

/// Counted openids, the one of the event among them, so that the list's rules look at the amount as well.
pub fn blocked() -> Vec<String> {
    let others = (1..MEMBERS).map(|n| format!("oUpF8uMuAJO_M2pxb1Q9zNjW{n:04}"));
    others.chain([OPENID.to_owned()]).collect()
}
