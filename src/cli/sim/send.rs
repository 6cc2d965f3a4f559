//! `wxgate sim send`.

use std::time::Duration;

use serde::Serialize;

use super::push::{self, Protocol, Push};
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
    /// What is spoken
    #[arg(long, value_enum, default_value = "pay-v3")]
    protocol: Protocol,
    #[command(flatten)]
    keys: KeysArgs,
    #[command(flatten)]
    account: push::AccountArgs,
    /// Kind of event or message; payment-native or text, if left out
    #[arg(long, visible_alias = "type", value_name = "KIND")]
    sample: Option<String>,
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
        match args.protocol.family() {
            Some(family) => push::list(family),
            None => sample::ALL.iter().for_each(|s| result(format_args!("{:<20} {}", s.name, s.about))),
        }
        return Ok(Exit::Good);
    }
    let url = args.to.as_deref().unwrap_or_default();
    let target = Target::find(url).await.map_err(|error| error.to_string())?;
    if let Some(family) = args.protocol.family() {
        let push = Push::new(&args.account, family, args.sample.as_deref(), &target.path, args.offset)?;
        return deliver(args, &target, &push.name, || push.callback(), |answer| push.read(&answer)).await;
    }
    let keys = args.keys.load().map_err(|error| error.to_string())?;
    let event = event(args, &Order::new(&keys.merchant, unix_now()))?;
    let callback = || event.callback(&keys, args.by.into(), &target.path, unix_now().saturating_add(args.offset));
    deliver(args, &target, &event.id, || Ok(callback()), |answer| answer).await
}

/// Prints what would be sent, or sends it as often as asked for. `read` makes an answer readable.
async fn deliver(
    args: &Args,
    target: &Target,
    event_id: &str,
    callback: impl Fn() -> Result<Callback, String>,
    read: impl Fn(String) -> String,
) -> Result<Exit, String> {
    if args.print {
        result(String::from_utf8_lossy(&callback()?.to_http(&target.host)));
        return Ok(Exit::Good);
    }
    let mut exit = Exit::Good;
    for _ in 0..args.tries {
        let tried = send(target, event_id, &callback()?).await?;
        let tried = Tried { answer: read(tried.answer), ..tried };
        if !matches!(tried.status, 200 | 204) {
            exit = Exit::Failed;
        }
        if args.json {
            json(&tried);
        } else {
            result(format_args!("{event_id} {} in {:.1} ms  {}", tried.status, tried.seconds * 1000.0, tried.answer));
        }
    }
    Ok(exit)
}

fn event(args: &Args, order: &Order) -> Result<Event, String> {
    let name = args.sample.as_deref().unwrap_or("payment-native");
    let sample = sample::find(name).ok_or_else(|| format!("--sample: `{name}` is unknown, `--list` names all"))?;
    let out_trade_no = args.out_trade_no.clone().unwrap_or_else(|| order.out_trade_no.clone());
    let event = sample.event(&Order { out_trade_no, total: args.total, ..order.clone() });
    Ok(Event { id: args.id.clone().unwrap_or_else(|| event.id.clone()), ..event })
}

async fn send<'a>(target: &Target, event_id: &'a str, callback: &Callback) -> Result<Tried<'a>, String> {
    let begun = std::time::Instant::now();
    let answer = wire::exchange(target.address, &callback.to_http(&target.host), ANSWER_WITHIN).await;
    let answer = answer.map_err(|error| format!("no answer from {}: {error}", target.address))?;
    Ok(Tried {
        event_id,
        status: answer.status,
        seconds: begun.elapsed().as_secs_f64(),
        answer: String::from_utf8_lossy(&answer.body).into_owned(),
    })
}
