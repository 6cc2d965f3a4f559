//! `wxgate sim shop`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::{Exit, parse_duration};
use crate::cli::report::{json, result, talk};
use crate::sim::shop::{Behaviour, Delivery, Shop};

/// How often what has come is shown.
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// A sample merchant app behind the gateway.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Where it listens; any path takes events
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: String,
    /// File with the signing secret of the endpoint's upstream (`whsec_…`)
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// Answers 500 to the first attempt at every n-th new event
    #[arg(long, value_name = "N", group = "behaviour")]
    fail_every: Option<usize>,
    /// Answers 503 to everything
    #[arg(long, group = "behaviour")]
    down: bool,
    /// Takes this long for each event
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, group = "behaviour")]
    slow: Option<Duration>,
    /// One line of JSON for each request
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    webhook_id: &'a str,
    r#type: &'a str,
    subject: &'a str,
    signed: bool,
    status: u16,
    bytes: usize,
}

pub(super) async fn run(args: &Args) -> Result<Exit, String> {
    let path = args.secret_file.display();
    let secret = std::fs::read_to_string(&args.secret_file).map_err(|error| format!("{path}: {error}"))?;
    let secret = secret.trim().strip_prefix("whsec_").and_then(|text| base64_simd::STANDARD.decode_to_vec(text).ok());
    let secret = secret.ok_or_else(|| format!("{path}: expected `whsec_` and base64"))?;
    let behaviour = match (args.fail_every, args.down, args.slow) {
        (Some(n), _, _) => Behaviour::Flaky(n),
        (None, true, _) => Behaviour::Down,
        (None, false, Some(delay)) => Behaviour::Slow(delay),
        (None, false, None) => Behaviour::Healthy,
    };
    let shop = Shop::start(&args.listen, &secret, behaviour).await;
    let shop = shop.map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    talk(format_args!("merchant app on http://{}, {behaviour:?}", shop.address()));
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Good),
            () = tokio::time::sleep(SHOW_EVERY) => shop.take_deliveries().iter().for_each(|delivery| show(args, delivery)),
        }
    }
}

fn show(args: &Args, delivery: &Delivery) {
    let header = |name: &str| delivery.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Delivery { webhook_id, signed, status, body, .. } = delivery;
    let (kind, subject) = (header("ce-type"), header("ce-subject"));
    if args.json {
        json(&Shown { webhook_id, r#type: kind, subject, signed: *signed, status: *status, bytes: body.len() });
    } else {
        let signed = if *signed { "signed" } else { "NOT SIGNED" };
        result(format_args!("{status} {kind} {subject} {webhook_id} {signed} {} bytes", body.len()));
    }
}
