//! `wxgate rules explain`: a code of the checker, or a rule's judgement of one event.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::Exit;
use super::super::report::{json, result, talk};
use super::backtest::{Stopped, sets};
use super::events;
use super::tables::{Table, plain};
use crate::risk::backtest::{Explained, PartSeen, Trial};
use crate::risk::code::Code;
use crate::risk::recorded::{Entry, read_held, read_line};

/// Largest file with an event, in bytes: a held event with its body.
const MAX_FILE: u64 = 64 << 20;

/// What is to be explained.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A problem's code, such as WXL103, or with --event a rule's id
    what: String,
    /// File with the event: a record of the audit log, an event as `--events` takes them, or what `wxgate held show --json`
    /// prints. `-` is standard input
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// Of several events in the file, the one with this id
    #[arg(long, requires = "event")]
    id: Option<String>,
    /// Directory of rules
    #[arg(long, default_value = "rules", value_name = "DIR")]
    rules: PathBuf,
    /// Audit logs: counters hold what came before the event. Without, they are those that the record tells
    #[arg(long, num_args = 1.., value_name = "FILE", requires = "event")]
    events: Vec<PathBuf>,
    /// The result as one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Exit {
    match &args.event {
        None => code(&args.what),
        Some(path) => rule(path, args).unwrap_or_else(Stopped::exit),
    }
}

pub(super) fn code(name: &str) -> Exit {
    let Some(code) = Code::by_name(name) else {
        talk(format_args!(
            "wxgate rules: there is no code {name}; to explain a rule, say which event: --event FILE. Codes are"
        ));
        for code in Code::ALL {
            talk(format_args!("  {}  {}", code.name(), code.title()));
        }
        return Exit::Usage;
    };
    result(format_args!("{}: {}\n\n{}", code.name(), code.title(), code.explanation()));
    Exit::Good
}

fn rule(path: &Path, args: &Args) -> Result<Exit, Stopped> {
    let sets = sets(&args.rules, &[])?;
    let mut trial = Trial::new(sets);
    if !trial.has_rule(&args.what) {
        return Err(Stopped::Usage(format!("there is no rule {} in {}", args.what, args.rules.display())));
    }
    let mut entry = event(path, args.id.as_deref())?;
    if !args.events.is_empty() {
        let (at, id) = (entry.recorded.received_at(), entry.recorded.id().to_owned());
        let earlier = |before: &Entry| before.recorded.received_at() <= at && before.recorded.id() != id;
        let counted = events::each(&args.events, None, |before| {
            if earlier(&before) {
                drop(trial.judge(&before));
            }
        });
        let found = counted.map_err(|error| Stopped::Usage(format!("events cannot be read: {error}")))?;
        found.told.iter().for_each(talk);
        entry.recorded.forget_counters();
    }
    let missing = || Stopped::Usage(format!("there is no rule {}", args.what));
    let explained = trial.explain(&args.what, &entry).ok_or_else(missing)?;
    if args.json {
        json(&explained);
    } else {
        result(told(&explained));
    }
    Ok(Exit::Good)
}

