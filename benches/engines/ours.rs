//! wxgate's own: typed when they are loaded, evaluated without names.

use std::sync::Arc;

use jiff::tz::TimeZone;
use wxgate::event::Event;
use wxgate::risk::ask::{Counted, Order};
use wxgate::risk::expr::{CounterType, Env, Expr, Kept, Members, Openings, Scope, Want, compile};
use wxgate::risk::schema::{Around, Element, Facts, Family, Type};

use super::shapes::{PAID, texts};
use super::values::{FEN_1D, NOON, PAYS_10M, TX_BY_ORDER, blocked};

pub struct Rules {
    exprs: Vec<Expr>,
    openings: Openings,
    counters: [Option<Counted>; 4],
    lists: [Arc<Members>; 1],
}

/// The rules as a rule set holds them.
pub fn rules(count: usize) -> Rules {
    let mut scope = Scope::new(Family::PayV3);
    scope.add_macro("paid", PAID).unwrap();
    scope.add_list("blocked_openids", Element::Text, Kept::InMemory).unwrap();
    for (name, ty) in [
        ("pays_10m", CounterType::Count),
        ("fen_1d", CounterType::Sum(Type::Fen)),
        ("seen_openid", CounterType::FirstSeen),
        ("tx_by_order", CounterType::Distinct),
    ] {
        scope.add_counter(name, ty).unwrap();
    }
    let texts = texts(count, |shape| shape.ours);
    let mut exprs: Vec<Expr> = texts.iter().map(|text| compile(text, &scope, Want::Condition).unwrap()).collect();
    let openings = Openings::share(&mut exprs.iter_mut().collect::<Vec<_>>());
    let counted = |after: i64| Some(Counted { before: after - 1, after });
    let counters = [counted(PAYS_10M), counted(FEN_1D), counted(1), counted(TX_BY_ORDER)];
    Rules { exprs, openings, counters, lists: [Arc::new(Members::texts(blocked()))] }
}

impl Rules {
    /// How many fire.
    pub fn judge(&self, facts: &Facts<'_>) -> usize {
        let env = Env { facts, counters: &self.counters, lists: &self.lists, asked: &[] };
        let opened = self.openings.look(&env);
        self.exprs.iter().filter(|expr| expr.holds_after(opened, &env).unwrap()).count()
    }
}

/// The event as rules see it.
pub fn bind<'e>(event: &'e Event, order: &'e Order, zone: &TimeZone) -> Facts<'e> {
    let around = Around::new(NOON, "203.0.113.9".parse().unwrap(), "shop-pay");
    let mut facts = Facts::from_event(event, &around);
    facts.set_order(Some(order));
    facts.set_zone(NOON, zone);
    facts
}
