//! `wxgate sim send`.

use std::time::Duration;

use serde::Serialize;

use super::push::{self, Protocol, Push};
use super::{By, Exit, KeysArgs, V2SignType};
use crate::cli::report::{json, result};
use crate::sim::keys::Keys;
use crate::sim::notify::{Callback, Event, unix_now};
use crate::sim::pay_v2::{self, Notice};
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
    /// Kind of event or message; payment-native, v2-payment-native or text, if left out
    #[arg(long, visible_alias = "type", value_name = "KIND")]
    sample: Option<String>,
    /// Names the kinds of events
    #[arg(long)]
    list: bool,
    /// With which key it is signed
    #[arg(long, value_enum, default_value = "certificate")]
    by: By,
    /// By what a v2 notification is signed
    #[arg(long, value_enum, default_value = "MD5")]
    sign_type: V2SignType,
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
            None => list(args.protocol == Protocol::PayV2),
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
    let message = message(args, &Order::new(&keys.merchant, unix_now()))?;
    deliver(args, &target, message.id(), || Ok(message.callback(args, &keys, &target.path)), |answer| answer).await
}

fn list(is_v2: bool) {
    let names = sample::ALL.iter().map(|sample| (sample.name, sample.about)).filter(|_| !is_v2);
    let v2_names = pay_v2::sample::ALL.iter().map(|sample| (sample.name, sample.about)).filter(|_| is_v2);
    names.chain(v2_names).for_each(|(name, about)| result(format_args!("{name:<20} {about}")));
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

/// What is sent, of either protocol.
enum Message {
    PayV3(Event),
    PayV2(Notice),
}

impl Message {
    /// One try, made afresh.
    fn callback(&self, args: &Args, keys: &Keys, path: &str) -> Callback {
        match self {
            Self::PayV3(event) => event.callback(keys, args.by.into(), path, unix_now().saturating_add(args.offset)),
            Self::PayV2(notice) => notice.callback(&keys.merchant, args.sign_type.into(), path),
        }
    }

    /// What it is known by; v2 has no ids of notifications, so there it is the first number that is found.
    fn id(&self) -> &str {
        match self {
            Self::PayV3(event) => &event.id,
            Self::PayV2(notice) => {
                let numbers = ["refund_id", "transaction_id", "contract_id", "combine_out_trade_no"];
                let find = |number: &str| notice.members().iter().find(|(name, _)| name == number);
                numbers.iter().find_map(|number| find(number)).map_or("", |(_, value)| value)
            }
        }
    }
}

fn message(args: &Args, order: &Order) -> Result<Message, String> {
    let out_trade_no = args.out_trade_no.clone().unwrap_or_else(|| order.out_trade_no.clone());
    let order = Order { out_trade_no, total: args.total, ..order.clone() };
    let otherwise = if args.protocol == Protocol::PayV2 { "v2-payment-native" } else { "payment-native" };
    let name = args.sample.as_deref().unwrap_or(otherwise);
    if let Some(sample) = pay_v2::sample::find(name) {
        return Ok(Message::PayV2(sample.notice(&order)));
    }
    let sample = sample::find(name).ok_or_else(|| format!("--sample: `{name}` is unknown, `--list` names all"))?;
    let event = sample.event(&order);
    Ok(Message::PayV3(Event { id: args.id.clone().unwrap_or_else(|| event.id.clone()), ..event }))
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
