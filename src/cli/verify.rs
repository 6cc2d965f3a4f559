//! `wxgate verify`: captured requests offline, judged by the very code that judges them in the gateway.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use super::Exit;
use super::report::{json, result, talk};
use crate::clock::{Clock, UnixTime};
use crate::config;
use crate::gate::endpoint::ProtocolSettings;
use crate::keyring;
use crate::reason::Reason;
use crate::wechat::{Answer, Protocol, Received, Refusal, pay_v3};

/// Judge captured requests offline, as the gateway would.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Configuration file
    #[arg(long, default_value = "wxgate.toml")]
    config: PathBuf,
    /// Endpoint whose keys and bindings are used; may be left out if there is only one
    #[arg(long)]
    endpoint: Option<String>,
    /// The time to judge at, in Unix seconds or RFC 3339; the clock's, if left out
    #[arg(long)]
    now: Option<String>,
    /// One line of JSON for each file
    #[arg(long)]
    json: bool,
    /// Captured requests, `-` for standard input: a JSON object with `method path query headers body_b64`, or a raw
    /// HTTP/1.1 message
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// A request as it was captured.
struct Captured {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Deserialize)]
struct CapturedJson {
    method: String,
    path: String,
    #[serde(default)]
    query: String,
    headers: Vec<(String, String)>,
    body_b64: String,
}

#[derive(Serialize)]
struct Judgement<'a> {
    file: &'a Path,
    verdict: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    event: Option<serde_json::Value>,
    reply: Reply,
}

#[derive(Serialize)]
struct Reply {
    status: u16,
    body: &'static str,
}

#[derive(Debug, thiserror::Error)]
enum CaptureError {
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("is neither a JSON object with `method path query headers body_b64` nor a raw HTTP/1.1 message")]
    Form,
    #[error("`{0}` is not what HTTP allows")]
    Http(&'static str),
}

pub(super) fn run(args: &Args) -> ExitCode {
    match verify_all(args) {
        Ok(exit) => exit.into(),
        Err(message) => {
            talk(message);
            Exit::Usage.into()
        }
    }
}

fn verify_all(args: &Args) -> Result<Exit, String> {
    let protocol = protocol_of(args)?;
    let now = match &args.now {
        None => Clock::System.now(),
        Some(text) => {
            parse_time(text).ok_or_else(|| format!("--now: `{text}` is neither Unix seconds nor RFC 3339"))?
        }
    };
    let mut exit = Exit::Good;
    for file in &args.files {
        let captured = read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let judged = judge(&protocol, file, captured, now);
        if judged.verdict != "accept" {
            exit = Exit::Failed;
        }
        if args.json {
            json(&judged);
        } else {
            let detail = judged.detail.map(|detail| format!(" ({detail})")).unwrap_or_default();
            result(format_args!("{}: {} {}{detail}", file.display(), judged.verdict, judged.reason));
            if let Some(event) = &judged.event {
                result(format_args!("{event:#}"));
            }
        }
    }
    Ok(exit)
}

fn protocol_of(args: &Args) -> Result<Protocol, String> {
    let config = config::load(&args.config).map_err(|problems| problems.to_string())?;
    let names: Vec<String> = config.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
    let mut fitting =
        config.endpoints.into_iter().filter(|e| args.endpoint.as_ref().is_none_or(|name| *name == e.name));
    match (fitting.next(), fitting.next()) {
        (Some(endpoint), None) => match endpoint.protocol {
            ProtocolSettings::PayV3(settings) => {
                // Offline: what the last download brought, if it was kept.
                if let Some(download) = &endpoint.download {
                    let held = keyring::remembered(download, Clock::System.now()).held;
                    settings.downloaded.set(held.into_iter().map(|held| held.certificate.key).collect());
                }
                Ok(Protocol::PayV3(pay_v3::PayV3::new(settings)))
            }
        },
        _ => Err(format!("--endpoint: name one of {}", names.join(", "))),
    }
}

