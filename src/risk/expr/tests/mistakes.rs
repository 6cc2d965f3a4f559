//! Mistakes, with the words that their author reads.

use super::*;

/// What is written, what of it is pointed at, and the message with its suggestion. A text with several mistakes has a
/// line for each.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "event.amout.total > fen(1)",
        "event.amout.total",
        "there is no field `event.amout.total`; did you mean `event.amount.total`?",
    ),
    ("event.total == fen(1)", "event.total", "there is no field `event.total`; did you mean `event.amount.total`?"),
    ("evnt.kind == Kind.REFUND", "evnt.kind", "there is no field `evnt.kind`; did you mean `event.kind`?"),
    ("piad", "piad", "there is no field or macro `piad`; did you mean `paid`?"),
    (
        "foo.bar",
        "foo.bar",
        "there is no field `foo.bar`; names begin with one of event, order, client, http, verify, route, local, now, counter, list",
    ),
    (
        "event",
        "event",
        "`event` is a group of fields; it has kind, type, id, create_time, subject, mchid, appid, sub_mchid, out_trade_no, out_refund_no, out_bill_no, transaction_id, refund_id, transfer_bill_no, trade_state, refund_status, state, trade_type, bank_type, payer.openid, openid, account, is_test, attach, success_time, amount.total, amount.payer_total, amount.refund, amount.payer_refund, amount.transfer, amount.currency",
    ),
    (
        "event.amount",
        "event.amount",
        "`event.amount` is a group of fields; it has total, payer_total, refund, payer_refund, transfer, currency",
    ),
    ("order", "order", "`order` is a group of fields; ask `has(order)`"),
    ("list.wx_ranges", "list.wx_ranges", "a list has no value of its own; look into it: `x in list.wx_ranges`"),
    ("counter", "counter", "`counter` is no value by itself; name one of its members: `counter.…`"),
    ("Kind", "Kind", "`Kind` is no value by itself; name one of its members: `Kind.…`"),
    (
        "paid && event.amount.total > 5000",
        "event.amount.total > 5000",
        "money and a bare number beside `>`; write `fen(5000)`, which is `yuan(50)`",
    ),
    (
        "paid && event.amount.total > 123",
        "event.amount.total > 123",
        "money and a bare number beside `>`; write `fen(123)` or `yuan(123)`",
    ),
    (
        "paid && event.amount.total + 1 > fen(1)",
        "event.amount.total + 1",
        "money and a bare number beside `+`; write `fen(1)` or `yuan(1)`",
    ),
    (
        "paid && event.amount.total % 100 == fen(0)",
        "event.amount.total % 100",
        "money and a bare number beside `%`; write `fen(100)`, which is `yuan(1)`",
    ),
    (
        "paid && event.amount.total > local.hour",
        "event.amount.total > local.hour",
        "money and a bare number beside `>`; make the number money with `fen(…)` or `yuan(…)`",
    ),
    (
        "paid && event.amount.total in [1, 2]",
        "1",
        "Fen is looked for among this, which is Int; write `fen(…)` or `yuan(…)`",
    ),
    (
        "paid && event.amount.total in [1, 2]",
        "2",
        "Fen is looked for among this, which is Int; write `fen(…)` or `yuan(…)`",
    ),
    (
        "event.attach == \"x\"",
        "event.attach",
        "`event.attach` may be absent here: not every event has it; guard it with `has(event.attach) && …` or `event.attach.orValue(…)`",
    ),
    (
        "event.amount.total > fen(1)",
        "event.amount.total",
        "`event.amount.total` may be absent here: only TRANSACTION, REFUND events surely have it; guard it with `event.kind in [Kind.TRANSACTION, Kind.REFUND] && …` or `has(event.amount.total) && …`",
    ),
    (
        "event.payer.openid == \"x\"",
        "event.payer.openid",
        "`event.payer.openid` may be absent here: only TRANSACTION events surely have it; guard it with `event.kind == Kind.TRANSACTION && …` or `has(event.payer.openid) && …`",
    ),
    (
        "order.currency == \"CNY\"",
        "order.currency",
        "`order.currency` may be absent here: there may be none; guard it with `has(order) && …` or `order.currency.orValue(…)`",
    ),
    (
        "has(order) && order.client_ip == \"1.2.3.4\"",
        "order.client_ip",
        "`order.client_ip` may be absent here: not every event has it; guard it with `has(order.client_ip) && …` or `order.client_ip.orValue(…)`",
    ),
    (
        "paid && event.amount.refund > fen(0)",
        "event.amount.refund",
        "`event.amount.refund` is never there: TRANSACTION events do not have it; events that have it: REFUND, PAYSCORE, OTHER",
    ),
    (
        "event.kind == Kind.REFUND && event.trade_state == TradeState.SUCCESS",
        "event.trade_state",
        "`event.trade_state` is never there: REFUND events do not have it; events that have it: TRANSACTION, COMBINED, PAYSCORE, OTHER",
    ),
    (
        "paid && has(event.refund_id)",
        "event.refund_id",
        "`event.refund_id` is never there: TRANSACTION events do not have it; events that have it: REFUND, PAYSCORE, OTHER",
    ),
    (
        "round",
        "round",
        "in macro `round`: `event.amount.total` may be absent here: only TRANSACTION, REFUND events surely have it; guard it with `event.kind in [Kind.TRANSACTION, Kind.REFUND] && …` or `has(event.amount.total) && …`",
    ),
    (
        "paid && event.trade_state == \"SUCESS\"",
        "\"SUCESS\"",
        "TradeState has no member `SUCESS`; did you mean `\"SUCCESS\"`?",
    ),
    (
        "paid && event.trade_state == TradeState.SUCESS",
        "TradeState.SUCESS",
        "TradeState has no member `SUCESS`; did you mean `TradeState.SUCCESS`?",
    ),
    (
        "event.kind == Kind.FOO",
        "Kind.FOO",
        "Kind has no member `FOO`; it has TRANSACTION, COMBINED, REFUND, TRANSFER, PAYSCORE, MESSAGE, OTHER",
    ),
    (
        "event.kind == \"transaction\"",
        "\"transaction\"",
        "Kind has no member `transaction`; did you mean `\"TRANSACTION\"`?",
    ),
    ("counter.pay_10m > 5", "counter.pay_10m", "there is no counter `pay_10m`; did you mean `counter.pays_10m`?"),
    (
        "counter.seen_openid",
        "counter.seen_openid",
        "`counter.seen_openid` tells when its key was first seen, it has no value of its own; write `counter.seen_openid.is_first` or `counter.seen_openid.first_seen`",
    ),
    (
        "counter.pays_10m.is_first",
        "counter.pays_10m.is_first",
        "`counter.pays_10m` has no `.is_first`; it has `.before`",
    ),
    (
        "counter.refund_rate.before == 1",
        "counter.refund_rate.before",
        "`counter.refund_rate` has no `.before`; it has no parts, compare it with `ratio(a, b)`",
    ),
    (
        "counter.refund_rate > 5",
        "counter.refund_rate > 5",
        "`>` does not go between Ratio and Int; write a share as `ratio(1, 5)`",
    ),
    (
        "paid && event.appid in list.blocked",
        "list.blocked",
        "there is no list `blocked`; did you mean `list.blocked_openids`?",
    ),
    ("client.ip in list.our_mchids", "client.ip in list.our_mchids", "Ip is not looked for in a list of Text"),
    ("event.id in list.wx_ranges", "event.id in list.wx_ranges", "Text is not looked for in a list of Cidr"),
    ("local.hour", "local.hour", "this is Int, but a condition is wanted"),
    ("1 + 2", "1 + 2", "this is Int, but a condition is wanted"),
    ("paid && 5", "5", "this is Int, but a condition is wanted; compare it with something"),
    ("!5", "5", "this is Int, but a condition is wanted; compare it with something"),
    ("local.hour < \"6\"", "local.hour < \"6\"", "`<` does not go between Int and Text"),
    ("event.id > 5", "event.id > 5", "`>` does not go between Text and Int"),
    (
        "client.ip < ip(\"1.2.3.4\")",
        "client.ip < ip(\"1.2.3.4\")",
        "Ip has no order, `<` cannot be asked of it; ask `==`, `!=` or `in`",
    ),
    (
        "event.kind < Kind.REFUND",
        "event.kind < Kind.REFUND",
        "Kind has no order, `<` cannot be asked of it; ask `==`, `!=` or `in`",
    ),
    (
        "client.ip == \"1.2.3\"",
        "\"1.2.3\"",
        "`1.2.3` is no address; look into a block of addresses with `in cidr(\"…\")`",
    ),
    (
        "client.ip in cidr(\"1.2.3.4/8\")",
        "\"1.2.3.4/8\"",
        "`1.2.3.4/8` is no block of addresses; the block that has it is `1.0.0.0/8`",
    ),
    ("client.ip in cidr(\"x\")", "\"x\"", "`x` is no block of addresses; write `203.0.113.0/24` or `2001:db8::/32`"),
    ("local.date == \"2026-3-1\"", "\"2026-3-1\"", "`2026-3-1` is no day; write it as `\"2026-03-01\"`"),
    (
        "now > \"2026-03-01\"",
        "\"2026-03-01\"",
        "`2026-03-01` is no moment by itself; write `timestamp(\"2026-03-01\")`",
    ),
    (
        "duration(\"5\") > duration(\"5 minutes\")",
        "\"5\"",
        "`5` is no duration; write `\"1d2h30m\"`, whole numbers of ms, s, m, h, d",
    ),
    (
        "duration(\"5\") > duration(\"5 minutes\")",
        "\"5 minutes\"",
        "`5 minutes` is no duration; write `\"1d2h30m\"`, whole numbers of ms, s, m, h, d",
    ),
    (
        "now - timestamp(\"yesterday\") > duration(\"1h\")",
        "\"yesterday\"",
        "`yesterday` is no timestamp; write `\"2026-03-01T12:00:00+08:00\"`",
    ),
    ("event.id.matches(\"(\")", "\"(\"", "this pattern does not compile: unclosed group"),
    (
        "event.id.matches(event.type)",
        "event.type",
        "a pattern must be a literal text; it is compiled when the rules are loaded",
    ),
    (
        "event.id.matches(\"(a{1000}){1000}\")",
        "\"(a{1000}){1000}\"",
        "this pattern does not compile: Compiled regex exceeds size limit of 262144 bytes.",
    ),
    ("event.id.startWith(\"x\")", "startWith", "there is no method `startWith`; did you mean `startsWith`?"),
    ("event.id.startsWith()", "event.id.startsWith()", "`startsWith` is used as `text.startsWith(start)`"),
    ("startsWith(event.id, \"x\")", "startsWith(event.id, \"x\")", "`startsWith` is used as `text.startsWith(start)`"),
    ("lenght(event.id) > 3", "lenght", "there is no function `lenght`"),
    ("len(event.id) > 3", "len", "there is no function `len`; write `size(…)`"),
    ("event.id.lowerAscii() == \"x\"", "lowerAscii", "there is no method `lowerAscii`; write `lower(…)`"),
    (
        "list.our_mchids.exists(x, x == \"1\")",
        "exists",
        "there is no method `exists`; there are no loops; write `x in list.NAME`",
    ),
    ("has(5)", "5", "`has` asks for a field, this is none; write `has(event.attach)`"),
    ("has(paid)", "paid", "`has` asks for a field, this is none; write `has(event.attach)`"),
    ("has(event.foo)", "event.foo", "there is no field `event.foo`; the fields are listed in docs/expressions.md"),
    (
        "has(counter.pays_10m)",
        "counter.pays_10m",
        "only a ratio can have no value, other counters always have one; leave out the `has(…)`",
    ),
    ("event.id.orValue(5) == \"x\"", "event.id.orValue(5)", "`event.id` is Text, its other value is Int"),
    (
        "event.amount.refund.orValue(0) > fen(0)",
        "event.amount.refund.orValue(0)",
        "`event.amount.refund` is Fen, its other value is Int",
    ),
    ("paid.orValue(true)", "paid", "only a field can be absent, this is none; write `event.attach.orValue(\"\")`"),
    (
        "\"a\" + \"b\" == \"ab\"",
        "\"a\" + \"b\"",
        "texts are not put together with `+`; compare the parts one by one; a key has several parts",
    ),
    ("1.5 > 1", "1.5", "there are only whole numbers; write money as `fen(150)`, a share as `ratio(1, 5)`"),
    ("5u == 5", "5u", "there are no unsigned numbers, leave out the `u`"),
    ("b\"x\" == b\"x\"", "b\"x\"", "there are no bytes, leave out the `b`"),
    ("b\"x\" == b\"x\"", "b\"x\"", "there are no bytes, leave out the `b`"),
    ("null == null", "null", "there is no `null`; ask `has(field)` or `!has(field)`"),
    ("null == null", "null", "there is no `null`; ask `has(field)` or `!has(field)`"),
    ("{1: 2} == {1: 2}", "{1: 2}", "there are no maps or messages"),
    ("{1: 2} == {1: 2}", "{1: 2}", "there are no maps or messages"),
    ("event.id[0] == \"x\"", "event.id[0]", "there is no `[…]` behind a value"),
    ("event.?attach == \"x\"", ".", "there is no `.?` and no `[?…]`; write `field.orValue(…)` or `has(field) && …`"),
    ("[1] == [1]", "[1]", "a list has no value of its own; look into it: `x in [a, b]`"),
    ("[1] == [1]", "[1]", "a list has no value of its own; look into it: `x in [a, b]`"),
    ("1 in []", "[]", "nothing is in an empty list"),
    ("1 in 2", "2", "`in` looks into a list, this is none; write `in list.NAME`, `in [a, b]` or `in cidr(\"…\")`"),
    (
        "1 in local.hour",
        "local.hour",
        "`in` looks into a list, this is none; write `in list.NAME`, `in [a, b]` or `in cidr(\"…\")`",
    ),
    ("1 in foo", "foo", "there is no field or macro `foo`"),
    ("1 / 0 == 1", "1 / 0", "this always fails: division by zero"),
    ("local.hour / 0 == 1", "local.hour / 0", "this always fails: division by zero"),
    ("9223372036854775807 + 1 > 0", "9223372036854775807 + 1", "this always fails: the result is beyond 64 bits"),
    ("ratio(1, 0) > ratio(1, 5)", "0", "the number under the line of a ratio is at least 1"),
    ("ratio(1, 5) > 0", "ratio(1, 5) > 0", "`>` does not go between Ratio and Int; write a share as `ratio(1, 5)`"),
    ("yuan(event.id) > fen(1)", "event.id", "a number is wanted here, this is Text"),
    ("yuan(92233720368547759) > fen(1)", "yuan(92233720368547759)", "this is beyond 64 bits of fen"),
    ("paid ? 1 : \"x\"", "paid ? 1 : \"x\"", "one side of `?:` is Int, the other Text"),
    ("(paid ? 1 : fen(1)) == 1", "paid ? 1 : fen(1)", "one side of `?:` is Int, the other Fen"),
    ("paid = true", "=", "`=` is no sign of this language; write `==`"),
    ("paid and night", "and", "`and` is no operator; write `&&`"),
    ("paid & night", "&", "`&` is no sign of this language; write `&&`"),
    ("paid && “x” == event.id", "“", "`“` is no sign of this language; write `\"`"),
    ("paid && “x” == event.id", "”", "`”` is no sign of this language; write `\"`"),
    ("event.id == 'x", "'x", "this text has no closing quote; close it on the same line"),
    ("(paid", "(", "`(` is not closed; add `)`"),
    ("paid)", ")", "`)` closes nothing; leave it out"),
    ("", "", "there is no expression here"),
    ("   ", "   ", "there is no expression here"),
    ("paid paid", "paid", "`paid` is not expected here"),
    ("paid &&", "", "the expression ends too early"),
    ("&& paid", "&&", "`&&` is not expected here"),
    ("if", "if", "`if` is a word that CEL keeps for itself; use another name"),
    ("paid && night || ", "", "the expression ends too early"),
    ("event..id == \"x\"", ".", "`.` is not expected here"),
    ("event.id == \"x\"\nand paid", "and", "`and` is no operator; write `&&`"),
    ("not paid", "not", "`not` is no operator; write `!`"),
    ("a <> b", "<", "`<>` is no operator; write `!=`"),
    ("9223372036854775808 > 1", "9223372036854775808", "`9223372036854775808` does not fit into 64 bits"),
    (".paid", "paid", "a name does not begin with a dot"),
    ("in", "in", "`in` is not expected here"),
    ("paid ? night", "", "the expression ends too early"),
    (
        "cidr(\"10.0.0.0/8\") == cidr(\"10.0.0.0/8\")",
        "cidr(\"10.0.0.0/8\")",
        "a block of addresses has no value of its own; look into it: `client.ip in cidr(\"…\")`",
    ),
    (
        "cidr(\"10.0.0.0/8\") == cidr(\"10.0.0.0/8\")",
        "cidr(\"10.0.0.0/8\")",
        "a block of addresses has no value of its own; look into it: `client.ip in cidr(\"…\")`",
    ),
    (
        "event.id in event.type",
        "event.type",
        "`in` looks into a list, this is none; write `in list.NAME`, `in [a, b]` or `in cidr(\"…\")`",
    ),
    ("event.id in list.no_trade.x", "list.no_trade.x", "there is no list `no_trade.x`; did you mean `list.no_trade`?"),
    (
        "lower(event.id) in list.no_trade",
        "lower(event.id)",
        "list `no_trade` is kept in the store, which is asked for fields of text before anything is computed; write a field before `in`, or keep the list in memory",
    ),
    (
        "has(order) && order.currency in list.no_trade",
        "order.currency",
        "list `no_trade` is kept in the store and asked before the order is known; keep the list in memory",
    ),
    (
        "event.create_time > now",
        "event.create_time",
        "`event.create_time` may be absent here: not every event has it; guard it with `has(event.create_time) && …` or `event.create_time.orValue(…)`",
    ),
    ("evil()", "evil", "there is no function `evil`"),
    ("Foo{a: 1} == 1", "{a: 1}", "there are no maps or messages"),
    ("paid # comment", "#", "`#` is no sign of this language; leave it out"),
];

