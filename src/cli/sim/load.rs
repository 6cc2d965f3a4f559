//! `wxgate sim load`.

use std::time::Duration;

use super::{Exit, KeysArgs, parse_duration};
use crate::cli::report::{json, result, talk};
use crate::sim::load::{self, Settings};

/// Send signed callbacks over kept connections and measure.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The endpoint, such as http://127.0.0.1:8080/notify/shop-pay
    #[arg(long, value_name = "URL")]
    to: String,
    #[command(flatten)]
    keys: KeysArgs,
    /// Connections that are kept
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Callbacks a second; as fast as answers come, if left out
    #[arg(long)]
    rate: Option<f64>,
    /// Longest time of sending
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// Most callbacks; each is signed beforehand, at about half a millisecond a core
    #[arg(long, default_value_t = 20_000)]
    callbacks: usize,
    /// Share of further tries of earlier events, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    duplicates: f64,
    /// Share of forged signatures, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    forged: f64,
    /// The result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit, String> {
    let keys = args.keys.load().map_err(|error| error.to_string())?;
    let settings = Settings {
        target: args.to.clone(),
        connections: args.connections,
        rate: args.rate,
        callbacks: args.callbacks,
        duration: args.duration,
        duplicates: args.duplicates,
        forged: args.forged,
    };
    talk("signing …");
    let prepared = load::prepare(&settings, &keys).await.map_err(|error| error.to_string())?;
    talk(format_args!("{} callbacks signed in {:.1} s, sending …", prepared.len(), prepared.signed_in().as_secs_f64()));
    let report = load::send(&settings, prepared).await.map_err(|error| error.to_string())?;
    if args.json {
        json(&report);
    } else {
        result(&report);
    }
    Ok(if report.held() { Exit::Good } else { Exit::Failed })
}
