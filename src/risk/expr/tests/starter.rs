//! The conditions of the starter rules: each compiles, and means what its rule says.

use super::*;

#[track_caller]
fn fires(world: &World, text: &str, expected: bool) {
    assert_eq!(world.holds(&condition(text)), Ok(expected), "{text}");
}

#[test]
fn paid_amount_differs_from_the_registered_order() {
    let text =
        "paid && has(order) && (event.amount.total != order.amount_total || event.amount.currency != order.currency)";
    let mut world = World { order: Some(order()), ..World::of(payment()) };
    fires(&world, text, false);
    world.event.amount_payer_total = Some(8000);
    fires(&world, text, false);
    world.event.amount_total = Some(8799);
    fires(&world, text, true);
    world.event.currency = Some("USD".into());
    world.event.amount_total = Some(8800);
    fires(&world, text, true);
    world.order = None;
    fires(&world, text, false);
    fires(&World { order: Some(order()), ..World::of(refund()) }, text, false);
}

#[test]
fn merchant_number_or_app_id_is_not_ours() {
    let text = "(has(event.mchid) && !(event.mchid in list.our_mchids)) || (has(event.appid) && !(event.appid in list.our_appids))";
    let mut world = World::of(payment());
    fires(&world, text, false);
    world.event.mchid = Some("1900000002".into());
    fires(&world, text, true);
    fires(&World::of(refund()), text, false);
    // Refunds name no app: without a guard, each of them would be of a foreign merchant.
    let problems = compile("!(event.appid in list.our_appids)", &scope(), Want::Condition).unwrap_err();
    assert_eq!(problems[0].code, Code::Unguarded);
}

#[test]
fn one_order_with_two_transaction_ids() {
    let text = "paid && counter.tx_by_order > 1";
    fires(&World::of(payment()), text, false);
    fires(&World::of(payment()).counting(&scope(), "tx_by_order", 1, 2), text, true);
    fires(&World::of(payment()).counting(&scope(), "tx_by_order", 1, 1), text, false);
}

#[test]
fn trade_type_not_allowed_on_this_route() {
    let text = "paid && !(event.trade_type in route.allowed_trade_types)";
    let mut world = World { trade_types: Some(vec!["JSAPI".into(), "NATIVE".into()]), ..World::of(payment()) };
    fires(&world, text, false);
    world.event.trade_type = Some("MICROPAY".into());
    fires(&world, text, true);
    world.trade_types = None;
    fires(&world, text, false);
}

#[test]
fn refunds_exceed_what_was_paid() {
    let text = "refunded && counter.refund_by_order > event.amount.total";
    fires(&World::of(refund()).counting(&scope(), "refund_by_order", 0, 8800), text, false);
    fires(&World::of(refund()).counting(&scope(), "refund_by_order", 8800, 9600), text, true);
}

#[test]
fn source_address_outside_the_published_ranges() {
    let text = "!(client.ip in list.wx_ranges)";
    fires(&World::of(payment()), text, false);
    fires(&World { ip: "198.51.100.9", ..World::of(payment()) }, text, true);
    fires(&World { ip: "::ffff:203.0.113.9", ..World::of(payment()) }, text, false);
    fires(&World { ip: "2001:db8::1", ..World::of(payment()) }, text, false);
    fires(&World { ip: "2001:db9::1", ..World::of(payment()) }, text, true);
}

#[test]
fn paid_long_ago_notified_now() {
    let text = "paid && now - event.success_time > duration(\"26h\")";
    let hour = 3_600_000;
    fires(&World::of(payment()), text, false);
    fires(&World { at: NOON + 27 * hour, ..World::of(payment()) }, text, true);
    fires(&World { at: NOON - 27 * hour, ..World::of(payment()) }, text, false);
}

