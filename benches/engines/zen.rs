//! Crate `zen-expression` (GoRules): bytecode over a value tree, numbers are decimals.

use serde_json::json;
use zen_expression::expression::Standard;
use zen_expression::variable::Variable;
use zen_expression::vm::VM;
use zen_expression::{Expression, compile_expression};

use super::shapes::texts;
use super::values::{FEN_1D, PAYS_10M, TX_BY_ORDER, event, order};

pub struct Rules {
    programs: Vec<Expression<Standard>>,
    context: Variable,
}

pub fn rules(count: usize) -> Rules {
    let programs = texts(count, |shape| shape.zen).iter().map(|text| compile_expression(text).unwrap()).collect();
    Rules { programs, context: context() }
}

impl Rules {
    pub fn judge(&self) -> usize {
        let mut vm = VM::new();
        let values = self.programs.iter().map(|program| program.evaluate_with(self.context.clone(), &mut vm).unwrap());
        values.filter(|value| value.as_bool() == Some(true)).count()
    }
}

fn context() -> Variable {
    let (event, order) = (event(), order());
    let values = json!({
        "event": {
            "kind": "TRANSACTION",
            "trade_state": event.trade_state,
            "trade_type": event.trade_type,
            "attach": event.attach,
            "out_trade_no": event.out_trade_no,
            "amount": { "total": event.amount_total, "currency": event.currency },
        },
        "order": { "amount_total": order.amount_total, "currency": order.currency },
        "there": { "order": true },
        "local": { "hour": 12 },
        "counter": { "pays_10m": PAYS_10M, "fen_1d": FEN_1D, "is_first": true, "tx_by_order": TX_BY_ORDER },
        "list": { "blocked": true },
    });
    values.into()
}
