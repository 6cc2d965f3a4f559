//! What operators and functions mean, one line for each.

use super::*;

/// On a payment of 88 yuan without an order; counters stand at 1.
const HOLDS: [&str; 66] = [
    "true",
    "1 + 2 * 3 == 7",
    "7 / 2 == 3 && -7 / 2 == -3 && -7 % 2 == -1",
    "(1 + 2) * 3 == 9",
    "!false && !!true",
    "true ? true : false",
    "1 < 2 && 2 <= 2 && 3 > 2 && 2 >= 2 && 1 != 2",
    "\"a\" < \"b\" && \"B\" < \"a\"",
    "event.type == \"wechatpay.transaction.success\"",
    "event.kind == Kind.TRANSACTION",
    "event.kind == \"TRANSACTION\"",
    "\"TRANSACTION\" == event.kind",
    "event.kind != Kind.REFUND",
    "event.kind in [Kind.TRANSACTION, Kind.REFUND]",
    "!(event.kind in [\"COMBINED\", \"REFUND\"])",
    "paid && event.trade_state in [TradeState.SUCCESS]",
    "paid && event.trade_type == \"JSAPI\"",
    "paid && event.amount.total == yuan(88)",
    "paid && event.amount.total == fen(8800)",
    "paid && fen(8800) == event.amount.total",
    "paid && yuan(100) > event.amount.total",
    "paid && event.amount.total - event.amount.payer_total == fen(0)",
    "paid && event.amount.total + fen(1) == fen(8801)",
    "paid && event.amount.total * 2 == yuan(176)",
    "paid && 2 * event.amount.total == yuan(176)",
    "paid && event.amount.total / 3 == fen(2933)",
    "paid && event.amount.total / yuan(1) == 88",
    "paid && event.amount.total % yuan(10) == yuan(8)",
    "paid && -event.amount.total == yuan(-88)",
    "paid && event.amount.total in [fen(8799), yuan(88)]",
    "paid && event.amount.total in list.odd_amounts",
    "paid && event.transaction_id == \"T1\"",
    "paid && event.transaction_id in [\"T0\", \"T1\"]",
    "paid && event.out_trade_no.startsWith(\"order-\") && event.out_trade_no.endsWith(\"-1\")",
    "paid && event.out_trade_no.contains(\"der\") && !event.out_trade_no.contains(\"DER\")",
    "paid && event.out_trade_no.matches(\"^order-[0-9]+$\")",
    "paid && event.appid in [\"wxa\"] && event.mchid in ours",
    "paid && lower(event.trade_type) == \"jsapi\"",
    "lower(\"ABC\") == \"abc\" && \"AbC\".lower().startsWith(\"ab\") && \"xABC\".lower().endsWith(\"abc\")",
    "\"ÄBC\".lower() == \"Äbc\"",
    "\"xAbCy\".lower().contains(\"abc\") && \"A\".lower() in [\"a\"] && \"A\".lower().matches(\"^a$\")",
    "\"A\".lower() <= \"a\" && \"B\".lower() > \"a\"",
    "size(\"微信\") == 2 && \"ab\".size() == 2",
    "!has(event.attach) && event.attach.orValue(\"none\") == \"none\"",
    "event.amount.refund.orValue(fen(0)) == fen(0)",
    "event.trade_state.orValue(TradeState.CLOSED) == TradeState.SUCCESS",
    "order.client_ip.orValue(ip(\"10.0.0.1\")) == \"10.0.0.1\"",
    "!has(order) && !has(order.amount_total)",
    "has(event.payer.openid) && has(client.ip)",
    "client.ip in cidr(\"203.0.113.0/24\") && client.ip in [\"10.0.0.1\", \"203.0.113.0/28\"]",
    "client.ip == ip(\"203.0.113.9\") && client.ip != \"203.0.113.10\"",
    "client.ip in cidr(\"::ffff:0:0/96\") && !(client.ip in [ip(\"203.0.113.8\")])",
    "local.hour == 12 && local.minute == 0 && local.weekday == 7 && local.date == \"2026-03-01\"",
    "local.date in [\"2026-02-28\", \"2026-03-01\"] && local.date < \"2026-03-02\"",
    "now == timestamp(\"2026-03-01T12:00:00+08:00\")",
    "now - timestamp(\"2026-03-01T11:00:00+08:00\") == duration(\"1h\")",
    "now + duration(\"1h\") > now && duration(\"1h30m\") == duration(\"90m\") && duration(\"1d\") / duration(\"1h\") == 24",
    "duration(\"1h\") * 2 == duration(\"2h\") && -duration(\"1s\") == duration(\"-1000ms\")",
    "has(verify.skew) && verify.skew == duration(\"1s\")",
    "route.name == \"shop\" && http.method == \"POST\"",
    "counter.pays_10m == 1 && counter.pays_10m.before == 0",
    "counter.seen_openid.is_first && counter.seen_openid.first_seen == now",
    "ratio(1, 3) < ratio(34, 100) && ratio(2, 4) == ratio(1, 2) && ratio(counter.pays_10m, counter.paid_1h) == ratio(1, 1)",
    "(has(event.attach) ? event.attach : \"none\") == \"none\"",
    "(paid ? event.amount.total : fen(0)) > fen(0)",
    "(true == !false) && (paid != refunded)",
];

