//! Crate `evalexpr`: operator trees over one flat map of variables. It has no short circuit and no nested fields.

use std::collections::HashSet;

use ::evalexpr::{
    ContextWithMutableFunctions, ContextWithMutableVariables, DefaultNumericTypes, Function, HashMapContext, Node,
    Value, build_operator_tree,
};

use super::shapes::texts;
use super::values::{FEN_1D, PAYS_10M, TX_BY_ORDER, blocked, event, order};

pub struct Rules {
    trees: Vec<Node<DefaultNumericTypes>>,
    context: HashMapContext<DefaultNumericTypes>,
}

pub fn rules(count: usize) -> Rules {
    let trees = texts(count, |shape| shape.evalexpr).iter().map(|text| build_operator_tree(text).unwrap()).collect();
    Rules { trees, context: context() }
}

impl Rules {
    pub fn judge(&self) -> usize {
        self.trees.iter().filter(|tree| tree.eval_boolean_with_context(&self.context).unwrap()).count()
    }
}

fn context() -> HashMapContext<DefaultNumericTypes> {
    let (event, order) = (event(), order());
    let text = |text: Option<&str>| Value::String(text.unwrap().to_owned());
    let mut context = HashMapContext::new();
    for (name, value) in [
        ("event_kind", text(Some("TRANSACTION"))),
        ("event_trade_state", text(event.trade_state.as_deref())),
        ("event_trade_type", text(event.trade_type.as_deref())),
        ("event_attach", text(event.attach.as_deref())),
        ("event_out_trade_no", text(event.out_trade_no.as_deref())),
        ("event_payer_openid", text(event.payer.as_deref())),
        ("event_amount_total", Value::Int(event.amount_total.unwrap())),
        ("event_amount_currency", text(event.currency.as_deref())),
        ("order_amount_total", Value::Int(order.amount_total)),
        ("order_currency", text(Some(&order.currency))),
        ("has_order", Value::Boolean(true)),
        ("has_attach", Value::Boolean(true)),
        ("local_hour", Value::Int(12)),
        ("counter_pays_10m", Value::Int(PAYS_10M)),
        ("counter_fen_1d", Value::Int(FEN_1D)),
        ("counter_is_first", Value::Boolean(true)),
        ("counter_tx_by_order", Value::Int(TX_BY_ORDER)),
    ] {
        context.set_value(name.to_owned(), value).unwrap();
    }
    let blocked: HashSet<String> = blocked().into_iter().collect();
    let listed =
        Function::new(move |openid: &Value| Ok(Value::Boolean(blocked.contains(openid.as_string()?.as_str()))));
    context.set_function("blocked".to_owned(), listed).unwrap();
    let starts_with = Function::new(|sides: &Value| {
        let sides = sides.as_fixed_len_tuple(2)?;
        Ok(Value::Boolean(sides[0].as_string()?.starts_with(sides[1].as_string()?.as_str())))
    });
    context.set_function("starts_with".to_owned(), starts_with).unwrap();
    context
}
