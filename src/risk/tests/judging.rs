//! What a policy makes of events, by the answers of a store in memory.

use core::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{NOON, load_one, set};
use crate::clock::UnixTime;
use crate::event::Event;
use crate::risk::ask::{Answers, Order};
use crate::risk::model::Model;
use crate::risk::schema::{Around, Facts};
use crate::risk::{Action, Decided, Policy, RuleSet, Snooze, Verdict};

/// A policy with the store that it asks.
struct World {
    policy: Policy,
    model: Model,
    now: UnixTime,
    snoozes: Vec<Snooze>,
}

fn rule_set(body: &str) -> Arc<RuleSet> {
    let loaded = load_one(&set(body)).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    Arc::clone(&loaded.sets[0])
}

fn world(body: &str) -> World {
    World { policy: Policy::new([rule_set(body)]), model: Model::default(), now: NOON, snoozes: Vec::new() }
}

/// A payment of `yuan` with that id.
fn payment(id: &str, yuan: i64) -> Event {
    let text = |text: &str| Some(text.to_owned());
    Event {
        id: id.to_owned(),
        kind: "wechatpay.transaction.success".to_owned(),
        mchid: text("1900000001"),
        appid: text("wxa"),
        out_trade_no: text(&format!("ORDER-{id}")),
        transaction_id: text(id),
        trade_state: text("SUCCESS"),
        trade_type: text("NATIVE"),
        payer: text("oUpf8uMuAJO_M2pxb1Q9zNjWeS6o"),
        success_time: Some(NOON),
        amount_total: Some(yuan * 100),
        amount_payer_total: Some(yuan * 100),
        currency: text("CNY"),
        ..Event::default()
    }
}

impl World {
    fn judge(&mut self, event: &Event) -> Verdict {
        let around = Around::new(self.now, IpAddr::from([203, 0, 113, 9]), "shop");
        let facts = Facts::from_event(event, &around);
        let mut inquiry = self.policy.ask(&facts);
        let mut answers = self.model.claim(&event.id, inquiry.asks(), self.now);
        if inquiry.is_waiting() {
            let late = self.policy.ask_late(&facts, &mut inquiry, &answers);
            answers.counters.extend(self.model.claim(&event.id, &late, self.now).counters);
        }
        self.policy.judge(&facts, &inquiry, &answers, &self.snoozes)
    }
}

/// Rules as `ID when EFFECT`, one a line.
fn rules(head: &str, lines: &[(&str, &str, &str)]) -> String {
    let rule = |(id, when, effect): &(&str, &str, &str)| {
        format!("  - {{ id: {id}, title: t, when: '{when}', reason: r, {effect} }}\n")
    };
    format!("{head}rules:\n{}", lines.iter().map(rule).collect::<String>())
}

const LARGE: &str = "event.kind == Kind.TRANSACTION && event.amount.total >= yuan(1000)";
const ANY: &str = "event.kind == Kind.TRANSACTION";
const MANY: &str = "counters: [ { name: pays, count: events, when: event.kind == Kind.TRANSACTION, \
                    key: [event.appid, event.payer.openid], window: 10m } ]\n";

#[test]
fn a_policy_without_rules_asks_nothing_and_clears_everything() {
    let policy = Policy::default();
    let event = payment("E1", 1);
    let facts = Facts::from_event(&event, &Around::new(NOON, IpAddr::from([203, 0, 113, 9]), "shop"));
    let inquiry = policy.ask(&facts);
    assert_eq!(*inquiry.asks(), crate::risk::ask::Asks::default());
    let verdict = policy.judge(&facts, &inquiry, &Answers::default(), &[]);
    assert_eq!((verdict.action(), verdict.score(), verdict.is_degraded()), (Action::Allow, 0, false));
    assert!(matches!(policy.conclude(42, verdict), Decided::Cleared(cleared) if *cleared.subject() == 42));
}

