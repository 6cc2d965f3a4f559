//! `wxgate doctor`: why a request does not pass. "The signature does not verify and nothing says why" is the complaint
//! that every library of the field hears most.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::Exit;
use super::captured::{Against, Captured};
use super::report::{json, result, talk};
use crate::wechat::Protocol;
use crate::wechat::pay_v3::diagnosis::{Cause, Diagnosis};

/// Say why captured requests do not pass, by trying what usually goes wrong.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    against: Against,
    /// One line of JSON for each file
    #[arg(long)]
    json: bool,
    /// Captured requests, as `wxgate verify` takes them; `-` for standard input
    #[arg(required_unless_present = "causes")]
    files: Vec<PathBuf>,
    /// Names every cause that can be told, with its remedy
    #[arg(long)]
    causes: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    file: &'a Path,
    cause: &'static str,
    detail: &'a str,
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
    let protocol = args.against.protocol()?;
    let now = args.against.now()?;
    let Protocol::PayV3(pay) = &protocol else {
        let name = protocol.name();
        return Err(format!(
            "doctor tries the variants of pay-v3; of {name}, `wxgate verify` says why a request does not pass"
        ));
    };
    let mut exit = Exit::Good;
    for file in &args.files {
        let captured = Captured::read(file)?;
        let diagnosis = pay.diagnose(captured.received(), &captured.body, now);
        if diagnosis.cause != Cause::Passes {
            exit = Exit::Failed;
        }
        tell(args, file, &diagnosis);
    }
    Ok(exit)
}

fn tell(args: &Args, file: &Path, diagnosis: &Diagnosis) {
    let Diagnosis { cause, detail } = diagnosis;
    if args.json {
        json(&Told { file, cause: cause.code(), detail, remedy: cause.remedy() });
        return;
    }
    result(format_args!("{}: {}", file.display(), cause.code()));
    if *cause != Cause::Passes {
        result(format_args!("  what shows it   {detail}"));
        result(format_args!("  what to do      {}", cause.remedy()));
    }
}
