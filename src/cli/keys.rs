//! `wxgate keys`: which keys each endpoint trusts, until when, which were of use, and which can go. The running gateway is
//! asked; if it does not answer, the configuration and the cache are told alone.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::Exit;
use super::report::{json, result, talk};
use crate::admin;
use crate::clock::{Clock, UnixTime};
use crate::config::{self, Config};
use crate::keyring;
use crate::keyring::report::{Advice, Download, EndpointKeys, Key, Kind, Known, Report, Source};
use crate::observe::DownloadResult;

/// Longest time to connect to the gateway, to write to it, and to read from it.
const WITHIN: Duration = Duration::from_secs(5);
/// Largest answer, in bytes.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;

/// Say which keys are trusted, until when, and which of them can go.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Configuration file
    #[arg(long, default_value = "wxgate.toml")]
    config: PathBuf,
    /// The result as one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(problems) => {
            talk(&problems);
            return if problems.is_unreadable() { Exit::Usage.into() } else { Exit::Failed.into() };
        }
    };
    let report = match config.admin.as_ref().map(ask) {
        Some(Ok(report)) => report,
        Some(Err(error)) => {
            talk(format_args!(
                "the running gateway could not be asked ({error}): this is the configuration and the cache"
            ));
            of_files(&config, Clock::System.now())
        }
        None => {
            talk("without [admin] no gateway can be asked: this is the configuration and the cache");
            of_files(&config, Clock::System.now())
        }
    };
    if args.json {
        json(&report);
    } else {
        result(Text(&report));
    }
    exit(&report).into()
}

/// An endpoint that can verify nothing, or soon will not, is a check that does not hold.
fn exit(report: &Report) -> Exit {
    let needs_care = |endpoint: &EndpointKeys| {
        let is_wanting = |key: &Key| matches!(key.advice, Some(Advice::NeedsSuccessor));
        let has_none = endpoint.keys.iter().all(|key| key.advice == Some(Advice::Ended));
        endpoint.keys.iter().any(is_wanting) || has_none
    };
    if report.endpoints.iter().any(needs_care) { Exit::Failed } else { Exit::Good }
}

/// What is known without a gateway.
fn of_files(config: &Config, now: UnixTime) -> Report {
    let of = |endpoint: &crate::gate::endpoint::Settings| {
        let configured: Vec<_> = endpoint.protocol.verifying_keys().iter().cloned().map(Arc::new).collect();
        let state = endpoint.download.as_ref().map(|settings| (settings, keyring::remembered(settings, now)));
        let known = Known {
            endpoint: &endpoint.name,
            configured: &configured,
            downloaded: state.as_ref().map(|(settings, state)| (*settings, state)),
            uses: &[],
            since: None,
        };
        EndpointKeys::new(&known, now)
    };
    Report { since: None, endpoints: config.endpoints.iter().map(of).collect() }
}

/// Why the gateway did not say.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it answered {0}")]
    Status(u16),
    #[error("its answer is not of this version")]
    Form,
}

/// `GET /v1/keys` of the admin listener of this configuration.
fn ask(settings: &admin::Settings) -> Result<Report, AskError> {
    let mut stream = TcpStream::connect_timeout(&reachable(settings.listen), WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    let mut request = format!("GET /v1/keys HTTP/1.0\r\nhost: {}\r\n", settings.listen).into_bytes();
    if let Some(token) = &settings.token {
        request.extend([b"authorization: Bearer ", token.expose(), b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    stream.write_all(&request)?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    let mut slots = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut slots);
    let Ok(httparse::Status::Complete(length)) = head.parse(&answer) else { return Err(AskError::Form) };
    match head.code {
        Some(200) => serde_json::from_slice(answer.get(length..).unwrap_or_default()).map_err(|_| AskError::Form),
        Some(other) => Err(AskError::Status(other)),
        None => Err(AskError::Form),
    }
}

/// An address that listens to all is reached on this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// For people.
struct Text<'a>(&'a Report);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for endpoint in &self.0.endpoints {
            writeln!(f, "endpoint {}", endpoint.endpoint)?;
            for key in &endpoint.keys {
                write_key(f, key, self.0.since.as_deref())?;
            }
            if endpoint.keys.is_empty() {
                let has_none = |of: &Download| of.last_result.as_deref() == Some(DownloadResult::NoCertificates.code());
                f.write_str(if endpoint.download.as_ref().is_some_and(has_none) {
                    "  no key: every callback is refused, and no download will help\n    \
                     -> WeChat has no certificate for this merchant, who has public keys alone: name the one of the merchant \
                     platform in keys.public\n"
                } else {
                    "  no key yet: every callback is refused until one is downloaded\n"
                })?;
            }
            if let Some(download) = &endpoint.download {
                write_download(f, download)?;
            }
        }
        match &self.0.since {
            Some(since) => write!(f, "counted since {since}"),
            None => f.write_str("not counted: no gateway was asked"),
        }
    }
}

