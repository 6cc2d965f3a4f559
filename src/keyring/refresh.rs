//! The one task of a source: waits until a download is due, downloads, hands over what it brought, and says how it went.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use tokio::time::Instant;

use super::client::{self, Answer, ClientError, Roots};
use super::{Attempt, Settings, Shared, State, cache};
use crate::clock::UnixTime;
use crate::observe::DownloadResult;
use crate::wechat::key::VerifyingKey;
use crate::wechat::pay_v3::certificates::{self, AnswerError, Opened, ToSign};

/// How long after a failed download the next one comes; doubled with each further one.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// At most this long.
const AFTER_FAILURES: Duration = Duration::from_hours(1);
/// Longest text of WeChat's that is repeated, in characters.
const MAX_MESSAGE: usize = 200;

/// Why a download brought nothing.
#[derive(Debug, thiserror::Error)]
enum DownloadError {
    #[error("the request could not be signed with the merchant's private key")]
    Signing,
    #[error(transparent)]
    Unreachable(#[from] ClientError),
    #[error("WeChat answered {status} {code}: {message}{}", hint(*.status))]
    Refused { status: u16, code: String, message: String },
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

fn hint(status: u16) -> &'static str {
    match status {
        401 => " (does keys.download name the merchant, the serial and the private key that belong together?)",
        300..=399 => " (a redirect: name the final address in keys.download.url)",
        _ => "",
    }
}

impl DownloadError {
    fn result(&self) -> DownloadResult {
        match self {
            Self::Signing | Self::Answer(_) => DownloadResult::Invalid,
            Self::Unreachable(_) => DownloadResult::Unreachable,
            Self::Refused { .. } => DownloadResult::Refused,
        }
    }
}

/// How a download ended that was answered as it should be.
enum Answered {
    List(Opened),
    /// `404 RESOURCE_NOT_EXISTS`: a merchant who only has public keys (protocol 1.4).
    NoCertificates,
}

/// Refreshes until it is aborted.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut wait = first_wait(&shared);
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.asked.wanted() => {}
        }
        let asked = shared.asked.begin();
        let ended = download(&shared.settings, &trusted(&shared), shared.clock.now()).await;
        let pause_begins = Instant::now();
        let has_list = ended.is_ok();
        let pause = settle(&shared, ended).await;
        if has_list {
            let keys = shared.keys.get();
            shared.asked.listed(asked, |serial| keys.iter().any(|key| key.id().eq_ignore_ascii_case(serial)));
        }
        // Whatever asks, nothing is downloaded before the pause is over.
        let pause = jittered(pause).max(shared.settings.min_interval);
        let after = if has_list { jittered(shared.settings.every) } else { pause };
        tokio::time::sleep_until(pause_begins.checked_add(pause).unwrap_or(pause_begins)).await;
        wait = after.saturating_sub(pause_begins.elapsed());
    }
}

/// What was downloaded a while ago is as good as a download then.
fn first_wait(shared: &Shared) -> Duration {
    let state = shared.state.lock();
    match state.taken_at {
        Some(taken_at) if !state.held.is_empty() => {
            jittered(shared.settings.every).saturating_sub(shared.clock.now().since(taken_at))
        }
        Some(_) | None => Duration::ZERO,
    }
}

/// A tenth less at most, so that many gateways do not come at the same moment.
fn jittered(span: Duration) -> Duration {
    let [random]: [u8; 1] = random();
    let tenth = span.checked_div(10).unwrap_or_default();
    span.saturating_sub(tenth.saturating_mul(u32::from(random)).checked_div(255).unwrap_or_default())
}

/// Random bytes of the system; zeros on a system that has none, which is good enough for a jitter and a nonce that WeChat
/// does not compare.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        tracing::warn!("the system has no randomness");
    }
    bytes
}

fn trusted(shared: &Shared) -> Vec<Arc<VerifyingKey>> {
    let configured = shared.settings.trusted.iter().cloned().map(Arc::new);
    configured.chain(shared.keys.get().iter().cloned()).collect()
}

async fn download(
    settings: &Settings,
    trusted: &[Arc<VerifyingKey>],
    now: UnixTime,
) -> Result<Answered, DownloadError> {
    let nonce = format!("{:032X}", u128::from_be_bytes(random()));
    let target = settings.url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let request = ToSign { method: "GET", target, timestamp: now, nonce: &nonce, body: b"" };
    let authorization = certificates::authorization(&settings.merchant, request).ok_or(DownloadError::Signing)?;
    let answer = client::get(&settings.url, &authorization, Roots::System).await?;
    if answer.status != StatusCode::OK {
        return refusal(&answer);
    }
    Ok(Answered::List(certificates::open(&answer.headers, &answer.body, &settings.api_v3, trusted, now)?))
}

