//! `wxgate held`, `wxgate pending` and `wxgate dead`: events that wait, over the API of a running gateway.

use std::process::ExitCode;

use http::Method;
use serde_json::{Map, Value};

use super::Exit;
use super::gateway::{AskArgs, AskError, Gateway, query};
use super::report::{json, result, talk};

/// Look through a queue, let events go, or drop them.
#[derive(clap::Args)]
pub(super) struct HeldArgs {
    #[command(subcommand)]
    command: HeldCommand,
}

/// See what is being delivered in the background.
#[derive(clap::Args)]
pub(super) struct PendingArgs {
    #[command(subcommand)]
    command: PendingCommand,
}

/// Look through what was given up, and deliver it after all.
#[derive(clap::Args)]
pub(super) struct DeadArgs {
    #[command(subcommand)]
    command: DeadCommand,
}

#[derive(clap::Subcommand)]
enum HeldCommand {
    /// One line for each event
    List(ListArgs),
    /// One event in full
    Show(ShowArgs),
    /// Deliver events after all
    Release(RowsArgs),
    /// Remove events for good; they are not delivered
    Drop(RowsArgs),
}

#[derive(clap::Subcommand)]
enum PendingCommand {
    /// One line for each event
    List(ListArgs),
    /// One event in full
    Show(ShowArgs),
    /// Remove events for good; they are not delivered
    Drop(RowsArgs),
}

#[derive(clap::Subcommand)]
enum DeadCommand {
    /// One line for each event
    List(ListArgs),
    /// One event in full
    Show(ShowArgs),
    /// Deliver events after all
    Release(RowsArgs),
    /// Deliver all events after all, 1000 at once
    Redrive(RedriveArgs),
    /// Remove events for good; they are not delivered
    Drop(RowsArgs),
}

#[derive(clap::Args)]
struct ListArgs {
    /// Of this endpoint
    #[arg(long)]
    endpoint: Option<String>,
    /// For this reason, such as id-conflict
    #[arg(long)]
    reason: Option<String>,
    /// In the queue since this time or later: RFC 3339, or Unix seconds
    #[arg(long)]
    since: Option<String>,
    /// In the queue since before this time
    #[arg(long)]
    until: Option<String>,
    /// Most lines, up to 1000
    #[arg(long, default_value_t = 100)]
    limit: u16,
    /// Go on behind the end of an earlier list
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    common: AskArgs,
}

#[derive(clap::Args)]
struct ShowArgs {
    /// Id of the row, as `list` shows it
    id: String,
    /// Without masks, and with the body; the audit log tells that it was seen
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    common: AskArgs,
}

#[derive(clap::Args)]
struct RowsArgs {
    /// Ids of rows, as `list` shows them
    #[arg(required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    common: AskArgs,
}

#[derive(clap::Args)]
struct RedriveArgs {
    /// Of this endpoint only
    #[arg(long)]
    endpoint: Option<String>,
    #[command(flatten)]
    common: AskArgs,
}

pub(super) fn held(args: &HeldArgs) -> ExitCode {
    ended(match &args.command {
        HeldCommand::List(args) => list("held", args),
        HeldCommand::Show(args) => show("held", args),
        HeldCommand::Release(args) => each("held", Change::Release, args),
        HeldCommand::Drop(args) => each("held", Change::Drop, args),
    })
}

pub(super) fn pending(args: &PendingArgs) -> ExitCode {
    ended(match &args.command {
        PendingCommand::List(args) => list("pending", args),
        PendingCommand::Show(args) => show("pending", args),
        PendingCommand::Drop(args) => each("pending", Change::Drop, args),
    })
}

pub(super) fn dead(args: &DeadArgs) -> ExitCode {
    ended(match &args.command {
        DeadCommand::List(args) => list("dead", args),
        DeadCommand::Show(args) => show("dead", args),
        DeadCommand::Release(args) => each("dead", Change::Release, args),
        DeadCommand::Redrive(args) => redrive(args),
        DeadCommand::Drop(args) => each("dead", Change::Drop, args),
    })
}

fn ended(result: Result<Exit, AskError>) -> ExitCode {
    result.unwrap_or_else(|error| error.told()).into()
}

