//! Telling a merchant: at once, and again by WeChat's schedule until it answers success.
//!
//! Source: WeChat Pay APIv3, "Payment result notification": 15s/15s/30s/3m/10m/20m/30m/30m/30m/60m/3h/3h/3h/6h/6h, in all
//! 24h4m; success is 200 or 204. Each try is signed afresh.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{State, lock};
use crate::sim::keys::SignedBy;
use crate::sim::notify::{Event, unix_now};
use crate::sim::wire::{self, Target};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// The gaps between the tries, in seconds: fifteen retries after the first try.
pub const RETRY_GAPS: [u64; 15] = [
    15,
    15,
    30,
    3 * MINUTE,
    10 * MINUTE,
    20 * MINUTE,
    30 * MINUTE,
    30 * MINUTE,
    30 * MINUTE,
    HOUR,
    3 * HOUR,
    3 * HOUR,
    3 * HOUR,
    6 * HOUR,
    6 * HOUR,
];

/// The gap after so many tries, `time_scale` times as fast as in life; `None` when WeChat gives up.
pub fn gap(tries: usize, time_scale: f64) -> Option<Duration> {
    let seconds = *RETRY_GAPS.get(tries.checked_sub(1)?)?;
    // A scale that makes no sense leaves the gap as it is in life.
    let scaled = Duration::try_from_secs_f64(Duration::from_secs(seconds).as_secs_f64() / time_scale);
    Some(scaled.unwrap_or(Duration::from_secs(seconds)))
}

/// One notification and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// The event's id.
    pub event_id: String,
    /// Where it goes.
    pub url: String,
    /// Whether the merchant said that it knows.
    pub done: bool,
    /// Whether WeChat tries no more.
    pub given_up: bool,
    /// The tries so far.
    pub attempts: Vec<Attempt>,
}

/// One try.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Attempt {
    /// Unix seconds.
    pub at: i64,
    /// The status of the answer; none if none came.
    pub status: Option<u16>,
    /// How long that took, in seconds.
    pub seconds: f64,
}

impl Delivery {
    pub(super) fn new(event: &Event, url: &str) -> Self {
        Self { event_id: event.id.clone(), url: url.to_owned(), done: false, given_up: false, attempts: Vec::new() }
    }
}

/// Tries until it is done or the schedule ends.
pub(super) async fn deliver(state: Arc<State>, number: usize, event: Event, by: SignedBy, url: String) {
    for tries in 1.. {
        let attempt = attempt(&state, &event, by, &url).await;
        let done = matches!(attempt.status, Some(200 | 204));
        let gap = if done { None } else { gap(tries, state.settings.time_scale) };
        if let Some(delivery) = lock(&state.deliveries).get_mut(number) {
            delivery.attempts.push(attempt);
            delivery.done = done;
            delivery.given_up = !done && gap.is_none();
        }
        match gap {
            Some(gap) => tokio::time::sleep(gap).await,
            None => break,
        }
    }
    state.pending.send_modify(|pending| *pending = pending.saturating_sub(1));
}

async fn attempt(state: &Arc<State>, event: &Event, by: SignedBy, url: &str) -> Attempt {
    // Never closed.
    let _place = state.places.acquire().await;
    let (at, begun) = (unix_now(), Instant::now());
    let status = match Target::find(url).await {
        Ok(target) => tell(state, event, by, target, at).await,
        Err(_) => None,
    };
    Attempt { at, status, seconds: begun.elapsed().as_secs_f64() }
}

async fn tell(state: &Arc<State>, event: &Event, by: SignedBy, target: Target, at: i64) -> Option<u16> {
    let address = target.address;
    // Signing takes milliseconds, too long for a thread on which others wait for their answers.
    let (keys, event) = (state.keys(), event.clone());
    let signing = move || event.callback(&keys, by, &target.path, at).to_http(&target.host);
    let message = tokio::task::spawn_blocking(signing).await.ok()?;
    wire::exchange(address, &message, state.settings.answer_within).await.ok().map(|answer| answer.status)
}
