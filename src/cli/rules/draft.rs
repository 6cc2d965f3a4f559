//! `wxgate rules new`: a rule to start from, in shadow, with two tests that pass. What is not said by flags is asked at the
//! terminal.

use std::fs;
use std::io::{self, BufRead, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::super::Exit;
use super::super::report::{result, talk};
use super::backtest::Stopped;
use crate::clock::Clock;
use crate::config::read_rule_files;
use crate::risk;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Directory of rules
    dir: PathBuf,
    /// What the rule looks for
    #[arg(long, value_enum)]
    about: Option<About>,
    /// From where on: yuan, for `many` a number of payments, for `listed` the name of a list
    #[arg(long)]
    limit: Option<String>,
    /// What is done then
    #[arg(long, value_enum)]
    action: Option<Act>,
    /// The rule's id, such as WXP-9001
    #[arg(long)]
    id: Option<String>,
}

/// What a rule looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum About {
    /// A payment of more than so many yuan
    Amount,
    /// More than so many payments by one payer in ten minutes
    Many,
    /// More than so many yuan by one payer in a day
    Sum,
    /// A payer on a list
    Listed,
}

/// What is done. A payment has happened, so that rejecting it is no start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Act {
    /// The app sees a word of caution
    Flag,
    /// A person decides
    Hold,
}

/// A rule to be.
struct Draft {
    about: About,
    limit: Limit,
    action: Act,
    id: String,
}

enum Limit {
    Yuan(i64),
    Payments(i64),
    List(String),
}

pub(super) fn run(args: &Args) -> Exit {
    draft(args).unwrap_or_else(Stopped::exit)
}

fn draft(args: &Args) -> Result<Exit, Stopped> {
    let files = read_rule_files(&args.dir)
        .map_err(|error| Stopped::Usage(format!("{} cannot be read: {error}", args.dir.display())))?;
    let known = ids(&files);
    let mut asking = Asking { lines: io::stdin().is_terminal().then(|| io::stdin().lock()) };
    let draft = Draft::ask(args, &known, &mut asking)?;
    let name = draft.id.to_ascii_lowercase();
    let path = args.dir.join(format!("{name}.yaml"));
    if known.contains(&draft.id) || path.exists() {
        return Err(Stopped::Usage(format!("there is a rule {} already; say another --id", draft.id)));
    }
    let text = draft.text();
    let text = risk::canonical(&name, &text).unwrap_or(text);
    let write = || fs::OpenOptions::new().write(true).create_new(true).open(&path)?.write_all(text.as_bytes());
    write().map_err(|error| Stopped::Usage(format!("{}: {error}", path.display())))?;
    check(&args.dir).inspect_err(|_| drop(fs::remove_file(&path)))?;
    result(format_args!("{} is written: rule {} in shadow, with two tests that pass", path.display(), draft.id));
    talk(format_args!(
        "hint: name the set in an endpoint, `rules = [\"{name}\"]`, and try it on what came: `wxgate rules backtest`"
    ));
    Ok(Exit::Good)
}

/// Whether the directory loads with the new rule in it.
fn check(dir: &Path) -> Result<(), Stopped> {
    let files =
        read_rule_files(dir).map_err(|error| Stopped::Usage(format!("{} cannot be read: {error}", dir.display())))?;
    risk::load(&files, Clock::System.now()).map(drop).map_err(|problems| {
        problems.iter().for_each(talk);
        Stopped::Rules
    })
}

