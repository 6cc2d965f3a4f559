//! `wxgate orders` and `wxgate lists`, over the API of a running gateway.

use std::process::ExitCode;

use http::Method;
use serde_json::{Value, json};

use super::Exit;
use super::gateway::{AskArgs, AskError, escaped, query};
use super::report::{json as print_json, result, talk};

/// Register what is to be paid, or look it up.
#[derive(clap::Args)]
pub(super) struct OrdersArgs {
    #[command(subcommand)]
    command: OrdersCommand,
}

#[derive(clap::Subcommand)]
enum OrdersCommand {
    /// Register an order, as the merchant's app does when it shows the QR code
    Put(PutArgs),
    /// Show a registered order
    Get(GetArgs),
}

#[derive(clap::Args)]
struct PutArgs {
    #[command(flatten)]
    order: OrderOf,
    /// What is to be paid, in fen
    #[arg(long, value_name = "FEN")]
    amount: i64,
    #[arg(long, default_value = "CNY")]
    currency: String,
    /// Who is to pay
    #[arg(long, value_name = "OPENID")]
    payer: Option<String>,
    /// The address that ordered
    #[arg(long, value_name = "ADDRESS")]
    client_ip: Option<String>,
    /// Until when it may be paid: RFC 3339, or Unix seconds; two hours from now if left out
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    #[command(flatten)]
    common: AskArgs,
}

#[derive(clap::Args)]
struct GetArgs {
    #[command(flatten)]
    order: OrderOf,
    #[command(flatten)]
    common: AskArgs,
}

#[derive(clap::Args)]
struct OrderOf {
    /// The endpoint that WeChat will tell of the payment
    endpoint: String,
    /// out_trade_no
    order_no: String,
}

/// See and change the lists that rules look into.
#[derive(clap::Args)]
pub(super) struct ListsArgs {
    #[command(subcommand)]
    command: ListsCommand,
}

#[derive(clap::Subcommand)]
enum ListsCommand {
    /// Put a value on a list
    Add(AddArgs),
    /// Take a value off a list
    Remove(RemoveArgs),
    /// Show what is on a list
    Show(ShowArgs),
}

#[derive(clap::Args)]
struct AddArgs {
    list: String,
    value: String,
    /// Until when: RFC 3339, or Unix seconds; 30 days from now if left out
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[command(flatten)]
    common: AskArgs,
}

#[derive(clap::Args)]
struct RemoveArgs {
    list: String,
    value: String,
    #[command(flatten)]
    common: AskArgs,
}

#[derive(clap::Args)]
struct ShowArgs {
    list: String,
    /// Most lines, up to 1000
    #[arg(long, default_value_t = 100)]
    limit: u16,
    /// Go on behind the end of an earlier list
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    common: AskArgs,
}

pub(super) fn orders(args: &OrdersArgs) -> ExitCode {
    ended(match &args.command {
        OrdersCommand::Put(args) => {
            let order = json!({
                "amount_total": args.amount,
                "currency": args.currency,
                "payer_openid": args.payer,
                "client_ip": args.client_ip,
                "expires_at": args.expires,
            });
            ask(&args.common, Method::PUT, &args.order.target(), Some(&order))
        }
        OrdersCommand::Get(args) => ask(&args.common, Method::GET, &args.order.target(), None),
    })
}

pub(super) fn lists(args: &ListsArgs) -> ExitCode {
    ended(match &args.command {
        ListsCommand::Add(args) => {
            let entry = json!({ "until": args.until });
            ask(&args.common, Method::PUT, &entry_of(&args.list, &args.value), Some(&entry))
        }
        ListsCommand::Remove(args) => ask(&args.common, Method::DELETE, &entry_of(&args.list, &args.value), None),
        ListsCommand::Show(args) => show(args),
    })
}

fn show(args: &ShowArgs) -> Result<Exit, AskError> {
    let page = query(&[("limit", Some(args.limit.to_string())), ("cursor", args.cursor.clone())]);
    let target = format!("/v1/lists/{}{page}", escaped(&args.list));
    let page = args.common.gateway.find()?.ask(Method::GET, &target, None)?;
    if args.common.json {
        print_json(&page);
        return Ok(Exit::Good);
    }
    for entry in page.get("values").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
        let text = |member: &str| entry.get(member).and_then(Value::as_str).unwrap_or_default().escape_debug();
        result(format_args!("{:<40}  until {}", text("value"), text("until")));
    }
    if let Some(next) = page.get("next").and_then(Value::as_str) {
        talk(format_args!("there are more: --cursor {}", next.escape_debug()));
    }
    Ok(Exit::Good)
}

/// Asks, and shows each member of the answer on a line.
fn ask(common: &AskArgs, method: Method, target: &str, body: Option<&Value>) -> Result<Exit, AskError> {
    let answer = common.gateway.find()?.ask(method, target, body)?;
    if common.json {
        print_json(&answer);
        return Ok(Exit::Good);
    }
    for (name, value) in answer.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), |text| text.escape_debug().to_string());
        result(format_args!("{name:<14}  {value}"));
    }
    Ok(Exit::Good)
}

impl OrderOf {
    fn target(&self) -> String {
        format!("/v1/orders/{}/{}", escaped(&self.endpoint), escaped(&self.order_no))
    }
}

fn entry_of(list: &str, value: &str) -> String {
    format!("/v1/lists/{}/{}", escaped(list), escaped(value))
}

fn ended(result: Result<Exit, AskError>) -> ExitCode {
    result.unwrap_or_else(|error| error.told()).into()
}
