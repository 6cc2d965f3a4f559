//! `wxgate doctor`: why a request does not pass. "The signature does not verify and nothing says why" is the complaint
//! that every library of the field hears most.

mod url;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::Exit;
use super::captured::{Against, Captured};
use super::report::{json, result, talk};
use crate::clock::UnixTime;
use crate::wechat::diagnosis::{Diagnosis, Elsewhere, Explained};
use crate::wechat::{Protocol, message, pay_v2, pay_v3};

/// What every protocol says of a request with which nothing is wrong.
const PASSES: &str = "passes";

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
    meaning: &'static str,
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
        causes::<pay_v3::diagnosis::Cause>("pay-v3");
        causes::<pay_v2::diagnosis::Cause>("pay-v2");
        causes::<message::diagnosis::Cause>("message, open-platform, wecom");
        causes::<Elsewhere>("all");
        return Ok(Exit::Good);
    }
    if let Some(url) = &args.url {
        return url::run(args, url);
    }
    let (protocol, others) = args.against.protocols()?;
    let now = args.against.now()?;
    let mut exit = Exit::Good;
    for file in &args.files {
        let captured = Captured::read(file)?;
        let mut told = diagnosed(file, &protocol, &captured, now);
        if told.cause != PASSES {
            exit = Exit::Failed;
            if let Some((name, _)) = others.iter().find(|(_, other)| captured.passes(other, now)) {
                let detail = format!("it passes at endpoint `{name}`; here it does not: {}", told.cause);
                told = of(file, Diagnosis { cause: Elsewhere::OtherEndpoint, detail });
            }
        }
        tell(args, &told);
    }
    Ok(exit)
}

fn diagnosed<'a>(file: &'a Path, protocol: &Protocol, captured: &Captured, now: UnixTime) -> Told<'a> {
    let (received, body) = (captured.received(), &captured.body);
    match protocol {
        Protocol::PayV3(pay) => of(file, pay.diagnose(received, body, now)),
        Protocol::PayV2(pay) => of(file, pay.diagnose(received, body, now)),
        Protocol::Message(push) => of(file, push.diagnose(received, body, now)),
        Protocol::WeCom(push) => of(file, push.diagnose(received, body, now)),
    }
}

fn of<C: Explained>(file: &Path, diagnosis: Diagnosis<C>) -> Told<'_> {
    let Diagnosis { cause, detail } = diagnosis;
    Told { file, cause: cause.code(), detail, meaning: cause.meaning(), remedy: cause.remedy() }
}

fn causes<C: Explained>(of: &str) {
    result(format_args!("{of}:"));
    for cause in C::ALL {
        result(format_args!("  {:<20} {}", cause.code(), cause.remedy()));
    }
}

fn tell(args: &Args, told: &Told<'_>) {
    if args.json {
        json(told);
        return;
    }
    result(format_args!("{}: {}", told.file.display(), told.cause));
    if told.cause != PASSES {
        result(format_args!("  what it means   {}", told.meaning));
        result(format_args!("  what shows it   {}", told.detail));
        result(format_args!("  what to do      {}", told.remedy));
    }
}
