#![allow(clippy::arithmetic_side_effects)] // a test may fail

use std::time::Duration;

use super::*;
use crate::risk::recorded::read_line;
use crate::risk::{Action, Files, load};

const NOON: i64 = 1_772_337_600_000;
const MACROS: &str = "macros: [ { name: paid, expr: event.kind == Kind.TRANSACTION } ]\n";
const COUNTERS: &str =
    "counters: [ { name: pays, count: events, when: paid, key: [event.payer.openid], window: 10m } ]\n";

fn sets(body: &str) -> Vec<Arc<RuleSet>> {
    let head = "apiVersion: wxgate.rules/v1\nkind: RuleSet\nname: shop\nversion: 1\nschema: pay-v3\n";
    let files = Files::new("").with("shop.yaml", format!("{head}{body}"));
    load(&files, UnixTime::from_millis(NOON))
        .unwrap_or_else(|problems| {
            panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })
        .sets
}

fn velocity(limit: u32) -> Vec<Arc<RuleSet>> {
    let rule = "title: many, category: velocity, action: hold, reason: many, message: '{{counter.pays}} payments'";
    sets(&format!(
        "{MACROS}{COUNTERS}rules:\n  - {{ id: WXP-2001, when: paid && counter.pays > {limit}, {rule}, tests: [] }}\n"
    ))
}

/// A payment so many milliseconds after noon, with more members.
fn payment(id: &str, after: i64, payer: &str, more: &str) -> Entry {
    let line = format!(
        r#"{{"event.id":"{id}","event.kind":"TRANSACTION","event.payer.openid":"{payer}","event.amount.total":100,
            "event.subject":"ORDER-{id}","route.name":"shop","now":{}{more}}}"#,
        NOON + after
    );
    read_line(line.as_bytes()).unwrap().unwrap()
}

fn backtest(sets: Vec<Arc<RuleSet>>, entries: impl IntoIterator<Item = Entry>) -> Report {
    let mut backtest = Backtest::new(sets, None, Order::default());
    entries.into_iter().for_each(|entry| backtest.take(entry));
    backtest.finish()
}

#[test]
fn the_sixth_payment_is_held_and_told_with_what_was_seen() {
    let report = backtest(velocity(5), (0..8).map(|n| payment(&format!("EV-{n}"), n * 1000, "oPayer", "")));
    assert_eq!((report.events, report.verdicts.allow, report.verdicts.hold), (8, 5, 3));
    let rule = &report.rules[0];
    assert_eq!((&*rule.rule, rule.hits, rule.acts, rule.samples.len()), ("WXP-2001", 3, 3, 3));
    let first = &rule.samples[0];
    assert_eq!((&*first.event, first.action, first.why.as_deref()), ("EV-5", "hold", Some("6 payments")));
    assert_eq!(first.at, "2026-03-01T04:00:05.000Z");
    assert_eq!(report.to.as_deref(), Some("2026-03-01T04:00:07.000Z"));
}

#[test]
fn an_event_that_comes_again_counts_once_and_on_another_endpoint_it_is_another() {
    let again = (0..10).map(|n| payment("EV-1", n, "oPayer", ""));
    let report = backtest(velocity(1), again);
    assert_eq!((report.events, report.again, report.verdicts.hold), (1, 9, 0));
    let mut elsewhere = payment("EV-1", 5, "oPayer", "");
    let line =
        r#"{"event.id":"EV-1","event.kind":"TRANSACTION","event.payer.openid":"oPayer","route.name":"b","now":0}"#;
    elsewhere.recorded = read_line(line.as_bytes()).unwrap().unwrap().recorded;
    let report = backtest(velocity(1), [elsewhere, payment("EV-1", 0, "oPayer", "")]);
    assert_eq!((report.events, report.again), (2, 0));
}

#[test]
fn counters_look_back_in_event_time_and_forget() {
    let hour = 3_600_000;
    let spread = (0..20).map(|n| payment(&format!("EV-{n}"), n * hour, "oPayer", ""));
    assert_eq!(backtest(velocity(1), spread).verdicts.hold, 0, "an hour apart, a window of ten minutes");
}

#[test]
fn twenty_thousand_events_out_of_order_are_judged_as_in_order_and_little_is_kept() {
    let entry = |n: i64| payment(&format!("EV-{n}"), n * 500, &format!("oPayer{}", n % 700), "");
    let straight = backtest(velocity(1), (0..20_000).map(entry));
    // As callbacks end: each group of a hundred (50 s) backwards.
    let groups = (0..200).flat_map(|group| (0..100).rev().map(move |n| group * 100 + n));
    let mut crooked = Backtest::new(velocity(1), None, Order::default());
    let mut most = (0, 0, 0);
    for n in groups {
        crooked.take(entry(n));
        let kept = crooked.kept();
        most = (most.0.max(kept.0), most.1.max(kept.1), most.2.max(kept.2));
    }
    let crooked = crooked.finish();
    assert_eq!(crooked, straight);
    assert_eq!((straight.events, straight.late), (20_000, 0));
    assert!(straight.verdicts.hold > 10_000, "{:?}", straight.verdicts);
    assert!(most.0 <= 250, "{} waited: the slack is 120 events", most.0);
    assert!(most.1 <= 20_000 && most.2 <= 8192, "{most:?}");
}

