//! `wxgate bans`: who is shut out by a running gateway, and an end to it.

use std::net::IpAddr;
use std::process::ExitCode;

use http::Method;
use serde_json::Value;

use super::Exit;
use super::gateway::{AskArgs, AskError, escaped};
use super::report::{json, result, talk};

/// See who is banned, and lift bans.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show who is banned, the longest first
    List {
        /// Most lines, up to 1000
        #[arg(long, default_value_t = 100)]
        limit: u16,
        #[command(flatten)]
        common: AskArgs,
    },
    /// Lift the bans of an address, and forgive what led to them
    Lift {
        /// The address
        address: IpAddr,
        #[command(flatten)]
        common: AskArgs,
    },
}

pub(super) fn run(args: &Args) -> ExitCode {
    let ended = match &args.command {
        Command::List { limit, common } => list(*limit, common),
        Command::Lift { address, common } => lift(*address, common),
    };
    ended.unwrap_or_else(|error| error.told()).into()
}

fn list(limit: u16, common: &AskArgs) -> Result<Exit, AskError> {
    let answer = common.gateway.find()?.ask(Method::GET, &format!("/v1/bans?limit={limit}"), None)?;
    if common.json {
        json(&answer);
        return Ok(Exit::Good);
    }
    let bans = answer.get("bans").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for ban in bans {
        let text = |member: &str| ban.get(member).and_then(Value::as_str).unwrap_or_default().escape_debug();
        let left = ban.get("left_s").and_then(Value::as_u64).unwrap_or_default();
        result(format_args!("{:<40}  {:<20}  {left} s more", text("address"), text("endpoint")));
    }
    let total = answer.get("total").and_then(Value::as_u64).unwrap_or_default();
    talk(format_args!("{} of {total} bans of this gateway", bans.len()));
    Ok(Exit::Good)
}

fn lift(address: IpAddr, common: &AskArgs) -> Result<Exit, AskError> {
    let target = format!("/v1/bans/{}", escaped(&address.to_string()));
    let answer = common.gateway.find()?.ask(Method::DELETE, &target, None)?;
    if common.json {
        json(&answer);
        return Ok(Exit::Good);
    }
    let endpoints = answer.get("lifted").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let endpoints: Vec<&str> = endpoints.iter().filter_map(Value::as_str).collect();
    result(format_args!("{address} is no longer banned at {}", endpoints.join(", ")));
    Ok(Exit::Good)
}
