//! `wxgate verify`: captured requests offline, judged by the very code that judges them in the gateway.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::Exit;
use super::captured::{Against, Captured};
use super::report::{json, result, talk};
use crate::clock::UnixTime;
use crate::reason::Reason;
use crate::wechat::message::ReplyTo;
use crate::wechat::{Answer, Protocol, Refused};

/// Judge captured requests offline, as the gateway would.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    against: Against,
    /// One line of JSON for each file
    #[arg(long)]
    json: bool,
    /// Captured requests, `-` for standard input: a JSON object with `method path query headers body_b64`, or a raw
    /// HTTP/1.1 message
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Judgement<'a> {
    file: &'a Path,
    verdict: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    event: Option<serde_json::Value>,
    reply: Reply,
}

#[derive(Serialize)]
struct Reply {
    status: u16,
    content_type: &'static str,
    body: String,
}

impl Reply {
    fn of(answer: &Answer) -> Self {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        Self { status: answer.status, content_type: answer.content_type, body }
    }
}

pub(super) fn run(args: &Args) -> ExitCode {
    match verify_all(args) {
        Ok(exit) => exit.into(),
        Err(message) => {
            talk(message);
            Exit::Usage.into()
        }
    }
}

fn verify_all(args: &Args) -> Result<Exit, String> {
    let protocol = args.against.protocol()?;
    let now = args.against.now()?;
    let mut exit = Exit::Good;
    for file in &args.files {
        let judged = judge(&protocol, file, &Captured::read(file)?, now);
        if judged.verdict != "accept" {
            exit = Exit::Failed;
        }
        if args.json {
            json(&judged);
        } else {
            let detail = judged.detail.map(|detail| format!(" ({detail})")).unwrap_or_default();
            result(format_args!("{}: {} {}{detail}", file.display(), judged.verdict, judged.reason));
            if let Some(event) = &judged.event {
                result(format_args!("{event:#}"));
            }
        }
    }
    Ok(exit)
}

fn judge<'a>(protocol: &Protocol, file: &'a Path, captured: &Captured, now: UnixTime) -> Judgement<'a> {
    // The check of a URL is answered by the gateway itself: there is no event in it.
    if let Some(checked) = protocol.echo(captured.received(), now) {
        let (verdict, reason, detail, answer) = match checked {
            Ok(answer) => ("accept", "ok", None, answer),
            Err(Refused { reason, detail, .. }) => ("reject", reason.code(), Some(detail), protocol.answer(reason)),
        };
        return Judgement { file, verdict, reason, detail, event: None, reply: Reply::of(&answer) };
    }
    let end = captured.judge(protocol, now);
    let (verdict, reason, detail, event, answer) = match end {
        Ok(authentic) => {
            let event = serde_json::from_slice(&authentic.event().body).ok();
            let answer = authentic.reply_to().map_or_else(|| protocol.answer(Reason::Forwarded), ReplyTo::acknowledge);
            ("accept", "ok", None, event, answer)
        }
        Err(Refused { reason, detail, .. }) => ("reject", reason.code(), Some(detail), None, protocol.answer(reason)),
    };
    Judgement { file, verdict, reason, detail, event, reply: Reply::of(&answer) }
}
