//! `/metrics`, `/healthz`, `/readyz`. Health and readiness are for everybody who reaches the listener: probes carry no
//! secrets, and learn no more than that the gateway lives.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};

use super::guard::Denied;
use super::reply::{Reply, TEXT, text};
use crate::gate::Gate;
use crate::observe::{QueueReading, Readings};
use crate::store::StoreError;
use crate::store::queue::Queue;

/// Prometheus' text format.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

pub(super) async fn respond(method: &Method, path: &str, allowed: Result<(), Denied>, gate: &Gate) -> Reply {
    let is_known = matches!(path, "/metrics" | "/healthz" | "/readyz");
    if is_known && !matches!(*method, Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n");
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/metrics" => match allowed {
            Ok(()) => text(StatusCode::OK, METRICS, metrics(gate).await),
            Err(denied) => refuse(denied),
        },
        "/healthz" => text(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => match ready(gate) {
            Ok(()) => text(StatusCode::OK, TEXT, "ready\n"),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, TEXT, why),
        },
        _ => text(StatusCode::NOT_FOUND, TEXT, "here are /metrics, /healthz, /readyz and the API under /v1\n"),
    }
}

fn refuse(denied: Denied) -> Reply {
    let why = match denied {
        Denied::Token => "needs `authorization: Bearer TOKEN`, the token of admin.token\n",
        Denied::Unset | Denied::ForeignPage => "shown to this machine only, since admin.token is not set\n",
    };
    let mut refused = text(StatusCode::UNAUTHORIZED, TEXT, why);
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refused
}

async fn metrics(gate: &Gate) -> String {
    let queues = queues(gate).await.unwrap_or_default(); // `wxgate_store_up` tells why there are none
    let routes = gate.routes();
    gate.observe().read(&Readings {
        bans_active: routes.endpoints().map(|endpoint| endpoint.limits().bans_active()).sum(),
        is_store_up: gate.store().is_whole(),
        store_failures: gate.store().failures(),
        answered_locally: gate.store().answered_locally(),
        expiries: routes.endpoints().flat_map(|endpoint| endpoint.key_expiries()).collect(),
        upstreams: routes.endpoints().map(|of| (Arc::clone(of.name()), of.is_upstream_up())).collect(),
        queues,
        quarantined: gate.store().quarantined(),
    });
    gate.observe().render()
}

/// The queues of the endpoints that there are, empty ones too, and what is left of others.
async fn queues(gate: &Gate) -> Result<Vec<QueueReading>, StoreError> {
    let now = gate.clock().now();
    let depths = gate.store().depths().await?.into_iter();
    let mut readings: Vec<QueueReading> = depths
        .map(|depth| QueueReading {
            endpoint: depth.endpoint,
            queue: depth.queue.name(),
            events: depth.rows,
            oldest: now.since(depth.oldest),
        })
        .collect();
    for endpoint in gate.routes().endpoints() {
        for queue in Queue::ALL.map(Queue::name) {
            if !readings.iter().any(|reading| reading.queue == queue && reading.endpoint == *endpoint.name()) {
                let endpoint = Arc::clone(endpoint.name());
                readings.push(QueueReading { endpoint, queue, events: 0, oldest: Duration::ZERO });
            }
        }
    }
    Ok(readings)
}

/// Whether callbacks should be sent here, and if not, why.
fn ready(gate: &Gate) -> Result<(), &'static str> {
    if gate.is_leaving() {
        Err("shutting down\n")
    } else if gate.store().is_up() {
        Ok(())
    } else {
        Err("the store does not answer\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn probes_need_no_token_and_metrics_do() {
        let gate = crate::admin::tests::gate();
        for denied in [Denied::Token, Denied::Unset] {
            for probe in ["/healthz", "/readyz"] {
                assert_eq!(respond(&Method::GET, probe, Err(denied), &gate).await.status(), StatusCode::OK);
            }
            let refused = respond(&Method::GET, "/metrics", Err(denied), &gate).await;
            assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(refused.headers()[header::WWW_AUTHENTICATE], "Bearer");
        }
    }
}
