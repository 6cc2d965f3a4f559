//! `wxgate sim send`.

use std::time::Duration;

use serde::Serialize;

use super::{By, Exit, KeysArgs};
use crate::cli::report::{json, result};
use crate::sim::notify::{Callback, Event, unix_now};
use crate::sim::sample::{self, Order};
use crate::sim::wire::{self, Target};

/// WeChat's patience, and a little more, so that a late answer is seen.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Send one event, or show it.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The endpoint, such as http://127.0.0.1:8080/notify/shop-pay
    #[arg(long, value_name = "URL", required_unless_present = "list")]
    to: Option<String>,
    #[command(flatten)]
    keys: KeysArgs,
    /// Kind of event
    #[arg(long, default_value = "payment-native")]
    sample: String,
    /// Names the kinds of events
    #[arg(long)]
    list: bool,
    /// With which key it is signed
    #[arg(long, value_enum, default_value = "certificate")]
    by: By,
    /// Id of the event; a new one, if left out
    #[arg(long)]
    id: Option<String>,
    /// The merchant's number of the order
    #[arg(long)]
    out_trade_no: Option<String>,
    /// Amount in fen
    #[arg(long, default_value_t = 100)]
    total: i64,
    /// Seconds by which the timestamp is off
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    offset: i64,
    /// Tries, each signed afresh
    #[arg(long, default_value_t = 1)]
    tries: u32,
    /// Write the request to standard output as raw HTTP/1.1 and send nothing: `wxgate verify -` reads it
    #[arg(long)]
    print: bool,
    /// One line of JSON for each try
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Tried<'a> {
    event_id: &'a str,
    status: u16,
    seconds: f64,
    answer: String,
}

pub(super) async fn run(args: &Args) -> Result<Exit, String> {
    if args.list {
        for sample in sample::ALL {
            result(format_args!("{:<20} {}", sample.name, sample.about));
        }
        return Ok(Exit::Good);
    }
    let keys = args.keys.load().map_err(|error| error.to_string())?;
    let url = args.to.as_deref().unwrap_or_default();
    let target = Target::find(url).await.map_err(|error| error.to_string())?;
    let event = event(args, &Order::new(&keys.merchant, unix_now()))?;
    let callback = || event.callback(&keys, args.by.into(), &target.path, unix_now().saturating_add(args.offset));
    if args.print {
        result(String::from_utf8_lossy(&callback().to_http(&target.host)));
        return Ok(Exit::Good);
    }
    let mut exit = Exit::Good;
    for _ in 0..args.tries {
        let tried = send(&target, &event, &callback()).await?;
        if !matches!(tried.status, 200 | 204) {
            exit = Exit::Failed;
        }
        if args.json {
            json(&tried);
        } else {
            result(format_args!("{} {} in {:.1} ms  {}", event.id, tried.status, tried.seconds * 1000.0, tried.answer));
        }
    }
    Ok(exit)
}

fn event(args: &Args, order: &Order) -> Result<Event, String> {
    let sample = sample::find(&args.sample)
        .ok_or_else(|| format!("--sample: `{}` is unknown, `--list` names all", args.sample))?;
    let out_trade_no = args.out_trade_no.clone().unwrap_or_else(|| order.out_trade_no.clone());
    let event = sample.event(&Order { out_trade_no, total: args.total, ..order.clone() });
    Ok(Event { id: args.id.clone().unwrap_or_else(|| event.id.clone()), ..event })
}

async fn send<'a>(target: &Target, event: &'a Event, callback: &Callback) -> Result<Tried<'a>, String> {
    let begun = std::time::Instant::now();
    let answer = wire::exchange(target.address, &callback.to_http(&target.host), ANSWER_WITHIN).await;
    let answer = answer.map_err(|error| format!("no answer from {}: {error}", target.address))?;
    Ok(Tried {
        event_id: &event.id,
        status: answer.status,
        seconds: begun.elapsed().as_secs_f64(),
        answer: String::from_utf8_lossy(&answer.body).into_owned(),
    })
}
