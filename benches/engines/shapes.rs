//! The rules: ten shapes of the starter rules, each with a number `#` that differs from rule to rule, in the words of
//! each engine.

/// One shape in every language.
pub struct Shape {
    pub ours: &'static str,
    pub cel: &'static str,
    pub evalexpr: &'static str,
    pub zen: &'static str,
}

/// A macro of ours; the others have it written out.
pub const PAID: &str = "event.kind == Kind.TRANSACTION && event.trade_state == TradeState.SUCCESS";
const PAID_CEL: &str = r#"event.kind == "TRANSACTION" && event.trade_state == "SUCCESS""#;
const PAID_EVALEXPR: &str = r#"event_kind == "TRANSACTION" && event_trade_state == "SUCCESS""#;
const PAID_ZEN: &str = "event.kind == 'TRANSACTION' and event.trade_state == 'SUCCESS'";

/// Membership of the long list is looked up beforehand for `zen` (it would scan an array) and by a function of ours, with
/// our hash, for `evalexpr`. Prefixes are a function of ours for `evalexpr`, which has none.
const SHAPES: [Shape; 10] = [
    Shape {
        ours: "paid && has(order) && (event.amount.total != order.amount_total || event.amount.currency != order.currency)",
        cel: "PAID && has(there.order) && (event.amount.total != order.amount_total || event.amount.currency != order.currency)",
        evalexpr: "PAID && has_order && (event_amount_total != order_amount_total || event_amount_currency != order_currency)",
        zen: "PAID and there.order and (event.amount.total != order.amount_total or event.amount.currency != order.currency)",
    },
    Shape {
        ours: r#"paid && !(event.trade_type in ["JSAPI", "NATIVE", "APP"])"#,
        cel: r#"PAID && !(event.trade_type in ["JSAPI", "NATIVE", "APP"])"#,
        evalexpr: r#"PAID && !(contains(("JSAPI", "NATIVE", "APP"), event_trade_type))"#,
        zen: "PAID and not (event.trade_type in ['JSAPI', 'NATIVE', 'APP'])",
    },
    Shape {
        ours: "paid && counter.pays_10m > #",
        cel: "PAID && counter.pays_10m > #",
        evalexpr: "PAID && counter_pays_10m > #",
        zen: "PAID and counter.pays_10m > #",
    },
    Shape {
        ours: "paid && counter.fen_1d > yuan(#00)",
        cel: "PAID && counter.fen_1d > #0000",
        evalexpr: "PAID && counter_fen_1d > #0000",
        zen: "PAID and counter.fen_1d > #0000",
    },
    Shape {
        ours: "paid && counter.seen_openid.is_first && event.amount.total > yuan(#)",
        cel: "PAID && counter.is_first && event.amount.total > #00",
        evalexpr: "PAID && counter_is_first && event_amount_total > #00",
        zen: "PAID and counter.is_first and event.amount.total > #00",
    },
    Shape {
        ours: "paid && local.hour < 6 && event.amount.total > yuan(#)",
        cel: "PAID && local.hour < 6 && event.amount.total > #00",
        evalexpr: "PAID && local_hour < 6 && event_amount_total > #00",
        zen: "PAID and local.hour < 6 and event.amount.total > #00",
    },
    Shape {
        ours: "paid && event.amount.total % yuan(100) == fen(0) && event.amount.total >= yuan(#)",
        cel: "PAID && event.amount.total % 10000 == 0 && event.amount.total >= #00",
        evalexpr: "PAID && event_amount_total % 10000 == 0 && event_amount_total >= #00",
        zen: "PAID and event.amount.total % 10000 == 0 and event.amount.total >= #00",
    },
    Shape {
        ours: "paid && event.payer.openid in list.blocked_openids && event.amount.total > fen(#)",
        cel: "PAID && event.payer.openid in list.blocked_openids && event.amount.total > #",
        evalexpr: "PAID && blocked(event_payer_openid) && event_amount_total > #",
        zen: "PAID and list.blocked and event.amount.total > #",
    },
    Shape {
        ours: r#"paid && has(event.attach) && event.attach.startsWith("vm:#")"#,
        cel: r#"PAID && has(event.attach) && event.attach.startsWith("vm:#")"#,
        evalexpr: r#"PAID && has_attach && starts_with(event_attach, "vm:#")"#,
        zen: "PAID and event.attach != null and startsWith(event.attach, 'vm:#')",
    },
    Shape {
        ours: r##"paid && event.out_trade_no.startsWith("#-") && counter.tx_by_order <= 1"##,
        cel: r##"PAID && event.out_trade_no.startsWith("#-") && counter.tx_by_order <= 1"##,
        evalexpr: r##"PAID && starts_with(event_out_trade_no, "#-") && counter_tx_by_order <= 1"##,
        zen: "PAID and startsWith(event.out_trade_no, '#-') and counter.tx_by_order <= 1",
    },
];

/// So many rules in the language that `of` picks.
pub fn texts(count: usize, of: impl Fn(&Shape) -> &'static str) -> Vec<String> {
    let written = |(place, shape): (usize, &Shape)| {
        let text = of(shape);
        let paid = if text == shape.cel {
            PAID_CEL
        } else if text == shape.evalexpr {
            PAID_EVALEXPR
        } else {
            PAID_ZEN
        };
        text.replace("PAID", paid).replace('#', &(50 + place).to_string())
    };
    (0..count).map(|place| written((place, &SHAPES[place % SHAPES.len()]))).collect()
}