/// The event of a file: the one with that id, or the only one.
fn event(path: &Path, id: Option<&str>) -> Result<Entry, Stopped> {
    let wrong = |what: &str| Stopped::Usage(format!("{}: {what}", path.display()));
    let bytes = read(path).map_err(|error| wrong(&error.to_string()))?;
    if let Some(entry) = serde_json::from_slice::<Value>(&bytes).ok().as_ref().and_then(read_held) {
        return Ok(entry);
    }
    let mut events = Vec::new();
    let mut first_wrong = None;
    // An event may stand on several lines if it is the only one.
    let whole = read_line(&bytes);
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    match whole {
        Ok(entry) => events.extend(entry),
        Err(_) => {
            for (number, line) in (1_u64..).zip(lines) {
                match read_line(line) {
                    Ok(entry) => {
                        events.extend(entry.filter(|entry| id.is_none_or(|id| entry.recorded.id() == id)));
                    }
                    Err(error) => first_wrong = first_wrong.or(Some(format!("line {number}: {error}"))),
                }
            }
        }
    }
    let id_is_right = |entry: &Entry| id.is_none_or(|id| entry.recorded.id() == id);
    let mut events = events.into_iter().filter(id_is_right);
    match (events.next(), events.next()) {
        (Some(only), None) => Ok(only),
        // The deliveries of one event are told by the first.
        (Some(first), Some(other)) if first.recorded.id() == other.recorded.id() => Ok(first),
        (Some(_), Some(_)) => Err(wrong("it holds several events: say which with --id")),
        (None, _) => {
            let why = first_wrong.unwrap_or_else(|| "it holds no such event".to_owned());
            Err(wrong(&format!(
                "{why}; an event is a record of the audit log, or what `wxgate held show --json` prints"
            )))
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().lock().take(MAX_FILE).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn told(explained: &Explained) -> String {
    let subject = explained.subject.as_deref().map(|subject| format!(" ({})", plain(subject))).unwrap_or_default();
    let acts = if explained.enforced { "acts" } else { "changes nothing" };
    let mut lines = vec![
        format!("{} {} [{}]", explained.rule, plain(&explained.title), explained.set),
        format!("event {}{subject}, received {}", plain(&explained.event), explained.at),
        format!("mode {}: on this event it {acts}", explained.mode),
        String::new(),
        outcome(explained),
        String::new(),
    ];
    lines.extend(parts(&explained.parts, 1));
    let mut counters = Table::new(&["counter", "before", "after", "from"]);
    for counter in &explained.counters {
        let number = |value: Option<i64>| value.map_or_else(|| "not counted".to_owned(), |value| value.to_string());
        let values = [number(counter.before), number(counter.after)];
        counters.row([counter.counter.clone()].into_iter().chain(values).chain([counter.from.to_owned()]).collect());
    }
    if !counters.is_empty() {
        lines.extend([String::new(), counters.text()]);
    }
    for exception in &explained.exceptions {
        let holds = match (exception.holds, exception.expired) {
            (_, true) => "has expired",
            (Some(true), false) => "applies",
            (Some(false), false) => "does not apply",
            (None, false) => "cannot be had, so it does not apply",
        };
        lines.extend([String::new(), format!("exception \"{}\" {holds}", plain(&exception.exception))]);
        lines.extend(parts(&exception.parts, 1));
    }
    lines.push(String::new());
    lines.extend(explained.steps.iter().map(|step| plain(step)));
    lines.extend(explained.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

fn outcome(explained: &Explained) -> String {
    let effect: Vec<String> = explained
        .action
        .map(str::to_owned)
        .into_iter()
        .chain((explained.score != 0).then(|| format!("score {:+}", explained.score)))
        .collect();
    let message = explained.message.as_deref().map(|message| format!(": {}", plain(message))).unwrap_or_default();
    match explained.outcome {
        "fires" => format!("it fires, {}{message}", effect.join(", ")),
        "excepted" => "its condition holds, and an exception applies".to_owned(),
        "failed" => {
            format!("it fails: {}; {}", explained.error.as_deref().unwrap_or_default(), effect.join(", "))
        }
        _ => "its condition does not hold".to_owned(),
    }
}

fn parts(parts: &[PartSeen], indent: usize) -> Vec<String> {
    let lead = |part: &PartSeen| "  ".repeat(part.depth.saturating_add(indent));
    let value = |part: &PartSeen| match (&part.value, &part.error) {
        (Some(value), _) => plain(value),
        (None, error) => format!("nothing: {}", error.as_deref().unwrap_or_default()),
    };
    parts.iter().map(|part| format!("{}{} = {}", lead(part), plain(&part.text), value(part))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn codes_are_explained_however_they_are_written() {
        assert_eq!(code("wxl009"), Exit::Good);
        assert_eq!(code("WXL999"), Exit::Usage);
    }

    #[test]
    fn an_event_is_found_in_whatever_file_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("event.json");
        let found = |text: &str, id| {
            fs::write(&path, text).unwrap();
            event(&path, id).map(|entry| entry.recorded.id().to_owned()).map_err(|stopped| match stopped {
                Stopped::Usage(message) => message,
                Stopped::Rules => String::new(),
            })
        };
        let one = |id: &str| format!(r#"{{"event.id":"{id}","event.kind":"REFUND","now":0}}"#);
        assert_eq!(found(&one("a"), None).unwrap(), "a");
        assert_eq!(found("{\n \"event\": {\"id\":\"b\",\n \"kind\":\"REFUND\"}, \"now\": 0 }\n", None).unwrap(), "b");
        let two = format!("{}\n{{\"outcome\":\"refused\"}}\n{}\n", one("a"), one("b"));
        assert_eq!(found(&two, Some("b")).unwrap(), "b");
        assert!(found(&two, None).unwrap_err().contains("several events"));
        assert!(found(&two, Some("c")).unwrap_err().contains("no such event"));
        assert!(found("{}", None).unwrap_err().contains("`event.id` is missing"));
        let held = r#"{"row":{"endpoint":"shop","received_at":"2026-03-01T04:00:00.000Z"},"masked":true,
            "event":{"id":"h","kind":"wechatpay.transaction.success","trade_state":"SUCCESS","amount_total":5,
            "success_time":"2026-03-01T04:00:00.000Z"},"signed":{"at":null,"by":"K"},"verdict":{"action":"hold"}}"#;
        assert_eq!(found(held, None).unwrap(), "h");
        let entry = event(&path, None).ok().unwrap();
        assert_eq!(entry.action, Some(crate::risk::Action::Hold));
        let told = serde_json::to_value(&entry.recorded).unwrap();
        assert_eq!(
            (&told["event.amount.total"], &told["event.success_time"]),
            (&5.into(), &1_772_337_600_000_i64.into())
        );
        assert!(told.get("client.ip").is_none());
    }
}
