//! `wxgate sim`: the simulated WeChat on the command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::Exit;
use super::report::{json, result, talk};
use crate::sim::client::{self, Target};
use crate::sim::keys::{Keys, SignedBy};
use crate::sim::load::{self, Plan};
use crate::sim::notify::unix_now;
use crate::sim::sample::{self, Order};
use crate::sim::shop::{Behaviour, Shop};
use crate::sim::wechat::{Settings, Wechat};
use crate::sim::{attack, schedule};

/// A simulated WeChat.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Serve the API: orders, certificates, and notifications with WeChat's schedule of retries
    Serve(ServeArgs),
    /// Send one genuine callback
    Send(SendArgs),
    /// Send many, and measure
    Load(LoadArgs),
    /// Try everything that a forger may try
    Attack(AttackArgs),
    /// A sample merchant app that prints what it gets
    Shop(ShopArgs),
}

/// Where to send, and what to sign with.
#[derive(clap::Args)]
struct To {
    /// The notify URL
    #[arg(long)]
    to: Target,
    /// Folder of test keys, as `wxgate init` writes it; the bundled ones, if left out
    #[arg(long)]
    keys: Option<PathBuf>,
    /// The result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct ServeArgs {
    /// Address of the API
    #[arg(long, default_value = "127.0.0.1:9800")]
    listen: String,
    /// Folder of test keys
    #[arg(long)]
    keys: Option<PathBuf>,
    /// How much faster than in life the clock of retries runs
    #[arg(long, default_value_t = 1.0)]
    time_scale: f64,
}

#[derive(clap::Args)]
struct SendArgs {
    #[command(flatten)]
    to: To,
    /// Kind of event
    #[arg(long = "type", default_value = "payment-native", value_parser = clap::builder::PossibleValuesParser::new(sample::ALL.iter().map(|sample| sample.name)))]
    kind: String,
    /// Amount in fen
    #[arg(long, default_value_t = 100)]
    total: i64,
    /// The merchant's number of the order; a random one, if left out
    #[arg(long)]
    out_trade_no: Option<String>,
    /// Sign with the key that is named by PUB_KEY_ID_…
    #[arg(long)]
    public_key: bool,
}

#[derive(clap::Args)]
struct LoadArgs {
    #[command(flatten)]
    to: To,
    /// Requests to send
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Requests a second; as fast as answers come, if left out
    #[arg(long)]
    rate: Option<f64>,
    /// How long to send at `--rate`, in seconds; instead of `--requests`
    #[arg(long, requires = "rate", conflicts_with = "requests")]
    seconds: Option<f64>,
    /// Share of requests that repeat an earlier event, signed afresh (0 to 1)
    #[arg(long, default_value_t = 0.0)]
    duplicates: f64,
    /// Share of requests with a forged signature (0 to 1)
    #[arg(long, default_value_t = 0.0)]
    forged: f64,
}

#[derive(clap::Args)]
struct AttackArgs {
    #[command(flatten)]
    to: To,
    /// Only the case of this name
    #[arg(long)]
    only: Option<String>,
}

#[derive(clap::Args)]
struct ShopArgs {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: String,
    /// File with the signing secret, `whsec_…`
    #[arg(long)]
    secret_file: PathBuf,
    /// Fail the first attempt at every n-th new event
    #[arg(long)]
    fail_every: Option<usize>,
    /// Print nothing
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, thiserror::Error)]
enum SimError {
    #[error("{0}")]
    Keys(#[from] crate::sim::keys::KeysError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{} holds no Standard Webhooks secret (whsec_ and base64)", .0.display())]
    Secret(PathBuf),
    #[error("no case is named {0}; without --only all are run")]
    NoCase(String),
}

pub(super) fn run(args: &Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            talk(format_args!("wxgate sim: no runtime: {error}"));
            return Exit::Failed.into();
        }
    };
    let end = runtime.block_on(async {
        match &args.command {
            Command::Serve(args) => serve(args).await,
            Command::Send(args) => send(args).await,
            Command::Load(args) => load(args).await,
            Command::Attack(args) => attack(args).await,
            Command::Shop(args) => shop(args).await,
        }
    });
    end.unwrap_or_else(|error| {
        talk(format_args!("wxgate sim: {error}"));
        Exit::Usage
    })
    .into()
}

fn keys(dir: Option<&Path>) -> Result<Keys, SimError> {
    Ok(dir.map_or_else(|| Ok(Keys::bundled()), Keys::load)?)
}

async fn serve(args: &ServeArgs) -> Result<Exit, SimError> {
    let settings = Settings {
        listen: args.listen.clone(),
        keys: keys(args.keys.as_deref())?,
        notify_url: String::new(),
        time_scale: args.time_scale,
    };
    let wechat = Wechat::start(settings).await?;
    talk(format_args!(
        "simulated WeChat on http://{}; a user pays by POST /sim/pay {{\"code_url\": …}}",
        wechat.addr()
    ));
    tokio::signal::ctrl_c().await?;
    Ok(Exit::Good)
}