#[test]
fn every_hit_is_told_and_the_strongest_action_wins() {
    let mut world = world(&rules(
        "",
        &[
            ("WXP-1001", ANY, "action: flag"),
            ("WXP-1002", LARGE, "action: reject, answer: swallow"),
            ("WXP-1003", LARGE, "action: hold, hold_for: 2h, on_expiry: release"),
        ],
    ));
    let small = world.judge(&payment("E1", 1));
    assert_eq!((small.action(), small.rules().collect::<Vec<_>>()), (Action::Flag, vec!["WXP-1001"]));
    let large = world.judge(&payment("E2", 1000));
    assert_eq!(large.action(), Action::Reject);
    assert_eq!(large.rules().collect::<Vec<_>>(), ["WXP-1001", "WXP-1002", "WXP-1003"]);
    assert_eq!(large.answer(), crate::risk::RejectAnswer::Swallow);
    assert_eq!(large.hold().unwrap().hold_for, Duration::from_hours(2));
    assert!(matches!(world.policy.conclude((), large), Decided::Rejected { .. }));
    assert!(matches!(world.policy.conclude((), small), Decided::Cleared(_)));
}

#[test]
fn scores_add_up_to_the_cap_of_their_category_and_thresholds_act() {
    let head = "score: { thresholds: { flag: 30, hold: 60 }, cap_per_category: { velocity: 40 } }\n";
    let mut world = world(&rules(
        head,
        &[
            ("WXP-1001", ANY, "score: 30, category: velocity"),
            ("WXP-1002", "has(event.payer.openid)", "score: 30, category: velocity"),
            ("WXP-1003", LARGE, "score: 25, category: amount"),
            ("WXP-1004", "has(event.attach)", "score: -50"),
        ],
    ));
    let small = world.judge(&payment("E1", 1));
    assert_eq!((small.score(), small.action()), (40, Action::Flag), "two of one cause are not two causes");
    let large = world.judge(&payment("E2", 1000));
    assert_eq!((large.score(), large.action()), (65, Action::Hold));
    let forgiven = world.judge(&Event { attach: Some("vm".to_owned()), ..payment("E3", 1000) });
    assert_eq!((forgiven.score(), forgiven.action()), (15, Action::Allow));
}

#[test]
fn an_allow_removes_only_the_hits_that_it_names() {
    let head = "score: { thresholds: { hold: 60 } }\n";
    let trusted = "event.attach.orValue(\"\") == \"trusted\"";
    let lines = [
        ("WXP-1001", ANY, "score: 60, category: velocity"),
        ("WXP-1002", LARGE, "action: flag, category: listed"),
        ("WXP-1003", trusted, "action: allow, only: [velocity]"),
    ];
    let mut world = world(&rules(head, &lines));
    let trusted = Event { attach: Some("trusted".to_owned()), ..payment("E1", 1000) };
    let verdict = world.judge(&trusted);
    assert_eq!((verdict.action(), verdict.score()), (Action::Flag, 0), "the listed hit stays");
    let allowed: Vec<_> = verdict.hits().iter().map(|hit| hit.allowed_by.as_deref()).collect();
    assert_eq!(allowed, [Some("WXP-1003"), None, None], "and what was allowed is told");
    assert_eq!(world.judge(&payment("E2", 1000)).action(), Action::Hold);
}

#[test]
fn an_allow_in_shadow_lets_nothing_through() {
    let mut world = world(&rules(
        "",
        &[
            ("WXP-1001", ANY, "action: hold, category: velocity"),
            ("WXP-1002", ANY, "action: allow, only: [velocity], mode: shadow"),
        ],
    ));
    let verdict = world.judge(&payment("E1", 1));
    assert_eq!((verdict.action(), verdict.shadow_action()), (Action::Hold, Action::Allow));
}

#[test]
fn shadow_rules_are_told_and_change_nothing() {
    let head = "score: { thresholds: { flag: 30, hold: 60 } }\n";
    let mut world = world(&rules(
        head,
        &[
            ("WXP-1001", ANY, "score: 30"),
            ("WXP-1002", LARGE, "score: 40, mode: shadow"),
            ("WXP-1003", LARGE, "action: reject, mode: shadow"),
            ("WXP-1004", "has(event.id)", "action: reject, mode: off"),
        ],
    ));
    let verdict = world.judge(&payment("E1", 1000));
    assert_eq!((verdict.score(), verdict.action()), (30, Action::Flag));
    assert_eq!((verdict.shadow_score(), verdict.shadow_action()), (70, Action::Reject));
    assert_eq!(verdict.rules().collect::<Vec<_>>(), ["WXP-1001"]);
    assert_eq!(verdict.hits().len(), 3, "a rule that is off is not even evaluated");
}

