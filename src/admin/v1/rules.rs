//! Rules at work over the API: what they did since the gateway started, and snoozes.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::reply::{Problem, Reply, json as reply};
use super::forms::rfc3339;
use super::query::Query;
use super::{Who, audit, from_json, not_found, register_problem, unavailable};
use crate::gate::{Gate, MOST_SNOOZES};
use crate::risk::backtest::mode_name;
use crate::risk::{LONGEST_SNOOZE, RuleInfo, RuleSet, Snooze};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SnoozeForm {
    field: String,
    value: String,
    /// How long, by the gateway's clock.
    seconds: u64,
}

/// All rule sets that endpoints judge by.
pub(super) fn status(gate: &Gate, asked: Query) -> Result<Reply, Problem> {
    asked.finish()?;
    let routes = gate.routes();
    let mut sets: Vec<(Arc<RuleSet>, Vec<String>)> = Vec::new();
    for endpoint in routes.endpoints() {
        for set in endpoint.policy().sets() {
            let name = endpoint.name().to_string();
            match sets.iter_mut().find(|(known, _)| known.name() == set.name()) {
                Some((_, endpoints)) => endpoints.push(name),
                None => sets.push((Arc::clone(set), vec![name])),
            }
        }
    }
    sets.sort_by(|(one, _), (other, _)| one.name().cmp(other.name()));
    let sets: Vec<Value> = sets.into_iter().map(|(set, endpoints)| set_form(gate, &set, endpoints)).collect();
    Ok(reply(StatusCode::OK, &json!({ "since": rfc3339(gate.since()), "sets": sets, "snoozes": snooze_forms(gate) })))
}

fn set_form(gate: &Gate, set: &RuleSet, mut endpoints: Vec<String>) -> Value {
    endpoints.sort();
    let rule = |rule: RuleInfo<'_>| {
        let tally = gate.observe().rule(rule.id);
        json!({
            "rule": rule.id, "title": rule.title, "category": rule.category, "mode": mode_name(rule.mode),
            "hits": tally.hits, "acts": tally.acts, "errors": tally.errors, "excepted": tally.excepted,
            "snoozed": tally.snoozed, "last_hit": tally.last_hit.map(rfc3339),
        })
    };
    json!({
        "set": set.name(), "version": set.version(), "schema": set.family().name(), "digest": set.digest(),
        "loaded_at": gate.observe().rules_loaded_at(set).map(rfc3339), "endpoints": endpoints,
        "rules": set.rules().map(rule).collect::<Vec<_>>(),
    })
}

fn snooze_forms(gate: &Gate) -> Vec<Value> {
    let now = gate.clock().now();
    let current = gate.snoozes().current();
    current.iter().filter(|snooze| now < snooze.until()).map(snooze_form).collect()
}

fn snooze_form(snooze: &Snooze) -> Value {
    json!({
        "rule": snooze.rule(), "field": snooze.field(), "value": snooze.value(), "until": rfc3339(snooze.until()),
    })
}

pub(super) async fn snoozes(gate: &Gate, asked: Query) -> Result<Reply, Problem> {
    asked.finish()?;
    gate.snoozes().refresh(gate.store(), gate.clock().now()).await.map_err(unavailable)?;
    Ok(reply(StatusCode::OK, &json!({ "snoozes": snooze_forms(gate) })))
}

pub(super) async fn snooze(gate: &Gate, who: Who, rule: &str, body: &[u8]) -> Result<Reply, Problem> {
    let form: SnoozeForm = from_json(body)?;
    let began = begin(gate, rule, &form).await;
    audit(gate, who, "snooze", &format!("rules/{rule}"), &format!("{}={}", form.field, form.value), &began);
    Ok(reply(StatusCode::OK, &snooze_form(&began?)))
}

async fn begin(gate: &Gate, rule: &str, form: &SnoozeForm) -> Result<Snooze, Problem> {
    let is_at_work = |rule: &str| {
        let routes = gate.routes();
        let mut sets = routes.endpoints().flat_map(|endpoint| endpoint.policy().sets());
        sets.any(|set| set.rules().any(|known| **known.id == *rule))
    };
    if !is_at_work(rule) {
        return Err(not_found("no endpoint judges by a rule of this id; GET /v1/rules has them all"));
    }
    let bad = |message: String| Problem::new(StatusCode::BAD_REQUEST, "bad-body", message);
    if form.seconds == 0 || Duration::from_secs(form.seconds) > LONGEST_SNOOZE {
        let days = LONGEST_SNOOZE.as_secs() / (24 * 3600);
        return Err(bad(format!("`seconds` is from 1 to {days} days: what is quiet for longer is an exception")));
    }
    let now = gate.clock().now();
    let until = now.plus(Duration::from_secs(form.seconds));
    let snooze = Snooze::new(rule, &form.field, &form.value, until, now);
    let snooze = snooze.ok_or_else(|| {
        bad(format!("`{}` is no field with a text; `wxgate rules schema --expressions` lists them", form.field))
    })?;
    if gate.snoozes().current().len() >= MOST_SNOOZES {
        let message = format!("there are {MOST_SNOOZES} snoozes already: write an exception, or end some");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "full", message));
    }
    gate.snoozes().begin(gate.store(), &snooze, now).await.map_err(register_problem)?;
    Ok(snooze)
}

pub(super) async fn wake(gate: &Gate, who: Who, rule: &str, mut asked: Query) -> Result<Reply, Problem> {
    let (field, value) = (asked.take("field").unwrap_or_default(), asked.take("value").unwrap_or_default());
    asked.finish()?;
    let now = gate.clock().now();
    let known = || not_found("there is no such snooze; GET /v1/snoozes has them all");
    let ended = match Snooze::new(rule, &field, &value, now, now) {
        None => Err(known()),
        Some(snooze) => match gate.snoozes().end(gate.store(), &snooze, now).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(known()),
            Err(error) => Err(unavailable(error)),
        },
    };
    audit(gate, who, "wake", &format!("rules/{rule}"), &format!("{field}={value}"), &ended);
    ended?;
    Ok(reply(StatusCode::OK, &json!({ "rule": rule, "field": field, "value": value, "ended": true })))
}