#[test]
fn counts_and_sums_of_one_openid() {
    let many = "paid && counter.pays_10m > 5";
    fires(&World::of(payment()).counting(&scope(), "pays_10m", 4, 5), many, false);
    fires(&World::of(payment()).counting(&scope(), "pays_10m", 5, 6), many, true);
    let sum = "paid && counter.fen_1d > yuan(20000)";
    fires(&World::of(payment()).counting(&scope(), "fen_1d", 1_999_900, 2_000_000), sum, false);
    fires(&World::of(payment()).counting(&scope(), "fen_1d", 1_999_901, 2_000_001), sum, true);
    fires(&World::of(payment()).counting(&scope(), "tiny_1h", 3, 4), "paid && counter.tiny_1h > 3", true);
}

#[test]
fn first_payment_of_an_openid_is_large() {
    let text = "paid && counter.seen_openid.is_first && event.amount.total > yuan(3000)";
    let mut world = World::of(payment());
    fires(&world, text, false);
    world.event.amount_total = Some(300_001);
    fires(&world, text, true);
    fires(&world.counting(&scope(), "seen_openid", NOON - 1, NOON - 1), text, false);
}

#[test]
fn refund_ratio_of_a_merchant_in_an_hour() {
    let text = "refunded && counter.refund_rate > ratio(1, 5)";
    let world = |paid, refunds| {
        let world = World::of(refund()).counting(&scope(), "paid_1h", paid, paid);
        world.counting(&scope(), "refunds_1h", refunds - 1, refunds)
    };
    fires(&world(10, 10), text, false);
    fires(&world(40, 10), text, true);
    fires(&world(40, 8), text, false);
    fires(&world(19, 19), text, false);
    fires(&world(20, 20), text, true);
    fires(&world(10, 10), "has(counter.refund_rate)", false);
    // Too few to mean anything: no comparison holds.
    fires(&world(10, 10), "counter.refund_rate <= ratio(1, 5) || counter.refund_rate != ratio(1, 5)", false);
}

#[test]
fn large_round_and_at_night() {
    let hour = 3_600_000;
    let mut world = World { at: NOON - 6 * hour - 1000, ..World::of(payment()) };
    world.event.amount_total = Some(500_001);
    fires(&world, "paid && night && event.amount.total > yuan(5000)", true);
    fires(&world, "paid && night && event.amount.total > large", true);
    world.at += 1000;
    fires(&world, "paid && night && event.amount.total > yuan(5000)", false);
    let round = "paid && round && event.amount.total >= yuan(2000)";
    world.event.amount_total = Some(200_000);
    fires(&world, round, true);
    world.event.amount_total = Some(200_001);
    fires(&world, round, false);
}

#[test]
fn payers_on_lists() {
    let blocked = "paid && event.payer.openid in list.blocked_openids";
    let mut world = World::of(payment());
    fires(&world, blocked, false);
    world.event.payer = Some("oBlocked".into());
    fires(&world, blocked, true);
    world.event.payer = Some("oTrusted".into());
    fires(&world, "has(event.payer.openid) && event.payer.openid in list.trusted_openids", true);
}

#[test]
fn many_payers_from_one_ordering_address() {
    let text = "paid && has(order.client_ip) && counter.orders_ip > 10";
    let world = World::of(payment()).counting(&scope(), "orders_ip", 10, 11);
    fires(&world, text, false);
    fires(&World { order: Some(order()), ..world }, text, true);
}

#[test]
fn an_exception_stands_on_what_its_rule_made_sure_of() {
    let rule = condition("paid && has(event.attach) && counter.pays_10m > 5");
    let text = "event.attach.startsWith(\"vm:\")";
    assert_eq!(compile(text, &scope(), Want::Condition).unwrap_err()[0].code, Code::Unguarded);
    assert!(compile_given(text, &scope(), Want::Condition, &[&rule]).is_ok());
    let when = condition("paid && has(order.client_ip)");
    for key in ["event.appid", "event.payer.openid", "order.client_ip", "event.mchid"] {
        assert!(compile_given(key, &scope(), Want::Key, &[&when]).is_ok(), "{key}");
    }
}
