//! The interpreter of crate `cel`: programs and context are ready, the list is a map.

use std::collections::HashMap;
use std::sync::Arc;

use ::cel::{Context, Program, Value};

use super::shapes::texts;
use super::values::{FEN_1D, PAYS_10M, TX_BY_ORDER, blocked, event, order};

pub struct Rules {
    programs: Vec<Program>,
    context: Context<'static, 'static>,
}

pub fn rules(count: usize) -> Rules {
    let programs = texts(count, |shape| shape.cel).iter().map(|text| Program::compile(text).unwrap()).collect();
    Rules { programs, context: context() }
}

impl Rules {
    pub fn judge(&self) -> usize {
        let values = self.programs.iter().map(|program| program.execute(&self.context).unwrap());
        values.filter(|value| *value == Value::Bool(true)).count()
    }
}

fn map<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::from(members.collect::<HashMap<String, Value>>())
}

fn context() -> Context<'static, 'static> {
    let text = |text: &str| Value::String(Arc::new(text.to_owned()));
    let own = |of: &Option<String>| text(of.as_deref().unwrap());
    let (event, order) = (event(), order());
    let mut context = Context::default();
    let amount = [
        ("total", Value::Int(event.amount_total.unwrap())),
        ("payer_total", Value::Int(event.amount_payer_total.unwrap())),
        ("currency", own(&event.currency)),
    ];
    let fields = [
        ("kind", text("TRANSACTION")),
        ("id", text(&event.id)),
        ("mchid", own(&event.mchid)),
        ("appid", own(&event.appid)),
        ("out_trade_no", own(&event.out_trade_no)),
        ("transaction_id", own(&event.transaction_id)),
        ("trade_state", own(&event.trade_state)),
        ("trade_type", own(&event.trade_type)),
        ("attach", own(&event.attach)),
        ("payer", map([("openid", own(&event.payer))])),
        ("amount", map(amount)),
    ];
    context.add_variable_from_value("event", map(fields));
    let amount = [("amount_total", Value::Int(order.amount_total)), ("currency", text(&order.currency))];
    context.add_variable_from_value("order", map(amount));
    context.add_variable_from_value("there", map([("order", Value::Bool(true))]));
    context.add_variable_from_value("local", map([("hour", Value::Int(12))]));
    let counters = [
        ("pays_10m", Value::Int(PAYS_10M)),
        ("fen_1d", Value::Int(FEN_1D)),
        ("is_first", Value::Bool(true)),
        ("tx_by_order", Value::Int(TX_BY_ORDER)),
    ];
    context.add_variable_from_value("counter", map(counters));
    let blocked = blocked();
    let blocked = map(blocked.iter().map(|openid| (openid.as_str(), Value::Bool(true))));
    context.add_variable_from_value("list", map([("blocked_openids", blocked)]));
    context
}
