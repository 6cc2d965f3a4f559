//! `wxgate doctor --url`: a running endpoint, from outside.

use serde::Serialize;

use super::Args;
use crate::cli::Exit;
use crate::cli::report::{json, result};
use crate::sim::keys::{Keys, SignedBy};
use crate::sim::probe::{FIDELITY, Looked, Probe, Probing, REFUSALS, TRUST};
use crate::sim::wire::Target;

#[derive(Serialize)]
struct Told<'a> {
    probe: &'static str,
    good: bool,
    answered: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    otherwise: Option<&'static str>,
}

pub(super) fn run(args: &Args, url: &str) -> Result<Exit, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("no runtime: {error}"))?.block_on(look(args, url))
}

async fn look(args: &Args, url: &str) -> Result<Exit, String> {
    let keys =
        args.keys.as_deref().map_or_else(|| Ok(Keys::bundled()), Keys::load).map_err(|error| error.to_string())?;
    let target = Target::find(url).await.map_err(|error| error.to_string())?;
    let mut probing = Probing { target: &target, keys: &keys, by: SignedBy::Certificate };
    let mut exit = Exit::Good;
    for probe in REFUSALS {
        if !tell(args, probe, &probe.look(&probing).await.map_err(|error| unreachable(url, &error))?, probe.otherwise) {
            exit = Exit::Failed;
        }
    }
    let mut trusted = TRUST.look(&probing).await.map_err(|error| unreachable(url, &error))?;
    if !trusted.good {
        probing.by = SignedBy::PublicKey;
        trusted = TRUST.look(&probing).await.map_err(|error| unreachable(url, &error))?;
    }
    // Without a key that it trusts, an endpoint in use is as it should be: that is no failure.
    if !tell(args, &TRUST, &trusted, TRUST.otherwise) {
        return Ok(exit);
    }
    for probe in FIDELITY {
        let looked = probe.look(&probing).await;
        // A connection that breaks off is an answer here: the endpoint was reached before.
        let looked = looked.unwrap_or_else(|error| Looked { good: false, answered: error.to_string() });
        if !tell(args, probe, &looked, probe.otherwise) {
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

fn tell(args: &Args, probe: &Probe, looked: &Looked, otherwise: &'static str) -> bool {
    let otherwise = (!looked.good).then_some(otherwise);
    if args.json {
        json(&Told { probe: probe.name, good: looked.good, answered: &looked.answered, otherwise });
    } else {
        let mark = if looked.good { "good" } else { "NOT SO" };
        result(format_args!("{mark:<7} {:<26} {}", probe.name, looked.answered));
        if let Some(otherwise) = otherwise {
            result(format_args!("        {otherwise}"));
        }
    }
    looked.good
}

fn unreachable(url: &str, error: &std::io::Error) -> String {
    format!("{url} does not answer: {error}")
}
