//! The API. Each request is one line of [`route`] and one function behind it; a change is audited, whatever came of it.
//!
//! Answers are JSON. What is not done is `{"error":{"code","message"}}`: the code is stable, the message says what to do.

mod bans;
mod forms;
mod lists;
mod orders;
mod query;
mod queues;
mod rules;

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use super::guard::{Denied, Right};
use super::reply::{Problem, Reply, json};
use crate::gate::Gate;
use crate::observe::Action;
use crate::store::queue::{MOST_LISTED, Queue, RowId};
use crate::store::{RegisterError, StoreError};
use query::Query;

/// Largest body of a request, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// Entries of a page, if the caller does not say.
const USUAL_PAGE: usize = 100;

/// Who asks, for the audit log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who {
    pub(super) peer: IpAddr,
    pub(super) right: Right,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// `GET /v1/keys`
    Keys,
    /// `GET /v1/bans`
    Bans,
    /// `DELETE /v1/bans/{address}`
    LiftBan(IpAddr),
    /// `PUT /v1/orders/{endpoint}/{order_no}`
    PutOrder(String, String),
    /// `GET /v1/orders/{endpoint}/{order_no}`
    GetOrder(String, String),
    /// `POST /v1/orders/{endpoint}`
    PutOrders(String),
    /// `GET /v1/lists/{list}`
    ShowList(String),
    /// `PUT /v1/lists/{list}/{value}`
    AddToList(String, String),
    /// `DELETE /v1/lists/{list}/{value}`
    RemoveFromList(String, String),
    /// `GET /v1/rules`
    Rules,
    /// `GET /v1/snoozes`
    Snoozes,
    /// `PUT /v1/snoozes/{rule}`
    Snooze(String),
    /// `DELETE /v1/snoozes/{rule}`
    Wake(String),
}

/// The table of routes.
fn route(method: &Method, path: &str) -> Result<Route, Problem> {
    let segments: Vec<&str> = path.strip_prefix("/v1/").unwrap_or_default().split('/').collect();
    match segments.as_slice() {
        ["keys"] => one_of(method, &[(Method::GET, Route::Keys)]),
        ["bans"] => one_of(method, &[(Method::GET, Route::Bans)]),
        ["bans", address] => one_of(method, &[(Method::DELETE, Route::LiftBan(bans::address(&word(address)?)?))]),
        ["dead", "redrive"] => one_of(method, &[(Method::POST, Route::Redrive)]),
        ["orders", endpoint] => one_of(method, &[(Method::POST, Route::PutOrders(word(endpoint)?))]),
        ["orders", endpoint, number] => {
            let (endpoint, number) = (word(endpoint)?, word(number)?);
            let put = Route::PutOrder(endpoint.clone(), number.clone());
            one_of(method, &[(Method::GET, Route::GetOrder(endpoint, number)), (Method::PUT, put)])
        }
        ["lists", list] => one_of(method, &[(Method::GET, Route::ShowList(word(list)?))]),
        ["lists", list, value] => {
            let (list, value) = (word(list)?, word(value)?);
            let add = Route::AddToList(list.clone(), value.clone());
            one_of(method, &[(Method::PUT, add), (Method::DELETE, Route::RemoveFromList(list, value))])
        }
        ["rules"] => one_of(method, &[(Method::GET, Route::Rules)]),
        ["snoozes"] => one_of(method, &[(Method::GET, Route::Snoozes)]),
        ["snoozes", rule] => {
            let rule = word(rule)?;
            one_of(method, &[(Method::PUT, Route::Snooze(rule.clone())), (Method::DELETE, Route::Wake(rule))])
        }
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

const HERE: &str = "here are /v1/held, /v1/pending, /v1/dead, /v1/orders, /v1/lists, /v1/bans, /v1/rules, /v1/snoozes and /v1/keys; docs/admin-api.md has them all";

fn queue(name: &str) -> Result<Queue, Problem> {
    Queue::named(name).ok_or_else(|| not_found(HERE))
}

/// A part of a path that a user chose: percent-encoded, and not empty.
fn word(segment: &str) -> Result<String, Problem> {
    let decoded = query::decoded(segment).filter(|word| !word.is_empty());
    decoded.ok_or_else(|| not_found("a part of the path is empty, or not percent-encoded UTF-8"))
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
    let found = known.iter().find(|(known, _)| known == method).map(|(_, route)| route.clone());
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
    let body = body(request).await?; // read where no route takes one, too, so that the connection ends in order
    match route {
        Route::List(queue) => queues::list(gate, queue, query).await,
        Route::Show(queue, id) => queues::show(gate, who, queue, id, query).await,
        Route::Drop(queue, id) => queues::drop_row(gate, who, queue, id, query).await,
        Route::Release(queue, id) => queues::release(gate, who, queue, id, query).await,
        Route::Redrive => queues::redrive(gate, who, query).await,
        Route::Keys => query.finish().map(|()| json(StatusCode::OK, &gate.keys())),
        Route::Bans => bans::list(gate, query),
        Route::LiftBan(address) => bans::lift(gate, who, address, query),
        Route::PutOrder(endpoint, number) => orders::put(gate, who, &endpoint, &number, &body).await,
        Route::GetOrder(endpoint, number) => orders::get(gate, &endpoint, &number, query).await,
        Route::PutOrders(endpoint) => orders::put_many(gate, who, &endpoint, &body).await,
        Route::ShowList(list) => lists::show(gate, &list, query).await,
        Route::AddToList(list, value) => lists::add(gate, who, &list, &value, &body).await,
        Route::RemoveFromList(list, value) => lists::remove(gate, who, &list, &value, query).await,
        Route::Rules => rules::status(gate, query),
        Route::Snoozes => rules::snoozes(gate, query).await,
        Route::Snooze(rule) => rules::snooze(gate, who, &rule, &body).await,
        Route::Wake(rule) => rules::wake(gate, who, &rule, query).await,
    }
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Problem> {
    let message = format!("the body broke off, or is larger than {MAX_BODY} bytes: send fewer at once");
    let read = Limited::new(request.into_body(), MAX_BODY).collect().await;
    read.map(http_body_util::Collected::to_bytes)
        .map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", message))
}

/// A body that has to be JSON of a form.
fn from_json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "bad-body", format!("the body: {error}")))
}

