//! Dynamic lists over the API: values that rules look for, each until a time.

use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::super::reply::{Problem, Reply, json as reply};
use super::forms::rfc3339;
use super::orders::TimeForm;
use super::query::Query;
use super::{Who, audit, from_json, not_found, page_limit, register_problem, unavailable};
use crate::gate::Gate;
use crate::risk::did_you_mean;

/// How long a value stays if nobody says.
const USUAL_STAY: Duration = Duration::from_hours(30 * 24);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryForm {
    until: Option<TimeForm>,
}

pub(super) async fn add(gate: &Gate, who: Who, list: &str, value: &str, body: &[u8]) -> Result<Reply, Problem> {
    check_list(gate, list)?;
    let entry = if body.is_empty() { EntryForm::default() } else { from_json(body)? };
    let now = gate.clock().now();
    let until = entry.until.map(|time| time.read()).transpose()?.unwrap_or_else(|| now.plus(USUAL_STAY));
    if until <= now {
        let message = "`until` has passed: to take a value off a list, DELETE it";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "bad-body", message));
    }
    let added = gate.store().list_add(list, value, until).await.map_err(register_problem);
    audit(gate, who, "add", &format!("lists/{list}"), value, &added);
    Ok(reply(StatusCode::OK, &json!({ "list": list, "value": value, "until": rfc3339(until), "new": added? })))
}

/// A slip in the name would fill a list that no rule ever looks into.
fn check_list(gate: &Gate, name: &str) -> Result<(), Problem> {
    let routes = gate.routes();
    let sets = || routes.endpoints().flat_map(|endpoint| endpoint.policy().sets());
    let lists = || sets().flat_map(|set| set.lists());
    match lists().find(|(known, _)| *known == name) {
        Some((_, None)) => Ok(()),
        Some((_, Some(_))) => {
            let message = "this list is kept in the files of the rules: put the value there";
            Err(Problem::new(StatusCode::CONFLICT, "not-dynamic", message))
        }
        None => {
            let known: BTreeSet<&str> =
                lists().filter(|(_, entries)| entries.is_none()).map(|(name, _)| name).collect();
            let hint = if known.is_empty() {
                "none of them has one with `source: { dynamic: true }`".to_owned()
            } else {
                did_you_mean(
                    name,
                    known.iter().copied(),
                    &format!("they have {}", Vec::from_iter(known.clone()).join(", ")),
                )
            };
            Err(not_found(&format!("no rule set that an endpoint names has this list; {hint}")))
        }
    }
}

pub(super) async fn remove(gate: &Gate, who: Who, list: &str, value: &str, asked: Query) -> Result<Reply, Problem> {
    asked.finish()?;
    let removed = gate.store().list_remove(list, value).await.map_err(unavailable);
    let removed = removed.and_then(|was_there| {
        if was_there { Ok(()) } else { Err(not_found("this value is not on the list; GET the list shows what is")) }
    });
    audit(gate, who, "remove", &format!("lists/{list}"), value, &removed);
    removed?;
    Ok(reply(StatusCode::OK, &json!({ "list": list, "removed": value })))
}

pub(super) async fn show(gate: &Gate, list: &str, mut asked: Query) -> Result<Reply, Problem> {
    let limit = page_limit(&mut asked)?;
    let after = asked.take("cursor");
    asked.finish()?;
    let page = gate.store().list_show(list, after.as_deref(), limit).await.map_err(unavailable)?;
    let next = page.values.last().filter(|_| page.has_more).map(|last| last.value.clone());
    let values: Vec<_> =
        page.values.iter().map(|entry| json!({ "value": entry.value, "until": rfc3339(entry.until) })).collect();
    Ok(reply(StatusCode::OK, &json!({ "list": list, "values": values, "next": next })))
}