fn judge<'a>(protocol: &Protocol, file: &'a Path, captured: Captured, now: UnixTime) -> Judgement<'a> {
    let Captured { method, path, query, headers, body } = captured;
    let received = Received { method: &method, path: &path, query: &query, headers: &headers };
    let refused = |refusal: &dyn Refusal| (refusal.reason(), refusal.to_string());
    let end = protocol
        .screen(received, now)
        .map_err(|refusal| refused(&refusal))
        .and_then(|screened| protocol.verify(screened, body).map_err(|refusal| refused(&refusal)))
        .and_then(|verified| protocol.open(verified).map_err(|refusal| refused(&refusal)));
    let (verdict, reason, detail, event, answer) = match end {
        Ok(authentic) => {
            let event = serde_json::from_slice(&authentic.event().body).ok();
            ("accept", "ok", None, event, protocol.answer(Reason::Forwarded))
        }
        Err((reason, detail)) => ("reject", reason.code(), Some(detail), None, protocol.answer(reason)),
    };
    let Answer { status, body, .. } = answer;
    Judgement { file, verdict, reason, detail, event, reply: Reply { status, body } }
}

fn read(file: &Path) -> Result<Captured, CaptureError> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(file)?;
    }
    if bytes.trim_ascii_start().starts_with(b"{") { from_json(&bytes) } else { from_http(&bytes) }
}

fn from_json(bytes: &[u8]) -> Result<Captured, CaptureError> {
    let captured: CapturedJson = serde_json::from_slice(bytes).map_err(|_| CaptureError::Form)?;
    let mut headers = HeaderMap::new();
    for (name, value) in &captured.headers {
        append(&mut headers, name.as_bytes(), value.as_bytes())?;
    }
    Ok(Captured {
        method: Method::from_bytes(captured.method.as_bytes()).map_err(|_| CaptureError::Http("method"))?,
        path: captured.path,
        query: captured.query,
        headers,
        body: base64_simd::STANDARD
            .decode_to_vec(captured.body_b64)
            .map_err(|_| CaptureError::Http("body_b64"))?
            .into(),
    })
}

/// A message as `curl --trace` or a proxy's dump shows it: head, empty line, body. The body is all that follows, unless
/// `Content-Length` names less (an editor's last line feed).
fn from_http(bytes: &[u8]) -> Result<Captured, CaptureError> {
    let mut slots = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut slots);
    let Ok(httparse::Status::Complete(head_length)) = request.parse(bytes) else { return Err(CaptureError::Form) };
    let mut headers = HeaderMap::new();
    for header in request.headers.iter() {
        append(&mut headers, header.name.as_bytes(), header.value)?;
    }
    let rest = bytes.get(head_length..).unwrap_or_default();
    let told = headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = rest.get(..told.unwrap_or(rest.len())).unwrap_or(rest);
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Captured {
        method: Method::from_bytes(request.method.unwrap_or_default().as_bytes())
            .map_err(|_| CaptureError::Http("method"))?,
        path: path.to_owned(),
        query: query.to_owned(),
        body: Bytes::copy_from_slice(body),
        headers,
    })
}

fn append(headers: &mut HeaderMap, name: &[u8], value: &[u8]) -> Result<(), CaptureError> {
    let name = HeaderName::from_bytes(name).map_err(|_| CaptureError::Http("header name"))?;
    let value = HeaderValue::from_bytes(value).map_err(|_| CaptureError::Http("header value"))?;
    headers.append(name, value);
    Ok(())
}

fn parse_time(text: &str) -> Option<UnixTime> {
    let from_seconds = text.parse().ok().map(UnixTime::from_secs);
    from_seconds
        .or_else(|| text.parse::<jiff::Timestamp>().ok().map(|stamp| UnixTime::from_millis(stamp.as_millisecond())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_message_keeps_its_body_to_the_byte() {
        let captured =
            from_http(b"POST /notify?a=b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-A: 2\r\n\r\n{\"a\":1}\n").unwrap();
        assert_eq!((captured.path.as_str(), captured.query.as_str()), ("/notify", "a=b"));
        assert_eq!(captured.body, "{\"a\":1}\n");
        assert_eq!(captured.headers.get_all("x-a").iter().count(), 2);
        let cut = from_http(b"POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n{\"a\":1}\n").unwrap();
        assert_eq!(cut.body, "{\"a\":1}");
    }

    #[test]
    fn time_is_seconds_or_rfc_3339() {
        assert_eq!(parse_time("1700000000"), Some(UnixTime::from_secs(1_700_000_000)));
        assert_eq!(parse_time("2023-11-15T06:13:20+08:00"), Some(UnixTime::from_secs(1_700_000_000)));
        assert_eq!(parse_time("yesterday"), None);
    }
}