#[test]
fn a_percentage_is_of_events_always_the_same_and_only_grows() {
    let of = |part: u8| world(&rules("", &[("WXP-1001", ANY, &format!("action: hold, mode: {{ enforce: {part}% }}"))]));
    let held = |world: &mut World| -> Vec<bool> {
        (0..300).map(|n| world.judge(&payment(&format!("E{n}"), 1)).action() == Action::Hold).collect()
    };
    let (mut ten, mut thirty) = (of(10), of(30));
    let of_ten = held(&mut ten);
    assert_eq!(held(&mut ten), of_ten, "again the same");
    let of_thirty = held(&mut thirty);
    assert!(of_ten.iter().zip(&of_thirty).all(|(ten, thirty)| !ten || *thirty), "more only adds");
    let count = |held: &[bool]| held.iter().filter(|held| **held).count();
    assert!((10..60).contains(&count(&of_ten)) && (60..130).contains(&count(&of_thirty)));
}

const EXCEPTED: &str = "rules:
  - id: WXP-1001
    title: t
    when: event.kind == Kind.TRANSACTION
    action: hold
    reason: r
    exceptions:
      - { name: machines, when: event.attach.orValue(\"\") == \"vm\", owner: ops, why: w, expires: 2026-03-01 }
";

#[test]
fn an_exception_works_until_its_last_day_is_over_in_the_zone_of_the_set() {
    let mut world = world(EXCEPTED);
    let machine = Event { attach: Some("vm".to_owned()), ..payment("E1", 1) };
    let midnight = NOON.plus(Duration::from_hours(12));
    world.now = midnight.minus(Duration::from_secs(1));
    let verdict = world.judge(&machine);
    assert_eq!((verdict.action(), &*verdict.excepted()[0].exception), (Action::Allow, "machines"));
    assert_eq!(world.judge(&payment("E2", 1)).action(), Action::Hold);
    world.now = midnight;
    assert_eq!(world.judge(&machine).action(), Action::Hold);
}

#[test]
fn a_snooze_is_of_one_rule_one_value_and_a_time() {
    let mut world = world(&rules("", &[("WXP-1001", ANY, "action: hold"), ("WXP-1002", ANY, "action: flag")]));
    let until = NOON.plus(Duration::from_hours(1));
    let snooze = |value: &str, until| Snooze::new("WXP-1001", "event.payer.openid", value, until, NOON).unwrap();
    world.snoozes = vec![snooze("oUpf8uMuAJO_M2pxb1Q9zNjWeS6o", until)];
    let verdict = world.judge(&payment("E1", 1));
    assert_eq!((verdict.action(), &*verdict.snoozed()[0]), (Action::Flag, "WXP-1001"));
    let other = Event { payer: Some("oOther".to_owned()), ..payment("E2", 1) };
    assert_eq!(world.judge(&other).action(), Action::Hold);
    world.now = until;
    assert_eq!(world.judge(&payment("E3", 1)).action(), Action::Hold);
    assert_eq!(snooze("x", NOON.plus(Duration::from_hours(90 * 24))).until(), NOON.plus(crate::risk::LONGEST_SNOOZE));
    assert_eq!(Snooze::new("WXP-1001", "event.payr", "x", until, NOON), None);
}

#[test]
fn an_event_moves_counters_once_and_gets_the_same_verdict_again() {
    let when = "event.kind == Kind.TRANSACTION && counter.pays > 2";
    let mut world = world(&rules(MANY, &[("WXP-1001", when, "action: hold")]));
    assert_eq!(world.judge(&payment("E1", 1)).action(), Action::Allow);
    assert_eq!(world.judge(&payment("E2", 1)).action(), Action::Allow);
    let third = world.judge(&payment("E3", 1));
    assert_eq!(third.action(), Action::Hold, "the third one is counted with itself");
    assert_eq!(world.judge(&payment("E2", 1)).action(), Action::Allow, "and the second one stays the second");
    assert_eq!(world.judge(&payment("E3", 1)), third);
    let other = Event { payer: Some("oOther".to_owned()), ..payment("E4", 1) };
    assert_eq!(world.judge(&other).action(), Action::Allow, "another key counts apart");
}

#[test]
fn what_the_store_cannot_tell_is_never_zero() {
    let counted = "event.kind == Kind.TRANSACTION && counter.pays > 2";
    let on = |head: &str, effect: &str| {
        let mut world = world(&rules(head, &[("WXP-1001", counted, effect)]));
        world.model.set_down(true);
        world.judge(&payment("E1", 1))
    };
    let by_default = on(MANY, "action: hold");
    assert!(by_default.is_degraded());
    assert_eq!((by_default.action(), by_default.errors().len()), (Action::Flag, 1));
    assert_eq!(on(MANY, "action: flag, on_error: hold").action(), Action::Hold, "the rule's word");
    let strict = MANY.replace("window", "on_error: reject, window");
    assert_eq!(on(&strict, "action: flag").action(), Action::Reject, "the counter's word");
    assert_eq!(
        on(&strict, "action: flag, on_error: ignore").action(),
        Action::Allow,
        "the rule's before the counter's"
    );
    let lax = format!("defaults: {{ on_error: ignore }}\n{MANY}");
    assert_eq!(on(&lax, "action: hold").action(), Action::Allow, "the set's word");
    let shadow = on(MANY, "action: hold, mode: shadow, on_error: reject");
    assert_eq!((shadow.action(), shadow.shadow_action()), (Action::Allow, Action::Reject));
    let errors = serde_json::to_value(&by_default).unwrap();
    assert_eq!(errors["errors"][0]["rule"], "WXP-1001");
    assert_eq!(errors["degraded"], true);
}

#[test]
fn a_counter_that_this_event_has_no_key_for_is_zero_and_no_outage() {
    let mut world = world(&rules(MANY, &[("WXP-1001", "counter.pays > 2", "action: hold")]));
    let refund = Event {
        kind: "wechatpay.refund.success".to_owned(),
        refund_status: Some("SUCCESS".to_owned()),
        payer: None,
        appid: None,
        ..payment("R1", 1)
    };
    let verdict = world.judge(&refund);
    assert_eq!((verdict.action(), verdict.is_degraded(), verdict.errors().len()), (Action::Allow, false, 0));
}

#[test]
fn messages_and_what_a_condition_saw_mask_who_paid() {
    let effect =
        "action: flag, message: \"{{event.payer.openid}} paid {{event.amount.total | yuan}} at {{now | time}}\"";
    let when = "event.kind == Kind.TRANSACTION && event.payer.openid != \"\" && event.amount.total > fen(1)";
    let mut world = world(&rules("", &[("WXP-1001", when, effect)]));
    let verdict = world.judge(&payment("E1", 88));
    let hit = &verdict.hits()[0];
    assert_eq!(hit.message.as_deref(), Some("oU***6o paid ¥88.00 at 2026-03-01 12:00:00"));
    assert!(hit.saw.contains(&("event.amount.total".to_owned(), "¥88.00".to_owned())), "{:?}", hit.saw);
    let json = serde_json::to_string(&verdict).unwrap();
    assert!(!json.contains("oUpf8uMuAJO"), "{json}");
    assert!(json.contains(r#""action":"flag""#) && json.contains(&**world.policy.sets().next().unwrap().digest()));
}

#[test]
fn the_order_is_asked_for_and_judged_by() {
    let when = "event.kind == Kind.TRANSACTION && has(order) && event.amount.total != order.amount_total";
    let mut world = world(&rules("", &[("WXP-1001", when, "action: hold")]));
    let order = Order { amount_total: 8800, currency: "CNY".to_owned(), ..Order::default() };
    world.model.put_order("ORDER-E1", order);
    assert_eq!(world.judge(&payment("E1", 87)).action(), Action::Hold);
    assert_eq!(world.judge(&payment("E1", 88)).action(), Action::Allow);
    assert_eq!(world.judge(&payment("E2", 87)).action(), Action::Allow, "no order is known");
}

#[test]
fn a_counter_keyed_by_the_order_is_asked_in_a_second_round() {
    let head = "counters: [ { name: payers, distinct: event.id, when: has(order.client_ip), key: [order.client_ip], window: 1h } ]\n";
    let mut world = world(&rules(head, &[("WXP-1001", "has(order.client_ip) && counter.payers > 2", "action: hold")]));
    for n in 0..3 {
        let order = Order { client_ip: Some("198.51.100.7".to_owned()), ..Order::default() };
        world.model.put_order(&format!("ORDER-E{n}"), order);
    }
    let actions: Vec<Action> = (0..4).map(|n| world.judge(&payment(&format!("E{n}"), 1)).action()).collect();
    assert_eq!(actions, [Action::Allow, Action::Allow, Action::Hold, Action::Allow]);
}

#[test]
fn a_list_of_the_store_is_asked_about_the_value() {
    let head = "lists: [ { name: blocked, type: string, source: { dynamic: true }, empty: allow } ]\n";
    let when = "event.kind == Kind.TRANSACTION && event.payer.openid in list.blocked";
    let mut world = world(&rules(head, &[("WXP-1001", when, "action: hold")]));
    assert_eq!(world.judge(&payment("E1", 1)).action(), Action::Allow);
    world.model.add_to_list("blocked", "oUpf8uMuAJO_M2pxb1Q9zNjWeS6o");
    assert_eq!(world.judge(&payment("E2", 1)).action(), Action::Hold);
    world.model.set_down(true);
    let verdict = world.judge(&payment("E3", 1));
    assert_eq!((verdict.action(), verdict.is_degraded()), (Action::Flag, true));
}

#[test]
fn an_order_that_could_not_be_looked_up_is_no_missing_order() {
    let missing = "event.kind == Kind.TRANSACTION && !has(order)";
    let other = "event.kind == Kind.TRANSACTION && has(order) && event.amount.total != order.amount_total";
    for when in [missing, other] {
        let mut world = world(&rules("", &[("WXP-1001", when, "action: reject")]));
        world.model.set_down(true);
        let verdict = world.judge(&payment("E1", 1));
        assert_eq!(
            (verdict.action(), verdict.is_degraded(), verdict.errors().len()),
            (Action::Flag, true, 1),
            "{when}"
        );
    }
}

#[test]
fn rules_that_are_off_ask_for_nothing() {
    let when = "event.kind == Kind.TRANSACTION && counter.pays > 2";
    let mut world = world(&rules(MANY, &[("WXP-1001", when, "action: hold, mode: off")]));
    world.model.set_down(true);
    assert!(!world.judge(&payment("E1", 1)).is_degraded());
}

#[test]
fn local_time_is_that_of_the_set() {
    let night =
        |zone: &str| world(&rules(&format!("timezone: {zone}\n"), &[("WXP-1001", "local.hour < 6", "action: flag")]));
    let at = NOON.minus(Duration::from_hours(7)); // 05:00 in Beijing, 21:00 the day before in London
    let action = |mut world: World| {
        world.now = at;
        world.judge(&payment("E1", 1)).action()
    };
    assert_eq!(action(night("Asia/Shanghai")), Action::Flag);
    assert_eq!(action(night("Europe/London")), Action::Allow);
}

#[test]
fn several_sets_judge_together_each_by_its_own_thresholds() {
    let one = rule_set(&rules("score: { thresholds: { hold: 60 } }\n", &[("WXP-1001", ANY, "score: 40")]));
    let two = rule_set(&rules(
        &format!("score: {{ thresholds: {{ flag: 30 }} }}\n{MANY}"),
        &[("WXP-2001", "event.kind == Kind.TRANSACTION && counter.pays >= 1", "score: 30")],
    ));
    let mut world = World { policy: Policy::new([one, two]), model: Model::default(), now: NOON, snoozes: Vec::new() };
    let verdict = world.judge(&payment("E1", 1));
    assert_eq!((verdict.score(), verdict.action()), (70, Action::Flag), "40 of 60 and 30 of 30");
    assert_eq!(verdict.sets().len(), 2);
}

/// The counter that a set asks for, of a payment.
fn counter_of(body: &str) -> crate::risk::ask::CounterId {
    let event = payment("E1", 1);
    let facts = Facts::from_event(&event, &Around::new(NOON, IpAddr::from([203, 0, 113, 9]), "shop"));
    Policy::new([rule_set(body)]).ask(&facts).asks().counters[0].id
}

#[test]
fn a_counter_lives_on_when_rules_change_and_starts_afresh_when_it_does() {
    let of = |head: &str, when: &str| counter_of(&rules(head, &[("WXP-1001", when, "action: hold")]));
    let before = of(MANY, "event.kind == Kind.TRANSACTION && counter.pays > 2");
    assert_eq!(of(MANY, "event.kind == Kind.TRANSACTION && counter.pays > 9"), before);
    let by_macro = format!(
        "macros: [ {{ name: paid, expr: event.kind == Kind.TRANSACTION }} ]\n{}",
        MANY.replace("when: event.kind == Kind.TRANSACTION", "when: paid")
    );
    let mut seen = vec![before];
    for head in [
        MANY.replace("10m", "20m"),
        MANY.replace("event.appid, ", ""),
        MANY.replace("count: events", "first_seen: true"),
        MANY.replace("count: events", "sum: event.amount.total"),
        MANY.replace("== Kind.TRANSACTION", "== Kind.TRANSACTION && has(event.attach)"),
        by_macro.clone(),
        by_macro.replace("== Kind.TRANSACTION", "== Kind.TRANSACTION && has(event.attach)"),
    ] {
        let is_first = head.contains("first_seen");
        let when = if is_first { "counter.pays.is_first" } else { "has(counter.pays)" };
        let when = if is_first {
            when
        } else if head.contains("sum") {
            "counter.pays > fen(2)"
        } else {
            "counter.pays > 2"
        };
        let id = of(&head, when);
        assert!(!seen.contains(&id), "{head}");
        seen.push(id);
    }
}

#[test]
fn a_set_is_named_by_all_that_it_is_made_of() {
    let files = || super::starter::starter();
    let digest = |files: &crate::risk::Files| {
        let loaded = crate::risk::load(files, NOON).unwrap_or_else(|problems| panic!("{}", problems[0]));
        loaded.set("payment-risk").map(|set| set.digest().to_string()).unwrap()
    };
    let before = digest(&files());
    assert_eq!(digest(&files().with("lists/mchids.txt", "1900000009\n")), before, "another set's list");
    let text = files().text("payment-risk.yaml").unwrap().to_owned();
    assert_ne!(digest(&files().with("payment-risk.yaml", format!("{text}# a word\n"))), before);
    let people = files().text("lists/people.yaml").unwrap().to_owned();
    assert_ne!(digest(&files().with("lists/people.yaml", format!("{people}# a word\n"))), before);
    let site = "apiVersion: wxgate.rules/v1\nkind: Overrides\nname: site\nversion: 1\n\
                overrides: [ { id: WXP-2002, of_version: 1, set: { score: 41 }, why: tried } ]\n";
    let text = text.replace("fires: true, score: 40, message: '¥20000.01", "fires: true, message: '¥20000.01");
    let overridden = files().with("payment-risk.yaml", text.clone());
    assert_ne!(digest(&overridden.clone().with("site.yaml", site)), digest(&overridden));
}

#[test]
fn an_override_changes_what_it_names() {
    let body = set(&rules("", &[("WXP-1001", ANY, "action: hold")]));
    let site = "apiVersion: wxgate.rules/v1\nkind: Overrides\nname: site\nversion: 1\n\
                overrides: [ { id: WXP-1001, of_version: 3, set: { mode: shadow }, why: too loud } ]\n";
    let files = crate::risk::Files::new("").with("shop.yaml", body).with("site.yaml", site);
    let loaded = crate::risk::load(&files, NOON).unwrap();
    let policy = Policy::new([Arc::clone(&loaded.sets[0])]);
    let mut world = World { policy, model: Model::default(), now: NOON, snoozes: Vec::new() };
    let verdict = world.judge(&payment("E1", 1));
    assert_eq!((verdict.action(), verdict.shadow_action()), (Action::Allow, Action::Hold));
}