fn list(queue: &str, args: &ListArgs) -> Result<Exit, AskError> {
    let parameters = query(&[
        ("endpoint", args.endpoint.clone()),
        ("reason", args.reason.clone()),
        ("since", args.since.clone()),
        ("until", args.until.clone()),
        ("limit", Some(args.limit.to_string())),
        ("cursor", args.cursor.clone()),
    ]);
    let page = args.common.gateway.find()?.ask(Method::GET, &format!("/v1/{queue}{parameters}"), None)?;
    if args.common.json {
        json(&page);
        return Ok(Exit::Good);
    }
    let rows = page.get("rows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !rows.is_empty() {
        result(format_args!("{:<48}  {:<20}  {:<22}  {:<24}  tries", "id", "endpoint", "reason", "since"));
    }
    for row in rows {
        let aside = if row.get("quarantined") == Some(&Value::Bool(true)) { "  does not open" } else { "" };
        let (id, endpoint, reason) = (text(row, "id"), text(row, "endpoint"), text(row, "reason"));
        let (since, tries) = (text(row, "entered_at"), text(row, "tries"));
        result(format_args!("{id:<48}  {endpoint:<20}  {reason:<22}  {since:<24}  {tries}{aside}"));
    }
    match page.get("next").and_then(Value::as_str) {
        Some(next) => talk(format_args!("there are more: --cursor {next}")),
        None if rows.is_empty() => talk(format_args!("nothing is {queue}")),
        None => {}
    }
    Ok(Exit::Good)
}

fn show(queue: &str, args: &ShowArgs) -> Result<Exit, AskError> {
    let reveal = query(&[("reveal", args.reveal.then(|| "true".to_owned()))]);
    let target = format!("/v1/{queue}/{}{reveal}", segment(&args.id)?);
    let row = args.common.gateway.find()?.ask(Method::GET, &target, None)?;
    if args.common.json {
        json(&row);
        return Ok(Exit::Good);
    }
    let none = Map::new();
    let section = |name: &str| row.get(name).and_then(Value::as_object).unwrap_or(&none);
    for (name, value) in section("row") {
        result(format_args!("{name:<22}  {}", plain(value)));
    }
    for name in ["webhook_id", "attempts", "released_from", "verdict", "body_bytes"] {
        result(format_args!("{name:<22}  {}", row.get(name).map(plain).unwrap_or_default()));
    }
    for group in ["signed", "event"] {
        for (name, value) in section(group) {
            result(format_args!("{:<22}  {}", format!("{group}.{name}"), plain(value)));
        }
    }
    if let Some(body) = row.get("body").and_then(Value::as_str) {
        result(format_args!("\n{body}"));
    } else {
        talk("masked: --reveal shows who paid, and the body");
    }
    Ok(Exit::Good)
}

#[derive(Clone, Copy)]
enum Change {
    Release,
    Drop,
}

/// Goes on after one that fails; the worst decides the exit code.
fn each(queue: &str, change: Change, args: &RowsArgs) -> Result<Exit, AskError> {
    let gateway = args.common.gateway.find()?;
    let mut exit = Exit::Good;
    for id in &args.ids {
        match one(&gateway, queue, change, id) {
            Ok(answer) if args.common.json => json(&answer),
            Ok(_) => result(format_args!(
                "{id}  {}",
                match change {
                    Change::Release => "released: it is delivered now",
                    Change::Drop => "dropped",
                }
            )),
            Err(error) => {
                let code = error.told();
                exit = if exit == Exit::Usage { exit } else { code };
            }
        }
    }
    Ok(exit)
}

fn one(gateway: &Gateway, queue: &str, change: Change, id: &str) -> Result<Value, AskError> {
    let id = segment(id)?;
    match change {
        Change::Release => gateway.ask(Method::POST, &format!("/v1/{queue}/{id}/release"), None),
        Change::Drop => gateway.ask(Method::DELETE, &format!("/v1/{queue}/{id}"), None),
    }
}

fn redrive(args: &RedriveArgs) -> Result<Exit, AskError> {
    let target = format!("/v1/dead/redrive{}", query(&[("endpoint", args.endpoint.clone())]));
    let answer = args.common.gateway.find()?.ask(Method::POST, &target, None)?;
    if args.common.json {
        json(&answer);
    } else {
        result(format_args!("{} events are pending again", text(&answer, "moved")));
    }
    let unopened = answer.get("unopened").and_then(Value::as_u64).unwrap_or(0);
    if unopened > 0 {
        talk(format_args!("{unopened} do not open, and stay: the gateway's log names them"));
    }
    if answer.get("more") == Some(&Value::Bool(true)) {
        talk("more are dead: ask again");
    }
    Ok(if unopened > 0 { Exit::Failed } else { Exit::Good })
}

/// An id becomes part of a path.
fn segment(id: &str) -> Result<&str, AskError> {
    let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
    if is_id { Ok(id) } else { Err(AskError::Unasked(format!("`{id}` is no id of a row; `list` shows them"))) }
}

fn text(row: &Value, member: &str) -> String {
    row.get(member).map(plain).unwrap_or_default()
}

/// A value on one line, without quotes around a string, and without what moves a terminal's cursor.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.chars().map(|c| if c.is_control() { '?' } else { c }).collect(),
        Value::Null => "-".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