/// What WeChat says when it lists nothing. Its text is for the log: shortened, and made printable.
fn refusal(answer: &Answer) -> Result<Answered, DownloadError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Said {
        code: String,
        message: String,
    }
    let said: Said = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status == StatusCode::NOT_FOUND && said.code == "RESOURCE_NOT_EXISTS" {
        return Ok(Answered::NoCertificates);
    }
    let shown = |text: &str| text.chars().take(MAX_MESSAGE).flat_map(char::escape_debug).collect();
    let (code, message) = (shown(&said.code), shown(&said.message));
    Err(DownloadError::Refused { status: answer.status.as_u16(), code, message })
}

/// Takes over what a download brought; the result is how long to wait at least before the next one.
async fn settle(shared: &Arc<Shared>, ended: Result<Answered, DownloadError>) -> Duration {
    let now = shared.clock.now();
    let (result, detail, opened) = match ended {
        Ok(Answered::List(opened)) => (DownloadResult::Taken, String::new(), Some(opened)),
        Ok(Answered::NoCertificates) => (DownloadResult::NoCertificates, String::new(), None),
        Err(error) => (error.result(), error.to_string(), None),
    };
    let is_good = detail.is_empty();
    let (before, state) = {
        let mut state = shared.state.lock();
        let before = state.clone();
        state.failures = if is_good { 0 } else { state.failures.saturating_add(1) };
        match opened {
            Some(Opened { certificates, passed_over }) => {
                for (serial, why) in passed_over {
                    tracing::warn!(mchid = %shared.settings.merchant.mchid(), %serial, %why, "a listed certificate is passed over");
                }
                state.take(certificates, now);
            }
            None => state.prune(now),
        }
        state.last = Some(Attempt { at: now, result: result.code(), detail: detail.clone() });
        (before, state.clone())
    };
    shared.publish();
    shared.metrics.ended(result);
    let pause = pause(state.failures);
    tell_changes(shared, &before, &state);
    if result == DownloadResult::NoCertificates {
        tell_no_certificates(shared, &state);
    } else if !is_good {
        tell_failure(shared, &state, &detail);
    }
    if result == DownloadResult::Taken {
        shared.metrics.taken_at(now);
        keep(shared, state, now).await;
    }
    pause
}

fn pause(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => AFTER_FAILURE.saturating_mul(2_u32.saturating_pow(doublings)).min(AFTER_FAILURES),
    }
}

fn tell_changes(shared: &Shared, before: &State, now: &State) {
    let mchid = shared.settings.merchant.mchid();
    let has = |state: &State, id: &str| state.held.iter().any(|held| &**held.certificate.key.id() == id);
    for held in &now.held {
        let key = &held.certificate.key;
        if !has(before, key.id()) {
            let until = key.not_after().map(UnixTime::secs).unwrap_or_default();
            tracing::info!(%mchid, serial = %key.id(), until, "a platform certificate was downloaded and is trusted");
        }
    }
    for held in before.held.iter().filter(|held| !has(now, held.certificate.key.id())) {
        tracing::info!(%mchid, serial = %held.certificate.key.id(), "a platform certificate is no longer trusted: it ended, or WeChat lists it no more");
    }
}

/// Good news for who has the public key. Who has not refuses everything, with no download to hope for.
fn tell_no_certificates(shared: &Shared, now: &State) {
    let mchid = shared.settings.merchant.mchid();
    if now.held.is_empty() && shared.settings.trusted.is_empty() {
        tracing::error!(%mchid, "WeChat has no certificate for this merchant, who has public keys alone, and no key is there: every callback is refused; download the public key from the merchant platform (API security) and name it with its id in keys.public");
    } else {
        tracing::info!(%mchid, "WeChat has no certificate for this merchant, who has public keys alone: keys.download can go");
    }
}

fn tell_failure(shared: &Shared, now: &State, failed: &str) {
    let mchid = shared.settings.merchant.mchid();
    let (failures, held) = (now.failures, now.held.len());
    if now.held.is_empty() && shared.settings.trusted.is_empty() {
        tracing::error!(%mchid, failures, "certificates cannot be downloaded, and no key is there: every callback is refused; {failed}");
    } else {
        tracing::warn!(%mchid, failures, held, "certificates cannot be downloaded, those held stay trusted: {failed}");
    }
}

/// Writes the cache. That it fails costs the next start a download, and no callback.
async fn keep(shared: &Arc<Shared>, state: State, now: UnixTime) {
    let Some(path) = shared.settings.cache.clone() else { return };
    let of = Arc::clone(shared);
    let written = tokio::task::spawn_blocking(move || {
        let written = cache::write(&path, &of.settings, &state.held, now);
        written
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "downloaded certificates are not kept"))
    });
    // What it has to say is said; a panic is logged by the runtime's own hook.
    drop(written.await);
}
