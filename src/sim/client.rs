//! A client that sends exactly the bytes it is given: a simulator must be able to send what no HTTP library would.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// A URL of the simulator's peers: `http://host:port/path`, no TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host and port.
    pub authority: String,
    /// Path, query included.
    pub path: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Head, as it came.
    pub head: String,
    /// Body.
    pub body: Vec<u8>,
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or("the URL must begin with http://")?;
        let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        if host.is_empty() {
            return Err("the URL names no host".to_owned());
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { host.to_owned() } else { format!("{host}:80") };
        Ok(Self { authority, path: path.to_owned() })
    }
}

/// Sends `request` on a connection of its own and reads one answer. An answer that is cut short is an error.
pub async fn exchange(authority: &str, request: &[u8], patience: Duration) -> io::Result<Answer> {
    let exchanged = async {
        let mut stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        // A server may answer and close before it has read everything: then what it said counts.
        let written = stream.write_all(request).await;
        let mut buffer = Vec::with_capacity(1024);
        match read_answer(&mut stream, &mut buffer).await {
            Ok(answer) => Ok(answer),
            Err(error) => written.and(Err(error)),
        }
    };
    tokio::time::timeout(patience, exchanged).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Reads one answer off a connection that is kept; what follows it stays in `buffer`.
pub(super) async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Answer> {
    loop {
        if let Some((answer, end)) = parse(buffer)? {
            buffer.drain(..end);
            return Ok(answer);
        }
        if buffer.len() > MAX_ANSWER {
            return Err(io::Error::other("the answer is too large"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn parse(buffer: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let mut slots = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut slots);
    let head = match response.parse(buffer).map_err(io::Error::other)? {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial => return Ok(None),
    };
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok()).unwrap_or(0);
    let end = head.saturating_add(length);
    let (Some(text), Some(body)) = (buffer.get(..head), buffer.get(head..end)) else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let head = String::from_utf8_lossy(text).into_owned();
    Ok(Some((Answer { status, head, body: body.to_vec() }, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_a_port_and_a_path() {
        let target = |url: &str| url.parse::<Target>().map(|t| (t.authority, t.path));
        assert_eq!(target("http://a:8080/b?c"), Ok(("a:8080".into(), "/b?c".into())));
        assert_eq!(target("http://a"), Ok(("a:80".into(), "/".into())));
        assert!(target("https://a/").is_err() && target("http:///x").is_err());
    }

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1";
        let (answer, end) = parse(bytes).unwrap().unwrap();
        assert_eq!((answer.status, answer.body.as_slice(), end), (200, &b"ok"[..], bytes.len() - 8));
        assert!(parse(&bytes[..30]).unwrap().is_none());
        assert!(parse(b"what?\r\n\r\n").is_err());
    }
}
