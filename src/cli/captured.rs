//! Captured requests and what they are judged against: an endpoint of a configuration, at a time.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;

use crate::clock::{Clock, UnixTime};
use crate::config;
use crate::gate::endpoint::Settings;
use crate::keyring;
use crate::wechat::key::SharedKeys;
use crate::wechat::{Authentic, Protocol, Received, Refused};

/// What captured requests are judged against.
#[derive(clap::Args)]
pub(super) struct Against {
    /// Configuration file
    #[arg(long, default_value = "wxgate.toml")]
    config: PathBuf,
    /// Endpoint whose keys and bindings are used; may be left out if there is only one
    #[arg(long)]
    endpoint: Option<String>,
    /// The time to judge at, in Unix seconds or RFC 3339; the clock's, if left out
    #[arg(long)]
    now: Option<String>,
}

/// A request as it was captured.
pub(super) struct Captured {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
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

#[derive(Debug, thiserror::Error)]
pub(super) enum CaptureError {
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("is neither a JSON object with `method path query headers body_b64` nor a raw HTTP/1.1 message")]
    Form,
    #[error("`{0}` is not what HTTP allows")]
    Http(&'static str),
}

impl Against {
    /// The protocol with the keys of the endpoint.
    pub(super) fn protocol(&self) -> Result<Protocol, String> {
        self.protocols().map(|(protocol, _)| protocol)
    }

    /// The same, and those of the other endpoints by name.
    pub(super) fn protocols(&self) -> Result<(Protocol, Vec<(String, Protocol)>), String> {
        let config = config::load(&self.config).map_err(|problems| problems.to_string())?;
        let names: Vec<String> = config.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
        let is_meant = |e: &Settings| self.endpoint.as_ref().is_none_or(|name| *name == e.name);
        let (meant, others): (Vec<Settings>, Vec<Settings>) = config.endpoints.into_iter().partition(is_meant);
        let Ok([endpoint]) = <[Settings; 1]>::try_from(meant) else {
            return Err(format!("--endpoint: name one of {}", names.join(", ")));
        };
        let (_, protocol) = offline(endpoint);
        Ok((protocol, others.into_iter().map(offline).collect()))
    }

    /// The time to judge at.
    pub(super) fn now(&self) -> Result<UnixTime, String> {
        let Some(text) = &self.now else { return Ok(Clock::System.now()) };
        parse_time(text).ok_or_else(|| format!("--now: `{text}` is neither Unix seconds nor RFC 3339"))
    }
}

/// An endpoint's protocol, with what the last download brought, if it was kept.
fn offline(endpoint: Settings) -> (String, Protocol) {
    let mut protocol = endpoint.protocol;
    if let Some(download) = &endpoint.download {
        let held = keyring::remembered(download, Clock::System.now()).held;
        let keys = SharedKeys::default();
        keys.set(held.into_iter().map(|held| held.certificate.key).collect());
        protocol.take_downloaded(&keys);
    }
    (endpoint.name, protocol.build())
}

impl Captured {
    /// Reads a file, or standard input for `-`.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        read(file).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Judges it by the very code that judges callbacks in the gateway.
    pub(super) fn judge(&self, protocol: &Protocol, now: UnixTime) -> Result<Authentic, Refused> {
        let screened = protocol.screen(self.received(), now)?;
        protocol.open(protocol.verify(screened, self.body.clone())?)
    }

    /// Whether it passes, of a check of the URL whether it is answered.
    pub(super) fn passes(&self, protocol: &Protocol, now: UnixTime) -> bool {
        let echo = protocol.echo(self.received(), now);
        echo.map_or_else(|| self.judge(protocol, now).is_ok(), |echo| echo.is_ok())
    }

    /// The head, as the protocols take it.
    pub(super) fn received(&self) -> Received<'_> {
        Received { method: &self.method, path: &self.path, query: &self.query, headers: &self.headers }
    }
}

fn read(file: &Path) -> Result<Captured, CaptureError> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(file)?;
    }
    parse(&bytes)
}

/// In either form.
pub(super) fn parse(bytes: &[u8]) -> Result<Captured, CaptureError> {
    if bytes.trim_ascii_start().starts_with(b"{") { from_json(bytes) } else { from_http(bytes) }
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