#[test]
fn each_line_holds() {
    let world = World::of(payment());
    for text in HOLDS {
        assert_eq!(world.holds(&condition(text)), Ok(true), "{text}");
        let not = format!("!({text})");
        assert_eq!(world.holds(&condition(&not)), Ok(false), "{not}");
    }
}

#[test]
fn a_guard_is_followed_through_the_operators() {
    for text in [
        "has(event.attach) && event.attach == \"x\"",
        "!has(event.attach) || event.attach == \"x\"",
        "has(event.attach) ? event.attach == \"x\" : false",
        "!(!has(event.attach) || event.attach == \"x\")",
        "!has(event.attach) ? false : event.attach == \"x\"",
        "(has(event.attach) && has(order)) && event.attach == order.currency",
        "has(order.client_ip) && order.amount_total > fen(0)",
        "event.kind == Kind.TRANSACTION && event.amount.total > fen(0)",
        "Kind.TRANSACTION == event.kind && event.amount.total > fen(0)",
        "event.kind != Kind.TRANSACTION || event.amount.total > fen(0)",
        "event.kind in [Kind.TRANSACTION, Kind.REFUND] && event.amount.total > fen(0)",
        "(event.kind == Kind.TRANSACTION || event.kind == Kind.REFUND) && event.amount.total > fen(0)",
        "(paid || refunded) && event.transaction_id == \"T1\"",
        "paid && round",
        "paid ? tiny : true",
    ] {
        condition(text);
    }
    for text in [
        "has(event.attach) || event.attach == \"x\"",
        "!has(event.attach) && event.attach == \"x\"",
        "has(event.attach) ? true : event.attach == \"x\"",
        "(has(event.attach) || has(order)) && event.attach == \"x\"",
        "has(order) && order.client_ip == \"10.0.0.1\"",
        "(paid || refunded) && event.appid == \"x\"",
        "round",
        "refunded || tiny",
    ] {
        let problems = compile(text, &scope(), Want::Condition).unwrap_err();
        assert!(problems.iter().all(|problem| problem.code == Code::Unguarded), "{text}: {problems:?}");
    }
}

#[test]
fn evaluation_fails_as_a_value_with_its_place() {
    let mut world = World::of(payment());
    world.event.amount_total = Some(i64::MAX);
    world.counters[2] = None;
    for (text, part, reason) in [
        ("paid && event.amount.total + fen(1) > fen(0)", "event.amount.total + fen(1)", Reason::Overflow),
        ("paid && event.amount.total * 2 > fen(0)", "event.amount.total * 2", Reason::Overflow),
        ("1 / (counter.paid_1h - 1) == 0", "1 / (counter.paid_1h - 1)", Reason::DivisionByZero),
        ("1 % (counter.paid_1h - 1) == 0", "1 % (counter.paid_1h - 1)", Reason::DivisionByZero),
        ("ratio(1, counter.paid_1h - 1) > ratio(1, 2)", "ratio(1, counter.paid_1h - 1)", Reason::DivisionByZero),
        ("counter.pays_10m > 5", "counter.pays_10m", Reason::NotCounted),
        ("paid && event.out_trade_no in list.no_trade", "event.out_trade_no in list.no_trade", Reason::NotAsked),
        ("paid && event.bank_type.orValue(event.transaction_id) == \"x\"", "event.transaction_id", Reason::Absent),
        ("paid && (tiny || event.transaction_id > \"\")", "event.transaction_id", Reason::Absent),
    ] {
        world.event.transaction_id = None;
        let error = world.holds(&condition(text)).unwrap_err();
        assert_eq!((error.span.of(text), error.reason), (part, reason), "{text}");
    }
}

