//! `wxgate sim`: the simulated WeChat and what belongs to it.

mod attack;
mod load;
mod push;
mod send;
mod serve;
mod shop;

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use super::Exit;
use super::report::talk;
use crate::sim::keys::{Keys, KeysError, SignedBy};
use crate::sim::pay_v2::sign::SignType;

/// A simulated WeChat: serve, send, load, attack.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The simulated WeChat: Native orders, certificates, queries, payments, notifications with retries
    Serve(serve::Args),
    /// Send one event, or show it
    Send(send::Args),
    /// Send signed callbacks over kept connections and measure
    Load(load::Args),
    /// Try every attack; exit code 1 if one is not held off
    Attack(attack::Args),
    /// A sample merchant app behind the gateway
    Shop(shop::Args),
}

/// Where the keys come from.
#[derive(clap::Args)]
struct KeysArgs {
    /// Folder of keys, as `wxgate init` and `wxgate sim serve` write it; the bundled test keys, if left out
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
}

impl KeysArgs {
    fn load(&self) -> Result<Keys, KeysError> {
        self.keys.as_deref().map_or_else(|| Ok(Keys::bundled()), Keys::load)
    }
}

/// The protocols that the simulator attacks by.
#[derive(Clone, Copy, ValueEnum)]
enum Protocol {
    PayV3,
    PayV2,
}

/// By what v2 notifications are signed.
#[derive(Clone, Copy, ValueEnum)]
enum V2SignType {
    #[value(name = "MD5")]
    Md5,
    #[value(name = "HMAC-SHA256")]
    HmacSha256,
}

impl From<V2SignType> for SignType {
    fn from(by: V2SignType) -> Self {
        match by {
            V2SignType::Md5 => Self::Md5,
            V2SignType::HmacSha256 => Self::HmacSha256,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    Certificate,
    PublicKey,
}

impl From<By> for SignedBy {
    fn from(by: By) -> Self {
        match by {
            By::Certificate => Self::Certificate,
            By::PublicKey => Self::PublicKey,
        }
    }
}

pub(super) fn run(args: &Args) -> ExitCode {
    let exit = match &args.command {
        Command::Serve(args) => on_runtime(serve::run(args)),
        Command::Send(args) => on_runtime(send::run(args)),
        Command::Load(args) => on_runtime(load::run(args)),
        Command::Attack(args) => on_runtime(attack::run(args)),
        Command::Shop(args) => on_runtime(shop::run(args)),
    };
    exit.into()
}

/// Runs a command; what it cannot begin with is wrong usage.
fn on_runtime(command: impl Future<Output = Result<Exit, String>>) -> Exit {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            talk(format_args!("wxgate sim: no runtime: {error}"));
            return Exit::Failed;
        }
    };
    runtime.block_on(command).unwrap_or_else(|message| {
        talk(format_args!("wxgate sim: {message}"));
        Exit::Usage
    })
}

/// `250ms`, `10s`, `5m`; a plain number is seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration like 250ms, 10s or 5m");
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(unit_at).ok_or_else(wrong)?;
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" => number * 60.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_mins(5)));
        for wrong in ["", "s", "10 s", "10d", "-1s", "é"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
