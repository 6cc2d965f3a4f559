//! A running gateway's API, for commands that ask it for something.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::Exit;
use super::report::talk;
use crate::config;
use crate::secret::Secret;

/// Longest time for an answer, connecting included.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Largest answer: a row with a body of the largest size, as JSON.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
const TOKEN_VARIABLE: &str = "WXGATE_ADMIN_TOKEN";

/// Which gateway is asked.
#[derive(clap::Args)]
pub(super) struct GatewayArgs {
    /// Configuration of the gateway on this machine: says where its admin listener is, and the token
    #[arg(long, default_value = "wxgate.toml")]
    config: PathBuf,
    /// Address of the admin listener, such as 10.0.0.7:9900, instead of the one in the configuration. The token is then
    /// that of --token-file or of the variable WXGATE_ADMIN_TOKEN
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// File with the token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Which gateway is asked, and how its answer is told.
#[derive(clap::Args)]
pub(super) struct AskArgs {
    #[command(flatten)]
    pub(super) gateway: GatewayArgs,
    /// The API's answer as a line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nothing could be asked.
    #[error("{0}")]
    Unasked(String),
    /// The gateway says no.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What to do.
        message: String,
    },
}

impl AskError {
    /// Tells it, and gives what the command ends with.
    pub(super) fn told(&self) -> Exit {
        talk(format_args!("wxgate: {self}"));
        match self {
            Self::Unasked(_) | Self::Refused { status: 400 | 401 | 403, .. } => Exit::Usage,
            Self::Refused { .. } => Exit::Failed,
        }
    }
}

/// A gateway that can be asked.
pub(super) struct Gateway {
    address: String,
    token: Option<Secret>,
}

impl GatewayArgs {
    /// Finds the listener and the token.
    pub(super) fn find(&self) -> Result<Gateway, AskError> {
        let told = self.token()?;
        if let Some(address) = &self.admin {
            return Ok(Gateway { address: address.clone(), token: told });
        }
        let config = config::load(&self.config).map_err(|problems| {
            AskError::Unasked(format!("{problems}\nor say with --admin HOST:PORT where the gateway is"))
        })?;
        let admin = config.admin.ok_or_else(|| {
            let message = "has no [admin] section, so that gateway cannot be asked: add `[admin]`";
            AskError::Unasked(format!("{} {message}", self.config.display()))
        })?;
        let mut listen = admin.listen;
        if listen.ip().is_unspecified() {
            listen.set_ip(if listen.is_ipv4() {
                IpAddr::from([127, 0, 0, 1])
            } else {
                "::1".parse().unwrap_or(listen.ip())
            });
        }
        Ok(Gateway { address: listen.to_string(), token: told.or(admin.token) })
    }

    fn token(&self) -> Result<Option<Secret>, AskError> {
        let bytes = match &self.token_file {
            Some(path) => {
                let read = std::fs::read(path).map(Zeroizing::new);
                Some(read.map_err(|error| AskError::Unasked(format!("{} cannot be read: {error}", path.display())))?)
            }
            None => std::env::var(TOKEN_VARIABLE).ok().map(|token| Zeroizing::new(token.into_bytes())),
        };
        Ok(bytes.map(|bytes| Secret::new(bytes.trim_ascii().to_vec())).filter(|token| !token.is_empty()))
    }
}

impl Gateway {
    /// Asks, and gives the answer's JSON. Blocks.
    pub(super) fn ask(&self, method: Method, target: &str, body: Option<&Value>) -> Result<Value, AskError> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| AskError::Unasked(format!("no runtime: {error}")))?;
        runtime.block_on(async {
            let answer = tokio::time::timeout(ANSWER_WITHIN, self.exchange(method, target, body.into())).await;
            answer.map_err(|_| self.unasked(&format!("did not answer within {}s", ANSWER_WITHIN.as_secs())))?
        })
    }

    async fn exchange(&self, method: Method, target: &str, body: Bytes) -> Result<Value, AskError> {
        let stream = TcpStream::connect(&self.address).await;
        let stream = stream.map_err(|error| self.unasked(&format!("cannot be reached: {error}")))?;
        let broke = |error: hyper::Error| self.unasked(&format!("broke off: {error}"));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broke)?;
        tokio::spawn(async move { drop(connection.await) }); // an error on it reaches the request
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() =
            target.parse().map_err(|_| AskError::Unasked(format!("`{target}` cannot be asked for")))?;
        let headers = request.headers_mut();
        let value = |text: &[u8]| {
            HeaderValue::from_bytes(text)
                .map_err(|_| AskError::Unasked("the address or the token is no text".to_owned()))
        };
        headers.insert(header::HOST, value(self.address.as_bytes())?);
        if let Some(token) = &self.token {
            let shown = Zeroizing::new([b"Bearer ", token.expose()].concat());
            let mut shown = value(&shown)?;
            shown.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, shown);
        }
        let response = sender.send_request(request).await.map_err(broke)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| self.unasked(&format!("broke off: {error}")))?.to_bytes();
        let answer = serde_json::from_slice::<Value>(&body);
        match answer {
            Ok(answer) if status == 200 => Ok(answer),
            Ok(problem) => {
                let message = problem.pointer("/error/message").and_then(Value::as_str);
                let message = message.unwrap_or("it gives no reason").to_owned();
                Err(AskError::Refused { status, message })
            }
            Err(_) => Err(self.unasked(&format!("answered {status}, and not as a gateway's admin listener does"))),
        }
    }

    fn unasked(&self, what: &str) -> AskError {
        AskError::Unasked(format!("the gateway at {} {what}; is it running, and is --admin right?", self.address))
    }
}

/// `?name=value&…` of those parameters that have a value.
pub(super) fn query(parameters: &[(&str, Option<String>)]) -> String {
    let mut query = String::new();
    for (name, value) in parameters {
        let Some(value) = value else { continue };
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        query.push_str(&escaped(value));
    }
    query
}

/// A part of a path or a query, percent-encoded.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ => drop(write!(escaped, "%{byte:02X}")), // a string takes everything
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn a_query_has_what_has_a_value_and_is_encoded() {
        assert_eq!(query(&[("a", None)]), "");
        let told = query(&[("a", Some("1+&=%".to_owned())), ("b", None), ("c", Some("订".to_owned()))]);
        assert_eq!(told, "?a=1%2B%26%3D%25&c=%E8%AE%A2");
    }
}