fn told(text: &str) -> Vec<(&str, String)> {
    let Err(problems) = compile(text, &scope(), Want::Condition) else { return vec![] };
    problems.iter().map(|problem| (problem.span.of(text), problem.to_string())).collect()
}

#[test]
fn each_mistake_is_told_at_its_place_in_words() {
    for (text, ..) in MISTAKES {
        let lines = MISTAKES.iter().filter(|(other, ..)| other == text);
        let expected: Vec<_> = lines.map(|(_, part, message)| (*part, (*message).to_owned())).collect();
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "evnt.id == 5 && event.attach == \"x\" && event.amount.total > 5 && counter.nope > 1";
    let codes: Vec<_> = compile(text, &scope(), Want::Condition).unwrap_err().iter().map(|told| told.code).collect();
    assert_eq!(codes, [Code::UnknownName, Code::Unguarded, Code::Unguarded, Code::UnknownName]);
}

#[test]
fn each_want_refuses_what_it_cannot_use() {
    for (text, want) in [
        ("1", Want::Condition),
        ("event.id", Want::Number),
        ("event.id == \"x\"", Want::Number),
        ("ratio(1, 2)", Want::Key),
    ] {
        assert_eq!(compile(text, &scope(), want).unwrap_err()[0].code, Code::TypeMismatch, "{text}");
    }
    for want in [Want::Key, Want::Any, Want::Number] {
        assert!(compile("local.hour", &scope(), want).is_ok());
    }
}