/// The ids of all rules, as far as the files tell them.
fn ids(files: &risk::Files) -> Vec<String> {
    let words = files.iter().flat_map(|(_, text)| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-'));
    words.filter(|word| is_id(word)).map(str::to_owned).collect()
}

fn is_id(word: &str) -> bool {
    let Some((letters, digits)) = word.split_once('-') else { return false };
    (2..=8).contains(&letters.len())
        && letters.bytes().all(|byte| byte.is_ascii_uppercase())
        && (3..=6).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The first number from 9001 on that is free.
fn free(known: &[String]) -> String {
    let id = |number: u32| format!("WXP-{number}");
    (9001..100_000).map(id).find(|id| !known.contains(id)).unwrap_or_else(|| id(9001))
}

/// The person at the terminal, if there is one.
struct Asking<L> {
    lines: Option<L>,
}

impl<L: BufRead> Asking<L> {
    /// What the flag says, or else the answer to a question; empty: `usual`.
    fn ask<T>(
        &mut self,
        said: Option<T>,
        flag: &str,
        question: &str,
        usual: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Stopped> {
        if let Some(said) = said {
            return Ok(said);
        }
        let Some(lines) = &mut self.lines else {
            return Err(Stopped::Usage(format!("{flag} is missing: {question}; at a terminal it is asked for")));
        };
        loop {
            talk(format_args!("{question} [{usual}]"));
            let mut line = String::new();
            let ended = lines.read_line(&mut line).map_err(|error| Stopped::Usage(error.to_string()))? == 0;
            let answer = if line.trim().is_empty() { usual } else { line.trim() };
            match read(answer) {
                Some(answer) => return Ok(answer),
                None if ended => return Err(Stopped::Usage("no answer".to_owned())),
                None => talk(format_args!("`{answer}` is none of that")),
            }
        }
    }
}

impl Draft {
    fn ask<L: BufRead>(args: &Args, known: &[String], asking: &mut Asking<L>) -> Result<Self, Stopped> {
        let question = "what does it look for: amount, many, sum or listed?";
        let about = asking.ask(args.about, "--about", question, "amount", |text| About::from_str(text, true).ok())?;
        let (question, usual) = match about {
            About::Amount => ("a payment of more than how many yuan?", "5000"),
            About::Many => ("more than how many payments of one payer in ten minutes?", "5"),
            About::Sum => ("more than how many yuan of one payer in a day?", "20000"),
            About::Listed => ("the list's name?", "blocked_payers"),
        };
        let said = match &args.limit {
            Some(text) => Some(Limit::read(about, text).ok_or_else(|| {
                Stopped::Usage(format!("--limit {text} is no limit of this rule: {question} For example {usual}"))
            })?),
            None => None,
        };
        let limit = asking.ask(said, "--limit", question, usual, |text| Limit::read(about, text))?;
        let question = "what is done then: flag or hold?";
        let action = asking.ask(args.action, "--action", question, "hold", |text| Act::from_str(text, true).ok())?;
        let is_wrong = |id: &&String| !is_id(id);
        if let Some(id) = args.id.as_ref().filter(is_wrong) {
            return Err(Stopped::Usage(format!("--id {id} is no id: capital letters, `-` and digits, WXP-9001")));
        }
        let read = |text: &str| is_id(text).then(|| text.to_owned());
        let id = asking.ask(args.id.clone(), "--id", "the rule's id?", &free(known), read)?;
        Ok(Self { about, limit, action, id })
    }

    /// The file.
    fn text(&self) -> String {
        let Self { about, limit, action, id } = self;
        let set = id.to_ascii_lowercase();
        let action = match action {
            Act::Flag => "flag",
            Act::Hold => "hold",
        };
        let parts = Parts::of(*about, limit);
        let Parts { title, definitions, when, reason, message, fires, rests } = &parts;
        format!(
            "apiVersion: wxgate.rules/v1
kind: RuleSet
name: {set}
version: 1
schema: pay-v3
defaults: {{ mode: shadow, on_error: flag }}
{definitions}
rules:
  - id: {id}
    title: {title}
    description: Say here why, and what a person is to do about it.
    severity: medium
    when: {when}
    action: {action}
    reason: {reason}
    message: '{message}'
    tests:
      - {fires}
      - {rests}
"
        )
    }
}

/// What differs between the kinds of rules.
struct Parts {
    title: String,
    definitions: String,
    when: String,
    reason: &'static str,
    message: String,
    fires: String,
    rests: String,
}

const MACROS: &str =
    "macros:\n  - { name: paid, expr: event.kind == Kind.TRANSACTION && event.trade_state == TradeState.SUCCESS }\n";

impl Parts {
    fn of(about: About, limit: &Limit) -> Self {
        match (about, limit) {
            (About::Sum, Limit::Yuan(yuan)) => Self::sum(*yuan),
            (_, Limit::Yuan(yuan)) => Self::amount(*yuan),
            (_, Limit::Payments(most)) => Self::many(*most),
            (_, Limit::List(list)) => Self::listed(list),
        }
    }

    fn amount(yuan: i64) -> Self {
        let test = |name: &str, fen: i64, fires: bool| {
            format!("{{ name: {name}, event: {{ amount: {{ total: {fen} }} }}, expect: {{ fires: {fires} }} }}")
        };
        let fen = yuan.saturating_mul(100);
        Self {
            title: format!("A payment of more than {yuan} yuan"),
            definitions: MACROS.to_owned(),
            when: format!("paid && event.amount.total > yuan({yuan})"),
            reason: "large_payment",
            message: "paid {{event.amount.total | yuan}}".to_owned(),
            fires: test("one fen over", fen.saturating_add(1), true),
            rests: test("at the limit", fen, false),
        }
    }

    fn many(most: i64) -> Self {
        let test = |name: &str, seen: i64, fires: bool| {
            let history = format!("history: {{ counter: pays_10m, value: {seen} }}");
            format!("{{ name: {name}, {history}, expect: {{ fires: {fires} }} }}")
        };
        Self {
            title: format!("More than {most} payments by one payer in ten minutes"),
            definitions: by_payer("pays_10m", "count: events", "10m"),
            when: format!("paid && counter.pays_10m > {most}"),
            reason: "payer_velocity",
            message: "{{counter.pays_10m}} payments by {{event.payer.openid}}".to_owned(),
            fires: test("one too many", most, true),
            rests: test("at the limit", most.saturating_sub(1), false),
        }
    }

    fn sum(yuan: i64) -> Self {
        let test = |name: &str, seen: i64, fires: bool| {
            let history = format!("history: {{ counter: fen_1d, value: {seen} }}");
            format!("{{ name: {name}, {history}, event: {{ amount: {{ total: 1 }} }}, expect: {{ fires: {fires} }} }}")
        };
        let fen = yuan.saturating_mul(100);
        Self {
            title: format!("More than {yuan} yuan by one payer in a day"),
            definitions: by_payer("fen_1d", "sum: event.amount.total", "24h"),
            when: format!("paid && counter.fen_1d > yuan({yuan})"),
            reason: "payer_day_sum",
            message: "{{counter.fen_1d | yuan}} by {{event.payer.openid}} in a day".to_owned(),
            fires: test("one fen over", fen, true),
            rests: test("at the limit", fen.saturating_sub(1), false),
        }
    }

    fn listed(list: &str) -> Self {
        let test = |name: &str, openid: &str, fires: bool| {
            let event = format!("event: {{ payer: {{ openid: {openid} }} }}");
            format!("{{ name: {name}, lists: {{ {list}: [o1] }}, {event}, expect: {{ fires: {fires} }} }}")
        };
        let source = "type: string, source: { dynamic: true }, empty: allow";
        Self {
            title: format!("The payer is on the list {list}"),
            definitions: format!("lists:\n  - {{ name: {list}, {source} }}\n{MACROS}"),
            when: format!("paid && event.payer.openid in list.{list}"),
            reason: "listed_payer",
            message: "{{event.payer.openid}} is on the list".to_owned(),
            fires: test("listed", "o1", true),
            rests: test("another", "o2", false),
        }
    }
}

/// A counter by payer, with the macro that it needs.
fn by_payer(name: &str, measure: &str, window: &str) -> String {
    let key = "key: [ event.appid, event.payer.openid ]";
    format!("{MACROS}counters:\n  - name: {name}\n    {measure}\n    when: paid\n    {key}\n    window: {window}\n")
}

impl Limit {
    fn read(about: About, text: &str) -> Option<Self> {
        let number = || text.parse().ok().filter(|number| (1..=10_000_000).contains(number));
        let is_name = text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.len() <= 63
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        match about {
            About::Amount | About::Sum => number().map(Self::Yuan),
            About::Many => number().map(Self::Payments),
            About::Listed => is_name.then(|| Self::List(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;

    fn args(dir: &Path, about: About, limit: &str, id: &str) -> Args {
        Args {
            dir: dir.to_owned(),
            about: Some(about),
            limit: Some(limit.to_owned()),
            action: Some(Act::Hold),
            id: Some(id.to_owned()),
        }
    }

    #[test]
    fn every_kind_of_rule_loads_in_its_form_with_two_tests_that_pass() {
        let dir = tempfile::tempdir().unwrap();
        let kinds = [(About::Amount, "5000"), (About::Many, "5"), (About::Sum, "20000"), (About::Listed, "blocked")];
        for (number, (about, limit)) in (9001..).zip(kinds) {
            let id = format!("WXP-{number}");
            assert_eq!(run(&args(dir.path(), about, limit, &id)), Exit::Good, "{about:?}");
            let path = dir.path().join(format!("wxp-{number}.yaml"));
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(risk::canonical("x.yaml", &text).unwrap(), text, "{about:?}");
        }
        let loaded = risk::load(&read_rule_files(dir.path()).unwrap(), UnixTime::default()).unwrap();
        assert_eq!((loaded.sets.len(), loaded.tests.len(), loaded.warnings.len()), (4, 8, 0), "{:?}", loaded.warnings);
        for cover in &loaded.cover {
            assert_eq!((cover.fires, cover.rests), (1, 1));
        }
        assert_eq!(run(&args(dir.path(), About::Amount, "1", "WXP-9001")), Exit::Usage, "it is taken");
        assert_eq!(run(&args(dir.path(), About::Amount, "much", "WXP-9009")), Exit::Usage);
        assert_eq!(run(&args(dir.path(), About::Amount, "1", "wxp9")), Exit::Usage);
    }

    #[test]
    fn what_flags_do_not_say_is_asked_and_asked_again() {
        let said = Args { dir: PathBuf::new(), about: None, limit: None, action: None, id: None };
        let mut asking = Asking { lines: Some(io::Cursor::new("what\nmany\n7\n\n\n")) };
        let known = vec!["WXP-9001".to_owned()];
        let draft = Draft::ask(&said, &known, &mut asking).ok().unwrap();
        assert!(matches!((draft.about, draft.action), (About::Many, Act::Hold)));
        assert!(matches!(draft.limit, Limit::Payments(7)));
        assert_eq!(draft.id, "WXP-9002");
        let mut nobody = Asking::<io::Empty> { lines: None };
        assert!(matches!(Draft::ask(&said, &known, &mut nobody), Err(Stopped::Usage(why)) if why.contains("--about")));
    }

    #[test]
    fn a_rule_that_keeps_others_from_loading_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("broken.yaml"), "kind: [").unwrap();
        assert_eq!(run(&args(dir.path(), About::Amount, "5", "WXP-9001")), Exit::Failed);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
