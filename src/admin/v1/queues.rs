//! The queues over the API.

use http::StatusCode;
use serde_json::json;

use super::super::reply::{Problem, Reply, json as reply};
use super::forms::{PageForm, shown};
use super::query::{Query, time};
use super::{Who, audit, page_limit, unavailable};
use crate::gate::Gate;
use crate::reason::Reason;
use crate::store::queue::desk::DeskError;
use crate::store::queue::{self, Queue, RowId};

pub(super) async fn list(gate: &Gate, queue: Queue, mut asked: Query) -> Result<Reply, Problem> {
    let limit = page_limit(&mut asked)?;
    let query = queue::Query {
        queue,
        endpoint: asked.take("endpoint"),
        reason: asked.take_as("reason", "a reason of docs/reasons.md", |code| {
            Reason::ALL.iter().copied().find(|reason| reason.code() == code)
        })?,
        since: asked.take_as("since", "a time (RFC 3339, or Unix seconds)", time)?,
        until: asked.take_as("until", "a time (RFC 3339, or Unix seconds)", time)?,
        after: asked.take_as("cursor", "a cursor that a list gave as `next`", |text| text.parse().ok())?,
        limit,
    };
    asked.finish()?;
    let page = gate.store().list(&query).await.map_err(unavailable)?;
    Ok(reply(StatusCode::OK, &PageForm::of(&page)))
}

pub(super) async fn show(gate: &Gate, who: Who, queue: Queue, id: RowId, mut asked: Query) -> Result<Reply, Problem> {
    let reveal = asked.take_as("reveal", "`true` or `false`", |text| text.parse().ok())?.unwrap_or(false);
    asked.finish()?;
    let found = gate.store().show(queue, id).await.map_err(Problem::from);
    audit(gate, who, if reveal { "reveal" } else { "show" }, queue.name(), &id.to_string(), &found);
    Ok(reply(StatusCode::OK, &shown(&found?, reveal)))
}

pub(super) async fn release(gate: &Gate, who: Who, queue: Queue, id: RowId, asked: Query) -> Result<Reply, Problem> {
    asked.finish()?;
    let released = gate.store().release(queue, id).await.map_err(Problem::from);
    audit(gate, who, "release", queue.name(), &id.to_string(), &released);
    released?;
    Ok(reply(StatusCode::OK, &json!({ "released": id.to_string(), "from": queue.name() })))
}

pub(super) async fn drop_row(gate: &Gate, who: Who, queue: Queue, id: RowId, asked: Query) -> Result<Reply, Problem> {
    asked.finish()?;
    let dropped = gate.store().drop_row(queue, id).await.map_err(Problem::from);
    audit(gate, who, "drop", queue.name(), &id.to_string(), &dropped);
    dropped?;
    Ok(reply(StatusCode::OK, &json!({ "dropped": id.to_string(), "from": queue.name() })))
}

pub(super) async fn redrive(gate: &Gate, who: Who, mut asked: Query) -> Result<Reply, Problem> {
    let endpoint = asked.take("endpoint");
    asked.finish()?;
    let redriven = gate.store().redrive(endpoint.as_deref()).await.map_err(Problem::from);
    audit(gate, who, "redrive", Queue::Dead.name(), endpoint.as_deref().unwrap_or("*"), &redriven);
    let redriven = redriven?;
    let form = json!({ "moved": redriven.moved, "unopened": redriven.unopened, "more": redriven.is_more });
    Ok(reply(StatusCode::OK, &form))
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        let (status, code) = match error {
            DeskError::NotFound { .. } => (StatusCode::NOT_FOUND, "not-found"),
            DeskError::Busy { .. } => (StatusCode::CONFLICT, "in-flight"),
            DeskError::Unopened { .. } => (StatusCode::CONFLICT, "unopened"),
            DeskError::Store(error) => return unavailable(error),
        };
        Self::new(status, code, error.to_string())
    }
}
