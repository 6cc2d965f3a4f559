//! Bans over the API: who is shut out, and an end to it. They are this node's own: another gateway has others.

use std::net::IpAddr;

use http::StatusCode;
use ipnet::IpNet;
use serde_json::json;

use super::super::reply::{Problem, Reply, json as reply};
use super::query::Query;
use super::{Who, audit, not_found, page_limit};
use crate::gate::Gate;

/// The longest bans first, and how many there are in all.
pub(super) fn list(gate: &Gate, mut asked: Query) -> Result<Reply, Problem> {
    let limit = page_limit(&mut asked)?;
    asked.finish()?;
    let routes = gate.routes();
    let of_endpoint = |endpoint: &crate::gate::endpoint::Endpoint| {
        let name = endpoint.name().to_string();
        endpoint.limits().bans().into_iter().map(move |ban| (ban, name.clone())).collect::<Vec<_>>()
    };
    let mut bans: Vec<_> = routes.endpoints().flat_map(|endpoint| of_endpoint(endpoint)).collect();
    bans.sort_by_key(|(ban, _)| std::cmp::Reverse(ban.left));
    let shown: Vec<_> = bans
        .iter()
        .take(limit)
        .map(|(ban, endpoint)| json!({ "address": shown(ban.network), "endpoint": endpoint, "left_s": ban.left.as_secs() }))
        .collect();
    Ok(reply(StatusCode::OK, &json!({ "bans": shown, "total": bans.len() })))
}

/// Lifts the bans of an address, of all endpoints.
pub(super) fn lift(gate: &Gate, who: Who, address: IpAddr, asked: Query) -> Result<Reply, Problem> {
    asked.finish()?;
    let routes = gate.routes();
    let lifted = routes.endpoints().filter(|endpoint| endpoint.limits().lift(address));
    let lifted: Vec<String> = lifted.map(|endpoint| endpoint.name().to_string()).collect();
    let result = if lifted.is_empty() {
        Err(not_found("this address is not banned; GET /v1/bans shows who is"))
    } else {
        Ok(())
    };
    audit(gate, who, "lift", "bans", &address.to_string(), &result);
    result.map(|()| reply(StatusCode::OK, &json!({ "address": address, "lifted": lifted })))
}

/// An address, or of IPv6 a network, as [`list`] shows it.
pub(super) fn address(text: &str) -> Result<IpAddr, Problem> {
    let read = text.parse::<IpAddr>().ok().or_else(|| text.parse::<IpNet>().ok().map(|network| network.addr()));
    let message = "not an address, or a network as GET /v1/bans shows it";
    read.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "bad-id", message))
}

fn shown(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() { network.addr().to_string() } else { network.to_string() }
}
