//! `wxgate sim attack`.

use serde::Serialize;

use super::{Exit, KeysArgs, Protocol};
use crate::cli::report::{json, result};
use crate::sim::attack::{self, Case, CaseResult, Expectation};

/// Try every attack; exit code 1 if one is not held off.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The endpoint, such as http://127.0.0.1:8080/notify/shop-pay
    #[arg(long, value_name = "URL", required_unless_present = "list")]
    to: Option<String>,
    #[command(flatten)]
    keys: KeysArgs,
    /// Only the cases whose names contain one of these
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Whose cases: those of pay-v2 are for an endpoint with `sign_type = "MD5"`
    #[arg(long, value_enum, default_value = "pay-v3")]
    protocol: Protocol,
    /// Names the cases and what must come of them
    #[arg(long)]
    list: bool,
    /// The result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Attacked {
    held: bool,
    cases: Vec<CaseResult>,
}

pub(super) async fn run(args: &Args) -> Result<Exit, String> {
    let is_wanted =
        |case: &Case| args.only.is_empty() || args.only.iter().any(|part| case.name.contains(part.as_str()));
    let all = match args.protocol {
        Protocol::PayV3 => attack::cases(),
        Protocol::PayV2 => attack::pay_v2_cases(),
    };
    let cases: Vec<_> = all.into_iter().filter(is_wanted).collect();
    if cases.is_empty() {
        return Err("--only: no case has such a name, `--list` names all".to_owned());
    }
    if args.list {
        for case in &cases {
            result(format_args!("{:<32} {:<15} {}", case.name, due(case.expectation), case.about));
        }
        return Ok(Exit::Good);
    }
    let keys = args.keys.load().map_err(|error| error.to_string())?;
    let target = args.to.as_deref().unwrap_or_default();
    let mut results = Vec::new();
    for case in cases {
        let ended = case.run(target, &keys).await;
        if !args.json {
            let failure =
                ended.failure.as_ref().map_or_else(|| "held".to_owned(), |failure| format!("NOT HELD: {failure}"));
            result(format_args!("{:<32} {:<15} {failure}", ended.name, due(ended.expectation)));
        }
        results.push(ended);
    }
    let held = results.iter().filter(|ended| ended.held).count();
    let attacked = Attacked { held: held == results.len(), cases: results };
    if args.json {
        json(&attacked);
    } else {
        result(format_args!("{held} of {} attacks held off", attacked.cases.len()));
    }
    Ok(if attacked.held { Exit::Good } else { Exit::Failed })
}

fn due(expectation: Expectation) -> &'static str {
    match expectation {
        Expectation::Refused => "refused",
        Expectation::Closed => "cut off",
        Expectation::DeliveredOnce => "delivered once",
    }
}