/// `limit`, or what is usual.
fn page_limit(asked: &mut Query) -> Result<usize, Problem> {
    let limit = asked.take_as("limit", "a number from 1 to 1000", |text| {
        text.parse().ok().filter(|limit| (1..=MOST_LISTED).contains(limit))
    })?;
    Ok(limit.unwrap_or(USUAL_PAGE))
}

#[expect(clippy::needless_pass_by_value, reason = "a mapping of errors")]
fn unavailable(error: StoreError) -> Problem {
    let is_full =
        matches!(error, StoreError::QueueFull { .. } | StoreError::OrdersFull { .. } | StoreError::ListsFull { .. });
    let code = if is_full { "full" } else { "store-unavailable" };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, error.to_string())
}

fn register_problem(error: RegisterError) -> Problem {
    match error {
        RegisterError::Store(error) => unavailable(error),
        RegisterError::TooLong { .. } | RegisterError::Empty { .. } | RegisterError::TooMany { .. } => {
            Problem::new(StatusCode::BAD_REQUEST, "bad-body", error.to_string())
        }
    }
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
    gate.observe().action(&Action { peer: Some(who.peer), by: who.right.name(), what, of, id, result: code, detail });
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
            ("GET", "/v1/keys".to_owned(), Route::Keys),
            ("GET", "/v1/bans".to_owned(), Route::Bans),
            ("DELETE", "/v1/bans/192.0.2.7".to_owned(), Route::LiftBan([192, 0, 2, 7].into())),
            ("DELETE", "/v1/bans/2001:db8::%2F64".to_owned(), Route::LiftBan("2001:db8::".parse().unwrap())),
            ("PUT", "/v1/orders/pay/20%2F1".to_owned(), Route::PutOrder("pay".to_owned(), "20/1".to_owned())),
            ("GET", "/v1/orders/pay/201".to_owned(), Route::GetOrder("pay".to_owned(), "201".to_owned())),
            ("POST", "/v1/orders/pay".to_owned(), Route::PutOrders("pay".to_owned())),
            ("GET", "/v1/lists/blocked".to_owned(), Route::ShowList("blocked".to_owned())),
            ("PUT", "/v1/lists/blocked/a%20b".to_owned(), Route::AddToList("blocked".to_owned(), "a b".to_owned())),
            ("DELETE", "/v1/lists/blocked/a".to_owned(), Route::RemoveFromList("blocked".to_owned(), "a".to_owned())),
            ("GET", "/v1/rules".to_owned(), Route::Rules),
            ("GET", "/v1/snoozes".to_owned(), Route::Snoozes),
            ("PUT", "/v1/snoozes/WXP-1".to_owned(), Route::Snooze("WXP-1".to_owned())),
            ("DELETE", "/v1/snoozes/WXP-1".to_owned(), Route::Wake("WXP-1".to_owned())),
        ];
        for (method, path, expected) in routes {
            assert_eq!(route(&method.parse().unwrap(), &path).unwrap(), expected);
            let refused = route(&Method::PATCH, &path).unwrap_err();
            assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
            assert!(refused.message.contains(method), "{}", refused.message);
        }
        for path in [
            "/v1",
            "/v1/",
            "/v1/held/",
            "/v1/held/x",
            "/v1/heldx",
            "/v1/held/redrive",
            "/v1//held",
            "/v1/v1/held",
            "/v1/orders//1",
        ] {
            assert!(route(&Method::GET, path).is_err(), "{path}");
        }
        let pending = route(&Method::POST, &format!("/v1/pending/{id}/release")).unwrap_err();
        assert!(pending.message.contains("by itself"), "{}", pending.message);
    }
}
