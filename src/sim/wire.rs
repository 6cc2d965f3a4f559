//! One HTTP/1.1 exchange on a connection of its own, written as raw bytes: what is sent is exactly what was made, also
//! where no HTTP library would send it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// Where a `http://` URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address, resolved.
    pub address: SocketAddr,
    /// For the `Host` header.
    pub host: String,
    /// Path and query.
    pub path: String,
}

/// Why a URL leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Its form.
    #[error("`{0}` is no URL like http://127.0.0.1:8080/notify/shop-pay (TLS is not spoken: end it before)")]
    Form(String),
    /// Its name.
    #[error("`{0}` is not found: {1}")]
    Unresolved(String, io::Error),
}

impl Target {
    /// Takes the URL apart and resolves its name.
    pub async fn find(url: &str) -> Result<Self, TargetError> {
        let form = || TargetError::Form(url.to_owned());
        let uri: http::Uri = url.parse().map_err(|_| form())?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(form()) };
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let name = authority.host().trim_matches(['[', ']']);
        let mut found = tokio::net::lookup_host((name, authority.port_u16().unwrap_or(80)))
            .await
            .map_err(|error| TargetError::Unresolved(authority.to_string(), error))?;
        let address = found.next().ok_or_else(form)?;
        Ok(Self { address, host: authority.to_string(), path })
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends `message` to `address` and reads the one answer, all within `limit`.
pub async fn exchange(address: SocketAddr, message: &[u8], limit: Duration) -> io::Result<Answer> {
    tokio::time::timeout(limit, async {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // A server may answer and close before it has read all of a message that it refuses: its answer is still read.
        let written = stream.write_all(message).await;
        match read_answer(&mut stream).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(written.err().unwrap_or(error)),
        }
    })
    .await
    .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Sends a message whose end never comes: after it nothing more is written.
pub async fn exchange_cut(address: SocketAddr, message: &[u8], limit: Duration) -> io::Result<Answer> {
    tokio::time::timeout(limit, async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(message).await?;
        stream.shutdown().await?;
        read_answer(&mut stream).await
    })
    .await
    .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn read_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some(answer) = parse(&bytes)? {
            return Ok(answer);
        }
        if bytes.len() > MAX_ANSWER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too large"));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return parse_closed(&bytes)?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof));
        }
    }
}

/// A whole answer of a connection that stays open, if it is there.
fn parse(bytes: &[u8]) -> io::Result<Option<Answer>> {
    let Some((mut answer, rest)) = parse_head(bytes)? else { return Ok(None) };
    let header = |name: &str| answer.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str());
    let length: Option<usize> = header("content-length").and_then(|value| value.parse().ok());
    if matches!(answer.status, 204 | 304) {
        return Ok(Some(answer));
    }
    if header("transfer-encoding").is_some() {
        // Bodies of such answers are not looked into; the end is enough.
        let ended = rest.ends_with(b"0\r\n\r\n");
        return Ok(ended.then(|| Answer { body: rest.to_vec(), ..answer }));
    }
    let Some(body) = length.and_then(|length| rest.get(..length)) else { return Ok(None) };
    answer.body = body.to_vec();
    Ok(Some(answer))
}

/// An answer whose end was the connection's.
fn parse_closed(bytes: &[u8]) -> io::Result<Option<Answer>> {
    Ok(parse_head(bytes)?.map(|(answer, rest)| Answer { body: rest.to_vec(), ..answer }))
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<(Answer, &[u8])>> {
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut slots);
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let httparse::Status::Complete(length) = response.parse(bytes).map_err(invalid)? else { return Ok(None) };
    let headers = response.headers.iter();
    let headers =
        headers.map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()));
    let answer = Answer { status: response.code.unwrap_or_default(), headers: headers.collect(), body: Vec::new() };
    Ok(Some((answer, bytes.get(length..).unwrap_or_default())))
}
