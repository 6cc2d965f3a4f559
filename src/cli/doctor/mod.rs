//! `wxgate doctor`: why a request does not pass. "The signature does not verify and nothing says why" is the complaint
//! that every library of the field hears most.

mod url;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::Exit;
use super::captured::{Against, Captured};
use super::report::{json, result, talk};
use crate::wechat::pay_v3::diagnosis::{Cause, Diagnosis};
use crate::wechat::{Authentic, Protocol, Refused};

/// Say why captured requests do not pass, by trying what usually goes wrong.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    against: Against,
    /// One line of JSON for each file
    #[arg(long)]
    json: bool,
    /// Captured requests, as `wxgate verify` takes them; `-` for standard input
    #[arg(required_unless_present_any = ["causes", "url"])]
    files: Vec<PathBuf>,
    /// Looks at a running endpoint from outside, such as http://127.0.0.1:8080/notify/shop-pay: does it refuse what is
    /// forged, does every byte arrive? Sends no event
    #[arg(long, value_name = "URL", conflicts_with = "files")]
    url: Option<String>,
    /// Folder of test keys for `--url`, as `wxgate init` writes it; the bundled ones, if left out
    #[arg(long, value_name = "DIR", requires = "url")]
    keys: Option<PathBuf>,
    /// Names every cause that can be told, with its remedy
    #[arg(long)]
    causes: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    file: &'a Path,
    cause: &'static str,
    detail: String,
    remedy: &'static str,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match diagnose(args) {
        Ok(exit) => exit.into(),
        Err(message) => {
            talk(message);
            Exit::Usage.into()
        }
    }
}

fn diagnose(args: &Args) -> Result<Exit, String> {
    if args.causes {
        for cause in Cause::ALL {
            result(format_args!("{:<20} {}", cause.code(), cause.remedy()));
        }
        return Ok(Exit::Good);
    }
    if let Some(url) = &args.url {
        return url::run(args, url);
    }
    let protocol = args.against.protocol()?;
    let now = args.against.now()?;
    let mut exit = Exit::Good;
    for file in &args.files {
        let captured = Captured::read(file)?;
        let told = match &protocol {
            Protocol::PayV3(pay) => {
                let Diagnosis { cause, detail } = pay.diagnose(captured.received(), &captured.body, now);
                Told { file, cause: cause.code(), detail, remedy: cause.remedy() }
            }
            other @ (Protocol::PayV2(_) | Protocol::Message(_) | Protocol::WeCom(_)) => {
                judged(file, captured.judge(other, now))
            }
        };
        if told.cause != Cause::Passes.code() {
            exit = Exit::Failed;
        }
        tell(args, &told);
    }
    Ok(exit)
}

/// Where no variants are tried, the refusal's own words say most: they name the setting to look at.
fn judged(file: &Path, judged: Result<Authentic, Refused>) -> Told<'_> {
    match judged {
        Ok(_) => Told { file, cause: Cause::Passes.code(), detail: String::new(), remedy: Cause::Passes.remedy() },
        Err(Refused { reason, detail, .. }) => {
            Told { file, cause: reason.code(), detail, remedy: "see the reason in docs/reasons.md" }
        }
    }
}

fn tell(args: &Args, told: &Told<'_>) {
    if args.json {
        json(told);
        return;
    }
    result(format_args!("{}: {}", told.file.display(), told.cause));
    if told.cause != Cause::Passes.code() {
        result(format_args!("  what shows it   {}", told.detail));
        result(format_args!("  what to do      {}", told.remedy));
    }
}
