//! The API. Each request is one line of [`route`] and one function behind it; a change is audited, whatever came of it.
//!
//! Answers are JSON. What is not done is `{"error":{"code","message"}}`: the code is stable, the message says what to do.

mod forms;
mod query;
mod queues;

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use super::guard::{Denied, Right};
use super::reply::{Problem, Reply};
use crate::gate::Gate;
use crate::observe::Action;
use crate::store::queue::{Queue, RowId};
use query::Query;

/// Largest body of a request, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// Who asks, for the audit log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who {
    pub(super) peer: IpAddr,
    pub(super) right: Right,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// `GET /v1/{queue}`
    List(Queue),
    /// `GET /v1/{queue}/{id}`
    Show(Queue, RowId),
    /// `DELETE /v1/{queue}/{id}`
    Drop(Queue, RowId),
    /// `POST /v1/{queue}/{id}/release`, of `held` and `dead`
    Release(Queue, RowId),
    /// `POST /v1/dead/redrive`
    Redrive,
}

/// The table of routes.
fn route(method: &Method, path: &str) -> Result<Route, Problem> {
    let segments: Vec<&str> = path.strip_prefix("/v1/").unwrap_or_default().split('/').collect();
    match segments.as_slice() {
        ["dead", "redrive"] => one_of(method, &[(Method::POST, Route::Redrive)]),
        [name] => one_of(method, &[(Method::GET, Route::List(queue(name)?))]),
        [name, row] => {
            let (queue, row) = (queue(name)?, id(row)?);
            one_of(method, &[(Method::GET, Route::Show(queue, row)), (Method::DELETE, Route::Drop(queue, row))])
        }
        ["pending", _, "release"] => {
            Err(not_found("a pending event is delivered by itself; `held` and `dead` ones are released"))
        }
        [name, row, "release"] => one_of(method, &[(Method::POST, Route::Release(queue(name)?, id(row)?))]),
        _ => Err(not_found(HERE)),
    }
}

const HERE: &str = "here are /v1/held, /v1/pending and /v1/dead; docs/queues.md has the whole API";

fn queue(name: &str) -> Result<Queue, Problem> {
    Queue::named(name).ok_or_else(|| not_found(HERE))
}

fn id(text: &str) -> Result<RowId, Problem> {
    text.parse().map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "bad-id", format!("{error}")))
}

fn not_found(message: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", message)
}

fn one_of<const N: usize>(method: &Method, known: &[(Method, Route); N]) -> Result<Route, Problem> {
    let allowed: Vec<&str> = known.iter().map(|(method, _)| method.as_str()).collect();
    let message = format!("this path takes {}", allowed.join(" and "));
    let found = known.iter().find(|(known, _)| known == method).map(|(_, route)| *route);
    found.ok_or_else(|| Problem::new(StatusCode::METHOD_NOT_ALLOWED, "bad-method", message))
}

/// Answers one request of somebody who may ask.
pub(super) async fn answer(gate: &Gate, who: Who, request: Request<Incoming>) -> Reply {
    match act(gate, who, request).await {
        Ok(reply) => reply,
        Err(problem) => problem.reply(),
    }
}

async fn act(gate: &Gate, who: Who, request: Request<Incoming>) -> Result<Reply, Problem> {
    let route = route(request.method(), request.uri().path())?;
    let query = Query::read(request.uri().query().unwrap_or_default())?;
    let _body = body(request).await?; // no route of queues takes one; it is read so that the connection ends in order
    match route {
        Route::List(queue) => queues::list(gate, queue, query).await,
        Route::Show(queue, id) => queues::show(gate, who, queue, id, query).await,
        Route::Drop(queue, id) => queues::drop_row(gate, who, queue, id, query).await,
        Route::Release(queue, id) => queues::release(gate, who, queue, id, query).await,
        Route::Redrive => queues::redrive(gate, who, query).await,
    }
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Problem> {
    let message = format!("the body broke off, or is larger than {MAX_BODY} bytes: send fewer at once");
    let read = Limited::new(request.into_body(), MAX_BODY).collect().await;
    read.map(http_body_util::Collected::to_bytes)
        .map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", message))
}

/// The answer to somebody who may not ask.
pub(super) fn refuse(denied: Denied) -> Reply {
    let (status, message) = match denied {
        Denied::Token => (StatusCode::UNAUTHORIZED, "needs `authorization: Bearer TOKEN`, the token of admin.token"),
        Denied::Unset => (StatusCode::UNAUTHORIZED, "for this machine only, since admin.token is not set"),
        Denied::ForeignPage => {
            (StatusCode::FORBIDDEN, "not for pages of others; use the address of this machine, or set admin.token")
        }
    };
    let mut refused = Problem::new(status, "denied", message).reply();
    if status == StatusCode::UNAUTHORIZED {
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    refused
}

/// Audits what somebody did, or could not do.
fn audit<T>(gate: &Gate, who: Who, what: &'static str, of: &str, id: &str, result: &Result<T, Problem>) {
    let (code, detail) = match result {
        Ok(_) => ("done", ""),
        Err(problem) => (problem.code, problem.message.as_str()),
    };
    gate.observe().action(&Action { peer: who.peer, by: who.right.name(), what, of, id, result: code, detail });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_has_one_method_and_one_form() {
        let id = "0a".repeat(24);
        let row: RowId = id.parse().unwrap();
        let routes = [
            ("GET", "/v1/held".to_owned(), Route::List(Queue::Held)),
            ("GET", format!("/v1/pending/{id}"), Route::Show(Queue::Pending, row)),
            ("DELETE", format!("/v1/dead/{id}"), Route::Drop(Queue::Dead, row)),
            ("POST", format!("/v1/held/{id}/release"), Route::Release(Queue::Held, row)),
            ("POST", "/v1/dead/redrive".to_owned(), Route::Redrive),
        ];
        for (method, path, expected) in routes {
            assert_eq!(route(&method.parse().unwrap(), &path).unwrap(), expected);
            let refused = route(&Method::PATCH, &path).unwrap_err();
            assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
            assert!(refused.message.contains(method), "{}", refused.message);
        }
        for path in
            ["/v1", "/v1/", "/v1/held/", "/v1/held/x", "/v1/heldx", "/v1/held/redrive", "/v1//held", "/v1/v1/held"]
        {
            assert!(route(&Method::GET, path).is_err(), "{path}");
        }
        let pending = route(&Method::POST, &format!("/v1/pending/{id}/release")).unwrap_err();
        assert!(pending.message.contains("by itself"), "{}", pending.message);
    }
}
