//! Load: genuine callbacks, signed before the clock starts (signing costs far more than verifying), sent over connections
//! that are kept.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::client::{self, Target};
use super::keys::{Keys, SignedBy};
use super::notify::{Event, unix_now};
use super::sample::{self, Order};

/// What to send.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Requests.
    pub requests: usize,
    /// Requests a second over all connections; none: as fast as answers come.
    pub rate: Option<f64>,
    /// Share of requests that repeat an earlier event, signed afresh; 0 to 1.
    pub duplicates: f64,
    /// Share of requests whose signature is forged; 0 to 1.
    pub forged: f64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Requests answered.
    pub answered: usize,
    /// Requests without an answer.
    pub broken: usize,
    /// Answers by status.
    pub statuses: std::collections::BTreeMap<u16, usize>,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Answers a second.
    pub per_second: f64,
    /// Latencies in milliseconds: half, 90 %, 99 %, 99.9 % of the answers came within.
    pub p50: f64,
    /// 90 %
    pub p90: f64,
    /// 99 %
    pub p99: f64,
    /// 99.9 %
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// Signs every request of a plan; on as many threads as the machine has.
pub fn prepare(plan: &Plan, keys: &Keys, target: &Target) -> Vec<Vec<u8>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = plan.requests.div_ceil(threads.max(1));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|index| {
                let from = index.saturating_mul(share).min(plan.requests);
                let count = share.min(plan.requests.saturating_sub(from));
                scope.spawn(move || requests(plan, keys, target, count))
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    })
}

fn requests(plan: &Plan, keys: &Keys, target: &Target, count: usize) -> Vec<Vec<u8>> {
    let Some(sample) = sample::find("payment-native") else { return Vec::new() };
    let (mut duplicates, mut forged) = (0.0, 0.0);
    let mut last: Option<Event> = None;
    let mut made = Vec::with_capacity(count);
    for _ in 0..count {
        duplicates += plan.duplicates;
        forged += plan.forged;
        let event = match last.take() {
            Some(event) if duplicates >= 1.0 => {
                duplicates -= 1.0;
                event
            }
            Some(_) | None => sample.event(&Order::new(&keys.merchant, unix_now())),
        };
        let mut callback = event.callback(keys, SignedBy::Certificate, &target.path, unix_now());
        if forged >= 1.0 {
            forged -= 1.0;
            callback = callback.with_header("Wechatpay-Nonce", "another-nonce");
        } else {
            last = Some(event);
        }
        made.push(callback.to_http(&target.authority));
    }
    made
}

/// Sends prepared requests and measures.
pub async fn run(plan: &Plan, target: &Target, requests: Vec<Vec<u8>>) -> Report {
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..plan.connections.max(1) {
        let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
        senders.spawn(send(requests, next, target.authority.clone(), plan.rate, begun));
    }
    let mut answers: Vec<(u16, Duration)> = Vec::with_capacity(requests.len());
    while let Some(sent) = senders.join_next().await {
        answers.extend(sent.unwrap_or_default());
    }
    report(answers, begun.elapsed(), requests.len())
}

/// One connection: takes the next request, sends it when it is due, waits for the answer.
async fn send(
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
    authority: String,
    rate: Option<f64>,
    begun: Instant,
) -> Vec<(u16, Duration)> {
    let mut answers = Vec::new();
    let mut stream: Option<TcpStream> = None;
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(request) = requests.get(index) else { return answers };
        // Latency counts from when a request was due: a slow answer must not hide the wait of the ones behind it.
        let mut due = Instant::now();
        if let Some(rate) = rate {
            #[allow(clippy::cast_precision_loss)] // far below 2^52 requests
            let at = begun.checked_add(Duration::from_secs_f64(index as f64 / rate)).unwrap_or(due);
            tokio::time::sleep_until(at.into()).await;
            due = at;
        }
        let status = match exchange(&mut stream, &mut buffer, &authority, request).await {
            Ok(status) => status,
            Err(_) => {
                stream = None;
                buffer.clear();
                0
            }
        };
        answers.push((status, due.elapsed()));
    }
}

async fn exchange(
    slot: &mut Option<TcpStream>,
    buffer: &mut Vec<u8>,
    authority: &str,
    request: &[u8],
) -> io::Result<u16> {
    let stream = match slot {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(authority).await?;
            stream.set_nodelay(true)?;
            slot.insert(stream)
        }
    };
    stream.write_all(request).await?;
    Ok(client::read_answer(stream, buffer).await?.status)
}

fn report(answers: Vec<(u16, Duration)>, took: Duration, sent: usize) -> Report {
    let mut statuses = std::collections::BTreeMap::new();
    let mut latencies = Vec::with_capacity(answers.len());
    for (status, latency) in answers.into_iter().filter(|(status, _)| *status != 0) {
        let count: &mut usize = statuses.entry(status).or_default();
        *count = count.saturating_add(1);
        latencies.push(latency);
    }
    latencies.sort_unstable();
    let seconds = took.as_secs_f64();
    let answered = latencies.len();
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let within = |share: f64| {
        let index = (share * answered.saturating_sub(1) as f64).round() as usize;
        latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    };
    #[allow(clippy::cast_precision_loss)]
    let per_second = answered as f64 / seconds.max(f64::MIN_POSITIVE);
    Report {
        answered,
        broken: sent.saturating_sub(answered),
        statuses,
        seconds,
        per_second,
        p50: within(0.5),
        p90: within(0.9),
        p99: within(0.99),
        p999: within(0.999),
        max: within(1.0),
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let statuses: Vec<_> = self.statuses.iter().map(|(status, count)| format!("{status} ×{count}")).collect();
        writeln!(f, "{} answers in {:.2} s: {:.0}/s", self.answered, self.seconds, self.per_second)?;
        writeln!(f, "answers   {}; {} without answer", statuses.join(", "), self.broken)?;
        write!(
            f,
            "latency   p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
            self.p50, self.p90, self.p99, self.p999, self.max
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept_and_percentiles_are_of_the_answers() {
        let plan = Plan { connections: 1, requests: 40, rate: None, duplicates: 0.25, forged: 0.1 };
        let target = Target { authority: "h:1".into(), path: "/p".into() };
        let made = prepare(&plan, &Keys::bundled(), &target);
        assert_eq!(made.len(), 40);
        let forged = made.iter().filter(|bytes| String::from_utf8_lossy(bytes).contains("another-nonce")).count();
        assert!((2..=4).contains(&forged), "{forged}");
        let unique: std::collections::HashSet<_> = made
            .iter()
            .map(|bytes| String::from_utf8_lossy(bytes).split("\"id\":\"").nth(1).unwrap()[..35].to_owned())
            .collect();
        assert!((29..=33).contains(&unique.len()), "{}", unique.len());

        let answers = (1..=100).map(|ms| (200, Duration::from_millis(ms))).chain([(0, Duration::ZERO)]).collect();
        let report = report(answers, Duration::from_secs(2), 101);
        assert_eq!((report.answered, report.broken), (100, 1));
        assert!((report.per_second - 50.0).abs() < 1e-9 && (report.max - 100.0).abs() < 1e-9);
        assert!((report.p50 - 51.0).abs() <= 1.0);
    }
}