#[test]
fn what_is_out_of_order_by_more_than_the_slack_is_judged_and_told() {
    let entries = [("a", 0), ("b", 200_000), ("c", 300_000), ("d", 1_000)];
    let report = backtest(velocity(5), entries.map(|(id, after)| payment(id, after, "oPayer", "")));
    assert_eq!((report.events, report.late), (4, 1));
    let order = Order { slack: Duration::from_hours(1), most: 2 };
    let mut narrow = Backtest::new(velocity(5), None, order);
    for n in 0..100 {
        narrow.take(payment(&format!("EV-{n}"), n, "oPayer", ""));
        assert!(narrow.kept().0 <= 2, "the bound holds whatever the slack");
    }
}

#[test]
fn events_before_the_time_asked_for_move_counters_and_are_not_told() {
    let since = UnixTime::from_millis(NOON + 4_500);
    let mut backtest = Backtest::new(velocity(5), Some(since), Order::default());
    (0..8).for_each(|n| backtest.take(payment(&format!("EV-{n}"), n * 1000, "oPayer", "")));
    let report = backtest.finish();
    assert_eq!((report.events, report.before, report.verdicts.hold), (3, 5, 3));
}

#[test]
fn what_was_not_asked_when_an_event_was_recorded_is_not_known_rather_than_no() {
    let body = "lists: [ { name: blocked, type: string, source: { dynamic: true }, empty: allow } ]\n\
        rules:\n  - { id: WXP-1001, title: t, when: event.kind == Kind.TRANSACTION && has(order) && event.amount.total != order.amount_total, action: hold, reason: r, mode: shadow }\n  \
        - { id: WXP-1002, title: t, when: event.kind == Kind.TRANSACTION && event.payer.openid in list.blocked, action: hold, reason: r, mode: shadow }\n";
    let entry = |more: &str| payment("EV-1", 0, "oPayer", &format!(",\"event.out_trade_no\":\"ORDER-1\"{more}"));
    let report = backtest(sets(body), [entry("")]);
    assert_eq!((report.without_order, report.without_lists, report.degraded), (1, 1, 1));
    assert_eq!((report.rules[1].errors, report.rules[1].error.as_deref()), (1, Some("the list could not be asked")));
    let known = r#","order":{"amount_total":99},"lists":{"blocked":{"event.payer.openid":true}}"#;
    let report = backtest(sets(body), [entry(known)]);
    assert_eq!((report.without_order, report.without_lists, report.degraded), (0, 0, 0));
    assert_eq!(report.rules.iter().map(|rule| rule.hits).collect::<Vec<_>>(), [1, 1]);
    let absent = r#","order":false,"lists":{"blocked":{"event.payer.openid":false}}"#;
    let report = backtest(sets(body), [entry(absent)]);
    assert_eq!((report.without_order, report.degraded, report.verdicts.allow), (0, 0, 1));
}

#[test]
fn what_differs_from_the_recorded_decision_is_told() {
    let mut entries: Vec<Entry> = (0..3).map(|n| payment(&format!("EV-{n}"), n, "oPayer", "")).collect();
    for entry in &mut entries {
        entry.action = Some(Action::Allow);
    }
    let report = backtest(velocity(1), entries);
    let change = &report.against_recorded[0];
    assert_eq!((change.was, change.now, change.events, &*change.samples[0].event), ("allow", "hold", 2, "EV-1"));
}

#[test]
fn events_of_other_protocols_are_not_judged() {
    let mut message = payment("EV-1", 0, "oPayer", "");
    message.family = Some(Family::Message);
    let kindless = r#"{"event.id":"EV-2","event.kind":"MESSAGE","now":0}"#;
    let report = backtest(velocity(1), [message, read_line(kindless.as_bytes()).unwrap().unwrap()]);
    assert_eq!((report.events, report.unjudged), (0, 2));
}

#[test]
fn a_change_of_rules_is_told_by_rule_with_a_sample_and_no_change_is_none() {
    let run = |new: Vec<Arc<RuleSet>>| {
        let mut comparison = Comparison::new(velocity(5), new, None, Order::default());
        (0..8).for_each(|n| comparison.take(payment(&format!("EV-{n}"), n * 1000, "oPayer", "")));
        comparison.finish()
    };
    assert!(run(velocity(5)).is_empty());
    let stricter = run(velocity(3));
    assert_eq!((stricter.events, stricter.changed), (8, 2));
    assert_eq!((stricter.verdicts[0].was, stricter.verdicts[0].now), ("allow", "hold"));
    let rule = &stricter.rules[0];
    assert_eq!((rule.gained, rule.lost, rule.acts_gained), (2, 0, 2));
    assert_eq!((rule.samples[0].0, &*rule.samples[0].1.event), ("gained", "EV-3"));
    let milder = run(velocity(7));
    assert_eq!((milder.rules[0].lost, milder.rules[0].acts_lost, milder.verdicts[0].now), (2, 2, "allow"));
    let body = format!(
        "{MACROS}{COUNTERS}rules:\n  - {{ id: WXP-2001, when: paid && counter.pays > 5, title: t, mode: shadow, action: hold, reason: r }}\n"
    );
    let shadow = run(sets(&body));
    let rule = &shadow.rules[0];
    assert_eq!((rule.gained, rule.lost, rule.acts_lost, rule.samples[0].0), (0, 0, 3, "rests"));
    assert_eq!((shadow.changed, shadow.shadow_verdicts.len()), (3, 0));
    let gone = run(Vec::new());
    assert_eq!((gone.events, gone.rules[0].lost), (8, 3));
}

