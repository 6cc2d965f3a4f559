//! What is evaluated once for many rules must not change what any of them says.

use super::*;
use crate::risk::expr::Openings;

const TEXTS: [&str; 9] = [
    "paid && event.amount.total > yuan(5)",
    "paid && has(event.attach) && event.attach.startsWith(\"shop\")",
    "paid && 100 / (counter.pays_10m - counter.pays_10m) > 1",
    "paid && false || event.id == \"x\"",
    "paid",
    "counter.pays_10m > 2 && paid",
    "counter.pays_10m > 2 && event.id != \"\"",
    "1 / (counter.pays_10m - 3) > 0 && event.id == \"none\"",
    "1 / (counter.pays_10m - 3) > 0 && event.id != \"none\"",
];

fn check(world: &World) {
    let mut exprs: Vec<Expr> = TEXTS.iter().map(|text| condition(text)).collect();
    let alone: Vec<_> = exprs.iter().map(|expr| world.holds(expr)).collect();
    let openings = Openings::share(&mut exprs.iter_mut().collect::<Vec<_>>());
    let together: Vec<_> =
        world.with(|env| exprs.iter().map(|expr| expr.holds_after(openings.look(env), env)).collect());
    assert_eq!(together, alone);
}

#[test]
fn what_rules_share_says_the_same_as_each_alone() {
    let counted = |after| World::of(payment()).counting(&scope(), "pays_10m", after - 1, after);
    check(&counted(3)); // what two of them begin with divides by zero
    check(&counted(4));
    check(&World::of(refund()));
    let mut outage = World::of(payment());
    outage.counters.fill(None);
    check(&outage);
}

#[test]
fn only_what_stands_first_in_several_is_shared() {
    let mut exprs: Vec<Expr> = TEXTS.iter().map(|text| condition(text)).collect();
    drop(Openings::share(&mut exprs.iter_mut().collect::<Vec<_>>()));
    let shared: Vec<_> = exprs.iter().map(|expr| expr.shared).collect();
    assert_eq!(shared, [Some(0), Some(0), Some(0), None, None, Some(1), Some(1), Some(2), Some(2)]);
}