fn write_key(f: &mut fmt::Formatter<'_>, key: &Key, since: Option<&str>) -> fmt::Result {
    let kind = match key.kind {
        Kind::Certificate => "certificate",
        Kind::PublicKey => "public key",
    };
    let source = match key.source {
        Source::File => "file",
        Source::Download => "download",
        Source::Cache => "cache",
    };
    write!(f, "  {}\n    {kind} from {source}", key.id)?;
    match (&key.not_after, key.expires_in_days) {
        (Some(end), Some(days)) if days >= 0 => write!(f, ", until {end}, {days} days")?,
        (Some(end), _) => write!(f, ", ended {end}")?,
        (None, _) => f.write_str(", does not end")?,
    }
    if since.is_some() {
        match (&key.last_used, key.share) {
            (Some(last), Some(share)) => {
                write!(f, "\n    verified {} ({:.1} %), last at {last}", key.verified, share * 100.0)?;
            }
            (_, _) => f.write_str("\n    verified nothing")?,
        }
    }
    match key.advice {
        Some(Advice::Ended) => f.write_str("\n    -> it has ended and verifies nothing: take it out")?,
        Some(Advice::NeedsSuccessor) => {
            f.write_str("\n    -> it ends soon, and no key that lasts longer is trusted: add the next one")?;
        }
        Some(Advice::OutOfUse) => {
            f.write_str("\n    -> unused for eight days while its successor was used: take it out")?;
        }
        None => {}
    }
    writeln!(f)
}

fn write_download(f: &mut fmt::Formatter<'_>, download: &Download) -> fmt::Result {
    let taken = download.taken_at.as_deref().unwrap_or("never");
    write!(f, "  downloads for {} from {}: last taken {taken}", download.mchid, download.url)?;
    if let Some(detail) = &download.detail {
        write!(f, "\n    -> {} failed in a row: {detail}", download.failures)?;
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(advice: Option<Advice>) -> Key {
        Key {
            id: "5A1C".to_owned(),
            kind: Kind::Certificate,
            source: Source::File,
            not_after: Some("2044-01-01T00:00:00Z".to_owned()),
            expires_in_days: Some(900),
            verified: 3,
            share: Some(0.75),
            last_used: Some("2026-01-01T00:00:00Z".to_owned()),
            advice,
        }
    }

    fn report(keys: Vec<Key>) -> Report {
        let download = Download {
            mchid: "1900000001".to_owned(),
            url: "https://api.mch.weixin.qq.com/v3/certificates".to_owned(),
            taken_at: None,
            last_result: Some("unreachable".to_owned()),
            detail: Some("connecting failed".to_owned()),
            failures: 2,
        };
        let endpoint = EndpointKeys { endpoint: "shop".to_owned(), keys, download: Some(download) };
        Report { since: Some("2025-12-01T00:00:00Z".to_owned()), endpoints: vec![endpoint] }
    }

    #[test]
    fn what_is_to_be_done_is_said_and_a_key_without_successor_fails_the_check() {
        let text = Text(&report(vec![key(Some(Advice::OutOfUse))])).to_string();
        for words in
            ["endpoint shop", "until 2044", "verified 3 (75.0 %)", "take it out", "last taken never", "2 failed"]
        {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        let mut without = report(Vec::new());
        assert!(Text(&without).to_string().contains("no key yet"));
        without.endpoints[0].download.as_mut().unwrap().last_result = Some("no-certificates".to_owned());
        let text = Text(&without).to_string();
        assert!(text.contains("in keys.public") && !text.contains("until one is downloaded"), "{text}");
        let of = |advice| exit(&report(vec![key(advice), key(None)]));
        assert_eq!(of(Some(Advice::NeedsSuccessor)), Exit::Failed);
        assert_eq!(
            (of(Some(Advice::OutOfUse)), of(Some(Advice::Ended)), of(None)),
            (Exit::Good, Exit::Good, Exit::Good)
        );
        assert_eq!(exit(&report(vec![key(Some(Advice::Ended))])), Exit::Failed);
    }

    #[test]
    fn a_gateway_that_listens_to_all_is_asked_on_this_machine() {
        for (listen, reached) in
            [("0.0.0.0:9900", "127.0.0.1:9900"), ("[::]:9900", "[::1]:9900"), ("10.0.0.7:9900", "10.0.0.7:9900")]
        {
            assert_eq!(reachable(listen.parse().unwrap()), reached.parse().unwrap());
        }
    }
}