#[test]
fn a_side_that_decides_makes_the_other_sides_error_none() {
    let mut world = World::of(payment());
    world.counters[2] = None;
    for (text, expected) in [
        ("counter.pays_10m > 5 && false", Ok(false)),
        ("counter.pays_10m > 5 && refunded", Ok(false)),
        ("counter.pays_10m > 5 || paid", Ok(true)),
        ("counter.pays_10m > 5 && paid", Err(Reason::NotCounted)),
        ("counter.pays_10m > 5 || refunded", Err(Reason::NotCounted)),
    ] {
        assert_eq!(world.holds(&condition(text)).map_err(|error| error.reason), expected, "{text}");
    }
}

#[test]
fn an_error_within_a_macro_is_told_at_the_macro() {
    let mut world = World::of(payment());
    world.event.amount_total = None;
    let text = "paid && round";
    assert_eq!(world.holds(&condition(text)).unwrap_err().span.of(text), "round");
}

#[test]
fn a_list_in_the_store_is_asked_for_by_field() {
    let text = "paid && event.out_trade_no in list.no_trade";
    let expr = condition(text);
    let [ask] = expr.reads().asks[..] else { panic!("{:?}", expr.reads()) };
    assert_eq!((ask.list, ask.field.field().path), (3, "event.out_trade_no"));
    for listed in [true, false] {
        let world = World { asked: vec![Asked { ask, listed }], ..World::of(payment()) };
        assert_eq!(world.holds(&expr), Ok(listed));
    }
}

#[test]
fn what_an_expression_reads_is_known() {
    let expr = condition("paid && round && counter.refund_rate > ratio(1, 5) && client.ip in list.wx_ranges");
    let fields: Vec<_> = expr.reads().fields.iter().map(|field| field.field().path).collect();
    assert_eq!(fields, ["event.kind", "event.trade_state", "event.amount.total", "client.ip"]);
    assert_eq!(expr.reads().counters, [5, 6, 7]);
    assert_eq!(expr.reads().lists, [2]);
    assert_eq!(expr.reads().macros, [0, 3]);
}

#[test]
fn a_condition_that_cannot_vary_is_told_as_such() {
    for (text, constant) in [
        ("1 == 1", Some(true)),
        ("paid && 1 == 2", Some(false)),
        ("paid && refunded", Some(false)),
        ("event.kind == Kind.REFUND && event.kind == Kind.TRANSACTION", Some(false)),
        ("event.kind != Kind.REFUND || event.kind != Kind.TRANSACTION", Some(true)),
        ("has(client.ip)", Some(true)),
        ("event.kind == Kind.MESSAGE", Some(false)),
        ("paid || true", Some(true)),
        ("paid", None),
        ("paid || refunded", None),
    ] {
        assert_eq!(condition(text).constant(), constant, "{text}");
    }
}

#[test]
fn an_expression_explains_itself_and_masks_people() {
    let text = "paid && event.payer.openid in list.blocked_openids && event.amount.total > yuan(20)";
    let expr = condition(text);
    let seen = World::of(payment()).with(|env| expr.explain(&scope(), env));
    let told: Vec<_> = seen.iter().map(|seen| (seen.text.as_str(), seen.value.clone().unwrap())).collect();
    let expected = [
        (text, "false"),
        ("paid", "true"),
        ("event.kind == Kind.TRANSACTION && event.trade_state == TradeState.SUCCESS", "true"),
        ("event.kind == Kind.TRANSACTION", "true"),
        ("event.kind", "TRANSACTION"),
        ("event.trade_state == TradeState.SUCCESS", "true"),
        ("event.trade_state", "SUCCESS"),
        ("event.payer.openid in list.blocked_openids", "false"),
        ("event.payer.openid", "oU***6o"),
        ("event.amount.total > yuan(20)", "true"),
        ("event.amount.total", "¥88.00"),
    ];
    assert_eq!(told, expected.map(|(text, value)| (text, value.to_owned())));
    assert_eq!(seen[1].inside, None);
    assert_eq!(seen[2].inside, Some(0));
    let shown = compile("lower(event.payer.openid.orValue(\"\"))", &scope(), Want::Any).unwrap();
    assert_eq!(World::of(payment()).with(|env| shown.shown(env)).unwrap(), "ou***6o");
}

