//! One GET over TLS, bounded in time and size. The machine's certificate authorities are read for each download, so that
//! an updated bundle needs no restart.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest time for all of it: name, connection, TLS, answer.
const WITHIN: Duration = Duration::from_secs(10);
/// Largest answer, in bytes. A certificate takes some 4 KiB.
const MAX_ANSWER: usize = 256 * 1024;
/// Largest head of an answer, in bytes.
const MAX_HEAD: usize = 32 * 1024;

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Whom a `https` server has to be known by.
#[derive(Clone)]
pub(super) enum Roots {
    /// The machine's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR`, or the system's own place).
    System,
    /// These.
    #[cfg(test)]
    Only(Arc<RootCertStore>),
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("connecting to {host} failed: {cause}")]
    Connect { host: String, cause: io::Error },
    #[error("no certificate authorities are on this machine: install ca-certificates, or set SSL_CERT_FILE ({0})")]
    NoRoots(String),
    #[error("TLS with {host} failed: {cause}")]
    Tls { host: String, cause: io::Error },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
    #[error("{0} is no name that a certificate could have")]
    Name(String, InvalidDnsNameError),
    #[error("the request cannot be made: {0}")]
    Request(#[from] http::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the answer is longer than {MAX_ANSWER} bytes")]
    TooLarge,
    #[error("the answer broke off: {0}")]
    BrokenBody(Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {} s", WITHIN.as_secs())]
    TooSlow,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Fetches `url` with this `Authorization`. Redirects are answers like any other: the signature is for one target.
pub(super) async fn get(url: &Uri, authorization: &str, roots: Roots) -> Result<Answer, ClientError> {
    tokio::time::timeout(WITHIN, exchange(url, authorization, roots)).await.map_err(|_| ClientError::TooSlow)?
}

async fn exchange(url: &Uri, authorization: &str, roots: Roots) -> Result<Answer, ClientError> {
    let stream = connect(url, roots).await?;
    let (mut sender, connection) = http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
    let authority = url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let request = Request::get(url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str))
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("wxgate/", env!("CARGO_PKG_VERSION")))
        .header(header::AUTHORIZATION, authorization)
        .body(Empty::<Bytes>::new())?;
    let answered = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { ClientError::TooLarge } else { ClientError::BrokenBody(error) }
        })?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    };
    // The connection is driven here and dropped with the answer: nothing outlives the deadline.
    tokio::pin!(answered);
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        ended = connection => {
            ended?;
            answered.await
        }
    }
}

async fn connect(url: &Uri, roots: Roots) -> Result<Box<dyn Stream>, ClientError> {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_tls = url.scheme() == Some(&http::uri::Scheme::HTTPS);
    let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let connected = TcpStream::connect((host, port)).await;
    let stream = connected.map_err(|cause| ClientError::Connect { host: host.to_owned(), cause })?;
    if !is_tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|error| ClientError::Name(host.to_owned(), error))?;
    let connector = TlsConnector::from(Arc::new(tls(roots).await?));
    let stream = connector.connect(name, stream).await;
    Ok(Box::new(stream.map_err(|cause| ClientError::Tls { host: host.to_owned(), cause })?))
}

async fn tls(roots: Roots) -> Result<ClientConfig, ClientError> {
    let roots = match roots {
        Roots::System => Arc::new(system_roots().await?),
        #[cfg(test)]
        Roots::Only(roots) => roots,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Off the runtime: it reads some hundred files.
async fn system_roots() -> Result<RootCertStore, ClientError> {
    let none = |why: &str| ClientError::NoRoots(why.to_owned());
    let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    let loaded = loaded.map_err(|_| none("reading them panicked"))?;
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(loaded.certs);
    if store.is_empty() {
        return Err(none(&loaded.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string)));
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A TLS server for `localhost` that answers each connection once; its port, and the roots that it is known by.
    async fn server(answer: &'static str) -> (u16, Roots) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                assert!(request[..length].starts_with(b"GET /v3/certificates HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).await.unwrap();
                drop(stream.shutdown().await);
            }
        });
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        (port, Roots::Only(Arc::new(roots)))
    }

    fn url(scheme: &str, host: &str, port: u16) -> Uri {
        format!("{scheme}://{host}:{port}/v3/certificates").parse().unwrap()
    }

    #[tokio::test]
    async fn tls_is_spoken_with_who_is_known_and_with_nobody_else() {
        let (port, roots) = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-one: 1\r\n\r\n{}").await;
        let answer = get(&url("https", "localhost", port), "A", roots.clone()).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..], answer.headers["x-one"].as_bytes()),
            (200, &b"{}"[..], &b"1"[..])
        );
        let another_name = get(&url("https", "127.0.0.1", port), "A", roots).await.err().unwrap();
        assert!(matches!(another_name, ClientError::Tls { .. }), "{another_name}");
        let (_, others) = server("").await;
        let unknown = get(&url("https", "localhost", port), "A", others).await.err().unwrap();
        assert!(matches!(unknown, ClientError::Tls { .. }), "{unknown}");
    }

    #[tokio::test]
    async fn an_answer_without_end_and_one_that_never_comes_are_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                    while stream.write_all(b"1000\r\n").await.is_ok() {
                        if stream.write_all(&[b'a'; 0x1000]).await.is_err() || stream.write_all(b"\r\n").await.is_err()
                        {
                            break;
                        }
                    }
                });
            }
        });
        let error = get(&url("http", "127.0.0.1", port), "A", Roots::System).await.err().unwrap();
        assert!(matches!(error, ClientError::TooLarge), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_left_after_ten_seconds() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = get(&url("http", "127.0.0.1", port), "A", Roots::System).await.err().unwrap();
        assert!(matches!(error, ClientError::TooSlow), "{error}");
    }
}