const EXPLAINED: &str = "score: { thresholds: { flag: 10, hold: 30 }, cap_per_category: { velocity: 40 } }\n\
    rules:\n\
    \x20 - id: WXP-2001\n\
    \x20   title: many\n\
    \x20   category: velocity\n\
    \x20   when: paid && (counter.pays > 2 || event.amount.total > yuan(5))\n\
    \x20   score: 30\n\
    \x20   reason: many\n\
    \x20   mode: shadow\n\
    \x20   exceptions:\n\
    \x20     - { name: vending, when: event.payer.openid == \"oVending0001\", owner: ops, expires: 2027-01-01, why: one machine }\n\
    \x20 - { id: WXP-2002, title: t, category: velocity, when: paid && counter.pays > 1, score: 35, reason: r, mode: enforce, tests: [ { name: two, history: { counter: pays, value: 1 }, expect: { fires: true } }, { name: one, expect: { fires: false } } ] }\n\
    \x20 - { id: WXP-2003, title: t, category: velocity, when: paid && counter.pays > 0, score: 35, reason: r, mode: enforce, tests: [ { name: one, expect: { fires: true } }, { name: other, event: { kind: REFUND }, expect: { fires: false } } ] }\n";

#[test]
fn an_event_is_explained_part_by_part_with_counters_exceptions_and_score() {
    let sets = sets(&format!("{MACROS}{COUNTERS}{EXPLAINED}"));
    let mut trial = Trial::new(sets);
    (0..2).for_each(|n| drop(trial.judge(&payment(&format!("EV-{n}"), n, "oPayer000001", ""))));
    let explained = trial.explain("WXP-2001", &payment("EV-2", 2, "oPayer000001", "")).unwrap();
    assert_eq!((explained.outcome, explained.enforced, explained.score), ("fires", false, 30));
    let parts: Vec<(usize, &str, Option<&str>)> =
        explained.parts.iter().map(|part| (part.depth, &*part.text, part.value.as_deref())).collect();
    assert_eq!(
        parts,
        [
            (0, "paid && (counter.pays > 2 || event.amount.total > yuan(5))", Some("true")),
            (1, "paid", Some("true")),
            (2, "event.kind == Kind.TRANSACTION", Some("true")),
            (3, "event.kind", Some("TRANSACTION")),
            (1, "counter.pays > 2 || event.amount.total > yuan(5)", Some("true")),
            (2, "counter.pays > 2", Some("true")),
            (3, "counter.pays", Some("3")),
            (2, "event.amount.total > yuan(5)", Some("false")),
            (3, "event.amount.total", Some("¥1.00")),
        ]
    );
    let counter = &explained.counters[0];
    assert_eq!((&*counter.counter, counter.before, counter.after, counter.from), ("pays", Some(2), Some(3), "counted"));
    let exception = &explained.exceptions[0];
    assert_eq!((&*exception.exception, exception.holds, exception.expired), ("vending", Some(false), false));
    assert_eq!(
        explained.steps,
        [
            "WXP-2001 hits: +30, in shadow",
            "WXP-2002 hits: +35",
            "WXP-2003 hits: +35",
            "shop: category velocity adds up to 70, capped at 40",
            "score 40, with rules in shadow 40",
            "the event becomes `hold`, with rules in shadow `hold`",
        ]
    );
    assert_eq!(explained.verdict, "hold");
    assert!(trial.explain("WXP-9999", &payment("EV-3", 3, "o", "")).is_none());
}

#[test]
fn recorded_counters_explain_an_event_without_its_past() {
    let mut trial = Trial::new(sets(&format!("{MACROS}{COUNTERS}{EXPLAINED}")));
    let entry = payment("EV-9", 0, "oVending0001", r#","counters":{"shop":{"pays":[8,9]}}"#);
    let explained = trial.explain("WXP-2001", &entry).unwrap();
    assert_eq!(explained.outcome, "excepted");
    let counter = &explained.counters[0];
    assert_eq!((counter.before, counter.after, counter.from), (Some(8), Some(9), "recorded"));
    let shown = serde_json::to_string(&explained).unwrap();
    assert!(shown.contains("oV***01"), "who paid is masked: {shown}");
    assert!(explained.notes.is_empty(), "{:?}", explained.notes);
}
