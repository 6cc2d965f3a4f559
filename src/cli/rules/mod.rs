//! `wxgate rules`: write, check, test and try rules before they ship, and look after those at work.

mod at_work;
mod backtest;
mod check;
mod draft;
mod events;
mod explain;
mod format;
mod sarif;
mod tables;

use std::path::PathBuf;
use std::process::ExitCode;

use super::Exit;
use super::report::{json, result};
use crate::risk::{FORMAT_SCHEMA, expr};

/// Write, check, test and explain risk rules.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Read, check and test all rule sets of a directory; says all problems at once
    Check(check::CheckArgs),
    /// Run the tests that rules bring along, and name each
    Test(check::TestArgs),
    /// Say more of a problem's code, such as WXL103; or with --event what a rule makes of an event, step by step
    Explain(explain::Args),
    /// Judge recorded events by rules: what would have been held, and by which rule
    Backtest {
        /// Directory of rules
        dir: PathBuf,
        #[command(flatten)]
        events: backtest::EventsArgs,
    },
    /// Judge recorded events by two states of the rules: exit 0 if nothing differs, 1 if something does
    Diff {
        /// Directory of the old rules
        old: PathBuf,
        /// Directory of the new rules
        new: PathBuf,
        #[command(flatten)]
        events: backtest::EventsArgs,
    },
    /// Write rule files in their one form: keys in order, comments kept
    Fmt(format::Args),
    /// Write a rule to start from, in shadow, with two tests; asks for what is not said
    New(draft::Args),
    /// What the rules of a running gateway did: digest and age of each set; mode, hits, errors and last hit of each rule
    Status(at_work::StatusArgs),
    /// Let a rule of a running gateway rest for events with one value in a field, for a while
    Snooze(at_work::SnoozeArgs),
    /// Print the JSON Schema of rule files, or what expressions can speak of
    Schema {
        /// Fields, kinds, enums and functions of expressions instead, as JSON
        #[arg(long)]
        expressions: bool,
    },
}

pub(super) fn run(args: &Args) -> ExitCode {
    let exit = match &args.command {
        Command::Check(args) => check::check(args),
        Command::Test(args) => check::test(args),
        Command::Explain(args) => explain::run(args),
        Command::Backtest { dir, events } => backtest::backtest(dir, events),
        Command::Diff { old, new, events } => backtest::diff(old, new, events),
        Command::Fmt(args) => format::run(args),
        Command::New(args) => draft::run(args),
        Command::Status(args) => at_work::status(args),
        Command::Snooze(args) => at_work::snooze(args),
        Command::Schema { expressions: false } => {
            result(FORMAT_SCHEMA.trim_end());
            Exit::Good
        }
        Command::Schema { expressions: true } => {
            json(&expr::reference::json());
            Exit::Good
        }
    };
    exit.into()
}