#[derive(Serialize)]
struct Sent<'a> {
    event_id: &'a str,
    out_trade_no: &'a str,
    status: u16,
    body: String,
}

async fn send(args: &SendArgs) -> Result<Exit, SimError> {
    let keys = keys(args.to.keys.as_deref())?;
    let mut order = Order { total: args.total, ..Order::new(&keys.merchant, unix_now()) };
    if let Some(number) = &args.out_trade_no {
        order.out_trade_no.clone_from(number);
    }
    // The parser of the arguments let only names of samples pass.
    let Some(sample) = sample::find(&args.kind) else { return Ok(Exit::Usage) };
    let event = sample.event(&order);
    let by = if args.public_key { SignedBy::PublicKey } else { SignedBy::Certificate };
    let Target { authority, path } = &args.to.to;
    let callback = event.callback(&keys, by, path, unix_now()).with_header("Connection", "close");
    let answer = client::exchange(authority, &callback.to_http(authority), schedule::PATIENCE).await?;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let sent = Sent { event_id: &event.id, out_trade_no: &order.out_trade_no, status: answer.status, body };
    if args.to.json {
        json(&sent);
    } else {
        result(format_args!(
            "{} {} (order {}): {} {}",
            sample.name, sent.event_id, sent.out_trade_no, sent.status, sent.body
        ));
    }
    Ok(if answer.status == 200 { Exit::Good } else { Exit::Failed })
}

async fn load(args: &LoadArgs) -> Result<Exit, SimError> {
    let keys = keys(args.to.keys.as_deref())?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let timed = args.seconds.zip(args.rate).map(|(seconds, rate)| (seconds * rate).ceil() as usize);
    let plan = Plan {
        connections: args.connections,
        requests: timed.unwrap_or(args.requests),
        rate: args.rate,
        duplicates: args.duplicates,
        forged: args.forged,
    };
    talk(format_args!("signing {} requests …", plan.requests));
    let target = args.to.to.clone();
    let signing = (plan.clone(), target.clone());
    let requests = tokio::task::spawn_blocking(move || load::prepare(&signing.0, &keys, &signing.1));
    let requests = requests.await.map_err(std::io::Error::other)?;
    let report = load::run(&plan, &target, requests).await;
    if args.to.json {
        json(&report);
    } else {
        result(&report);
    }
    Ok(if report.broken == 0 { Exit::Good } else { Exit::Failed })
}

#[derive(Serialize)]
struct Attacked {
    name: &'static str,
    about: &'static str,
    answers: Vec<u16>,
    held: bool,
}

async fn attack(args: &AttackArgs) -> Result<Exit, SimError> {
    let keys = keys(args.to.keys.as_deref())?;
    let Target { authority, path } = &args.to.to;
    let url = format!("http://{authority}{path}");
    let mut cases = attack::cases();
    if let Some(only) = &args.only {
        cases.retain(|case| case.name == only);
        if cases.is_empty() {
            return Err(SimError::NoCase(only.clone()));
        }
    }
    let mut failed = 0_usize;
    let count = cases.len();
    for case in cases {
        let ran = case.run(&url, &keys).await;
        failed = failed.saturating_add(usize::from(!ran.held));
        if args.to.json {
            json(&Attacked { name: ran.name, about: ran.about, answers: ran.statuses, held: ran.held });
        } else {
            let verdict = if ran.held { "held" } else { "NOT HELD" };
            result(format_args!("{:<28} {verdict:<9} {:?}  {}", ran.name, ran.statuses, ran.about));
        }
    }
    talk(format_args!("{} of {count} held off; what was delivered, the app knows", count.saturating_sub(failed)));
    Ok(if failed == 0 { Exit::Good } else { Exit::Failed })
}

async fn shop(args: &ShopArgs) -> Result<Exit, SimError> {
    let text = std::fs::read_to_string(&args.secret_file)?;
    let decoded = text.trim().strip_prefix("whsec_").map(|text| base64_simd::STANDARD.decode_to_vec(text));
    let secret = decoded.and_then(Result::ok).ok_or_else(|| SimError::Secret(args.secret_file.clone()))?;
    let behaviour = args.fail_every.map_or(Behaviour::Healthy, Behaviour::Flaky);
    let shop = Shop::start(&args.listen, &secret, behaviour).await?;
    talk(format_args!("sample app on http://{}/events", shop.address()));
    let mut shown = 0_usize;
    loop {
        tokio::select! {
            end = tokio::signal::ctrl_c() => { end?; return Ok(Exit::Good); }
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        let deliveries = shop.take_deliveries();
        shown = shown.saturating_add(deliveries.len());
        for delivery in deliveries.iter().filter(|_| !args.quiet) {
            let kind = delivery.headers.get("ce-type").and_then(|value| value.to_str().ok()).unwrap_or("?");
            let signed = if delivery.signed { "signed" } else { "NOT SIGNED" };
            let body = String::from_utf8_lossy(&delivery.body);
            result(format_args!("{shown} {kind} {signed} → {} {body}", delivery.status));
        }
    }
}
