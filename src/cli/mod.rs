//! The commands: the only code that prints. Results go to standard output, talk to standard error.
//!
//! Exit codes: 0 good, 1 a check did not hold, 2 wrong usage or unreadable input.

mod bans;
mod captured;
mod check;
mod demo;
mod doctor;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gateway;
mod init;
mod keys;
mod queues;
mod registers;
mod report;
mod rules;
mod run;
mod sim;
mod starter_rules;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Verifies WeChat callbacks and forwards each authentic event once.
#[derive(Parser)]
#[command(name = "wxgate", version, about, propagate_version = true, max_term_width = 120)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Gateway, simulated WeChat and sample merchant in one process: pays orders, then attacks
    Demo(demo::Args),
    /// Run the gateway
    Run(run::Args),
    /// Write a commented configuration and test keys to start from
    Init(init::Args),
    /// Check configuration and keys; says all problems at once
    Check(check::Args),
    /// Judge captured requests offline, as the gateway would
    Verify(verify::Args),
    /// Events that are kept for a person: list, show, release, drop
    Held(queues::HeldArgs),
    /// Events that wait for their delivery: list, show, drop
    Pending(queues::PendingArgs),
    /// Events whose delivery was given up: list, show, release, redrive, drop
    Dead(queues::DeadArgs),
    /// Say why captured requests do not pass, and what to do about it
    Doctor(doctor::Args),
    /// What is to be paid, as the merchant's app registers it: put, get
    Orders(registers::OrdersArgs),
    /// Lists that rules look into: add, remove, show
    Lists(registers::ListsArgs),
    /// Say which keys are trusted, until when, and which of them can go
    Keys(keys::Args),
    /// Write, check, test and explain risk rules
    Rules(rules::Args),
    /// Show who is banned, and lift bans
    Bans(bans::Args),
    /// A simulated WeChat: serve, send, load, attack
    Sim(sim::Args),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is done and holds.
    Good,
    /// A check did not hold.
    Failed,
    /// Wrong usage or unreadable input.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Good => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Usage => Self::from(2),
        }
    }
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Held(args) => queues::held(&args),
        Command::Pending(args) => queues::pending(&args),
        Command::Dead(args) => queues::dead(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Orders(args) => registers::orders(&args),
        Command::Lists(args) => registers::lists(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Bans(args) => bans::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Sim(args) => sim::run(&args),
    }
}