#[test]
fn spans_are_whole_parts_of_the_text() {
    let text = "( paid || has( order ) ) && !(event.type . startsWith( \"微信\" )) && 3 - -5 > 2";
    let expr = condition(text);
    let seen = World::of(payment()).with(|env| expr.explain(&scope(), env));
    let own: Vec<_> = seen.iter().filter(|seen| seen.inside.is_none()).map(|seen| seen.text.as_str()).collect();
    let expected = [
        text,
        "paid || has( order )",
        "paid",
        "has( order )",
        "!(event.type . startsWith( \"微信\" ))",
        "event.type . startsWith( \"微信\" )",
        "event.type",
    ];
    assert_eq!(own, expected);
}

#[test]
fn values_have_their_type() {
    let world = World::of(payment());
    let given = condition("paid");
    for (text, shown) in [
        ("event.amount.total", "¥88.00"),
        ("fen(5) - fen(7)", "-¥0.02"),
        ("event.appid", "\"wxa\""),
        ("client.ip", "203.0.113.9"),
        ("local.date", "2026-03-01"),
        ("now", "2026-03-01T04:00:00Z"),
        ("duration(\"90m\")", "1h30m"),
        ("event.trade_type", "JSAPI"),
        ("local.hour + 1", "13"),
    ] {
        let expr = compile_given(text, &scope(), Want::Key, &[&given]).unwrap();
        assert_eq!(world.with(|env| expr.shown(env)).unwrap(), shown, "{text}");
    }
    let sum = compile_given("event.amount.total", &scope(), Want::Number, &[&given]).unwrap();
    assert_eq!((sum.ty(), world.with(|env| sum.number(env))), (Type::Fen, Ok(8800)));
}

#[test]
fn a_combined_order_is_not_a_payment_with_an_amount() {
    let world = World::of(Event { is_combined: true, amount_total: None, trade_state: None, ..payment() });
    assert_eq!(world.holds(&condition("paid")), Ok(false));
    assert_eq!(world.holds(&condition("event.kind == Kind.COMBINED && event.mchid == \"1900000001\"")), Ok(true));
}

#[test]
fn a_word_that_is_no_member_equals_none() {
    let mut world = World::of(payment());
    world.event.trade_type = Some("PALMPAY".into());
    for text in
        ["paid && event.trade_type == TradeType.JSAPI", "paid && event.trade_type in [TradeType.APP, TradeType.MWEB]"]
    {
        assert_eq!(world.holds(&condition(text)), Ok(false));
    }
    assert_eq!(world.holds(&condition("paid && event.trade_type != TradeType.JSAPI")), Ok(true));
}

#[test]
fn names_of_a_scope_are_checked_when_given() {
    let mut scope = scope();
    for name in ["", "Paid", "1x", "a-b", "é"] {
        assert_eq!(scope.add_counter(name, CounterType::Count).unwrap_err().code, Code::Definition, "{name}");
    }
    assert_eq!(
        scope.add_list("wx_ranges", Element::Text, Kept::InMemory).unwrap_err().message,
        "there are two lists of the name `wx_ranges`"
    );
    assert_eq!(scope.add_macro("event", "true").unwrap_err()[0].code, Code::Definition);
    let sums = CounterType::Ratio { of: 4, to: 5, at_least: 1 };
    assert!(scope.add_counter("odd", sums).is_err());
}

#[test]
fn a_macro_is_checked_by_itself_without_guards() {
    let mut scope = scope();
    let loops = scope.add_macro("me", "you && paid").unwrap();
    scope.add_macro("you", "me").unwrap();
    let wrong = scope.add_macro("wrong", "event.amount.total > 5").unwrap();
    assert_eq!(check_macro(scope.macro_named("round").unwrap(), &scope), Ok(Some(Type::Bool)));
    assert_eq!(check_macro(scope.macro_named("large").unwrap(), &scope), Ok(Some(Type::Fen)));
    assert_eq!(check_macro(scope.macro_named("ours").unwrap(), &scope), Ok(None));
    assert_eq!(check_macro(loops, &scope).unwrap_err()[0].code, Code::Definition);
    assert_eq!(check_macro(wrong, &scope).unwrap_err()[0].code, Code::MoneyAndNumber);
}

#[test]
fn a_long_list_is_the_same_as_a_short_one() {
    let members: Vec<_> = (0..40).map(|n| format!("\"T{n}\"")).collect();
    let long = condition(&format!("paid && event.transaction_id in [{}]", members.join(", ")));
    let mut world = World::of(payment());
    assert_eq!(world.holds(&long), Ok(true));
    world.event.transaction_id = Some("T40".into());
    assert_eq!(world.holds(&long), Ok(false));
}
