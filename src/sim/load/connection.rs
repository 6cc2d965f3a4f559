//! A kept HTTP/1.1 connection that writes bytes and reads statuses, and does nothing else.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Largest answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

pub(super) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    answer: Vec<u8>,
}

impl Connection {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, answer: Vec::with_capacity(4096) }
    }

    /// The next exchange opens it anew.
    pub(super) fn close(&mut self) {
        self.stream = None;
    }

    /// Sends a message and reads the status of its answer.
    pub(super) async fn exchange(&mut self, message: &[u8]) -> io::Result<u16> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                none.insert(stream)
            }
        };
        stream.write_all(message).await?;
        self.answer.clear();
        loop {
            if let Some(head) = Head::of(&self.answer)?
                && head.length <= self.answer.len()
            {
                if head.closes {
                    self.stream = None;
                }
                return Ok(head.status);
            }
            if self.answer.len() > MAX_ANSWER {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too large"));
            }
            if stream.read_buf(&mut self.answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// What must be known of an answer to go on.
struct Head {
    status: u16,
    /// Of the whole answer.
    length: usize,
    closes: bool,
}

impl Head {
    fn of(bytes: &[u8]) -> io::Result<Option<Self>> {
        let mut slots = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut slots);
        let invalid = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
        let parsed = response.parse(bytes).map_err(|_| invalid("no HTTP/1.1 answer"))?;
        let httparse::Status::Complete(head) = parsed else { return Ok(None) };
        let status = response.code.unwrap_or_default();
        let header = |name: &str| {
            response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
        };
        let length = match header("content-length") {
            _ if status == 204 => 0,
            Some(length) => std::str::from_utf8(length).ok().and_then(|length| length.parse().ok()).unwrap_or_default(),
            None => return Err(invalid("an answer without a length")),
        };
        let closes = header("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
        Ok(Some(Self { status, length: head.saturating_add(length), closes }))
    }
}
