//! The HTTP side: the API for merchants, whose requests are authorized and whose answers are signed, and under `/sim/` what
//! stands for the user and for a look behind the scenes.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::{State, lock};
use crate::sim::api::{self, ApiError, Signed};
use crate::sim::keys::Listed;
use crate::sim::notify::{SIGNATURE_TYPE, unix_now};
use crate::sim::sample::rfc3339;
use crate::sim::sign;

/// Largest request, in bytes.
const MAX_REQUEST: usize = 64 * 1024;

const CERTIFICATES: &str = "/v3/certificates";

#[derive(Deserialize)]
struct Scan {
    code_url: String,
}

pub(super) async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&state)));
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(|request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(handle(&state, request).await) }
    });
    // A caller that breaks off is no business of WeChat's.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn handle(state: &Arc<State>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_REQUEST).collect().await else {
        return answer(state, Err(ApiError::param("the body is too large or broken off")));
    };
    answer(state, route(state, &head, &body.to_bytes()))
}

fn route(state: &Arc<State>, head: &http::request::Parts, body: &[u8]) -> Result<Value, ApiError> {
    let path = head.uri.path();
    if head.method == Method::POST && path == "/sim/pay" {
        let scan: Scan = serde_json::from_slice(body).map_err(|error| ApiError::param(error.to_string()))?;
        return Ok(json!({ "transaction_id": state.pay(&scan.code_url)? }));
    }
    if head.method == Method::GET && path == "/sim/deliveries" {
        let deliveries = lock(&state.deliveries).clone();
        return serde_json::to_value(deliveries).map_err(|error| ApiError::new(500, "SYSTEM_ERROR", error.to_string()));
    }
    if path == CERTIFICATES {
        state.downloads.fetch_add(1, Ordering::SeqCst);
    }
    let keys = state.keys();
    let merchant = &keys.merchant;
    let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let authorization = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let signed = Signed { method: head.method.as_str(), target, body };
    api::authorize(merchant, signed, authorization, unix_now())?;
    let of_order = path.strip_prefix("/v3/pay/transactions/out-trade-no/");
    match (head.method.as_str(), path, of_order) {
        ("POST", "/v3/pay/transactions/native", _) => {
            let notify_url = state.settings.notify_url.as_deref();
            Ok(json!({ "code_url": lock(&state.orders).create(merchant, notify_url, body)? }))
        }
        ("GET", CERTIFICATES, _) => certificates(state),
        ("GET", _, Some(out_trade_no)) => {
            let mchid = head.uri.query().and_then(|query| query.strip_prefix("mchid="));
            if mchid != Some(merchant.mchid.as_str()) {
                return Err(ApiError::param("the query must be mchid= and the merchant's number"));
            }
            lock(&state.orders).query(out_trade_no)
        }
        ("POST", _, Some(rest)) if rest.ends_with("/close") => {
            lock(&state.orders).close(rest.trim_end_matches("/close"))?;
            Ok(Value::Null)
        }
        _ => Err(ApiError::new(404, "RESOURCE_NOT_EXISTS", "nothing is here")),
    }
}

/// The platform certificates, encrypted for the merchant (WeChat Pay APIv3, "Get platform certificates").
fn certificates(state: &State) -> Result<Value, ApiError> {
    let (keys, listed) = (state.keys(), lock(&state.listed).clone());
    if listed.is_empty() {
        return Err(ApiError::new(404, "RESOURCE_NOT_EXISTS", "the merchant has no platform certificate"));
    }
    let entry = |certificate: &Listed| {
        let nonce = sign::random_text::<12>();
        let ciphertext = sign::seal(&keys.merchant.api_v3_key, &nonce, "certificate", certificate.pem.as_bytes());
        json!({
            "serial_no": certificate.serial,
            // What all certificates made here say: 2024-01-01 to 2044-01-01, UTC.
            "effective_time": rfc3339(1_704_067_200),
            "expire_time": rfc3339(2_335_219_200),
            "encrypt_certificate": {
                "algorithm": "AEAD_AES_256_GCM",
                "nonce": nonce,
                "associated_data": "certificate",
                "ciphertext": ciphertext,
            },
        })
    };
    Ok(json!({ "data": listed.iter().map(entry).collect::<Vec<_>>() }))
}

/// The answer, signed as WeChat signs its answers.
fn answer(state: &State, result: Result<Value, ApiError>) -> Response<Full<Bytes>> {
    let (status, body) = match result {
        Ok(Value::Null) => (204, String::new()),
        Ok(body) => (200, body.to_string()),
        Err(error) => (error.status, json!({ "code": error.code, "message": error.message }).to_string()),
    };
    let (timestamp, nonce) = (unix_now().to_string(), sign::random_text::<32>());
    let keys = state.keys();
    let (key, serial) = keys.platform.signer(*lock(&state.signed_by));
    let signature = key.sign(&sign::callback_message(&timestamp, &nonce, body.as_bytes()));
    let response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .header("Wechatpay-Timestamp", timestamp)
        .header("Wechatpay-Nonce", nonce)
        .header("Wechatpay-Serial", serial)
        .header("Wechatpay-Signature", signature)
        .header("Wechatpay-Signature-Type", SIGNATURE_TYPE)
        .body(Full::from(body));
    response.expect("each header is ASCII made here or of the keys' numbers")
}
