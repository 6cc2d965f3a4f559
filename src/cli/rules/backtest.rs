//! `wxgate rules backtest` and `wxgate rules diff`: recorded events judged by other rules.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use super::super::Exit;
use super::super::report::{json, result, talk};
use super::events::{self, Found};
use super::tables::{Table, escaped, plain, share, thousands};
use crate::clock::{Clock, UnixTime};
use crate::config::read_rule_files;
use crate::risk::backtest::{Backtest, Change, Comparison, Difference, Order, Report, Sample, Tally};
use crate::risk::{self, RuleSet, duration};

/// Which events are judged, and how it is told.
#[derive(clap::Args)]
pub(super) struct EventsArgs {
    /// Audit logs, rotated ones too, in any order; or files with one event a line. `-` is standard input
    #[arg(long = "events", required = true, num_args = 1.., value_name = "FILE")]
    events: Vec<PathBuf>,
    /// Tell of events since then only: 7d, 12h, or a time like 2026-03-01T00:00:00+08:00. Earlier ones still move counters
    #[arg(long, value_parser = parse_since)]
    since: Option<Since>,
    /// Events of this endpoint only
    #[arg(long)]
    endpoint: Option<String>,
    /// Judge by this rule set only, as an endpoint's `rules` name it; may be repeated
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    #[command(flatten)]
    form: Form,
}

/// How a result is told.
#[derive(clap::Args)]
pub(super) struct Form {
    /// The result as one line of JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// The result as Markdown, for a comment on a merge request
    #[arg(long)]
    markdown: bool,
}

/// A moment, or a time before now.
#[derive(Clone, Copy, Debug)]
pub(super) enum Since {
    Ago(Duration),
    At(UnixTime),
}

fn parse_since(text: &str) -> Result<Since, String> {
    if let Some(span) = duration(text) {
        return Ok(Since::Ago(span));
    }
    let at =
        text.parse::<Timestamp>().map_err(|_| format!("`{text}` is neither like 7d nor like 2026-03-01T00:00:00Z"))?;
    Ok(Since::At(UnixTime::from_millis(at.as_millisecond())))
}

impl Since {
    fn time(self, now: UnixTime) -> UnixTime {
        match self {
            Self::Ago(span) => now.minus(span),
            Self::At(at) => at,
        }
    }
}

/// Why nothing came of it.
pub(super) enum Stopped {
    /// The rules have problems, which were told.
    Rules,
    /// Something cannot be read, or is not there.
    Usage(String),
}

impl Stopped {
    pub(super) fn exit(self) -> Exit {
        match self {
            Self::Rules => Exit::Failed,
            Self::Usage(message) => {
                talk(format_args!("wxgate rules: {message}"));
                Exit::Usage
            }
        }
    }
}

pub(super) fn backtest(dir: &Path, args: &EventsArgs) -> Exit {
    run_backtest(dir, args).unwrap_or_else(Stopped::exit)
}

pub(super) fn diff(old: &Path, new: &Path, args: &EventsArgs) -> Exit {
    run_diff(old, new, args).unwrap_or_else(Stopped::exit)
}

fn run_backtest(dir: &Path, args: &EventsArgs) -> Result<Exit, Stopped> {
    let mut backtest = Backtest::new(sets(dir, &args.policies)?, args.since(), Order::default());
    let began = Instant::now();
    let found = args.each(|entry| backtest.take(entry))?;
    let report = backtest.finish();
    let run = Run::new(began.elapsed(), found, report.events.saturating_add(report.before));
    run.tell(args, report.events.saturating_add(report.unjudged))?;
    args.form.tell(&Whole { run: &run, told: &report }, |form| backtest_told(form, &report, &run));
    Ok(Exit::Good)
}

fn run_diff(old: &Path, new: &Path, args: &EventsArgs) -> Result<Exit, Stopped> {
    let (old, new) = (sets(old, &args.policies)?, sets(new, &args.policies)?);
    let mut comparison = Comparison::new(old, new, args.since(), Order::default());
    let began = Instant::now();
    let found = args.each(|entry| comparison.take(entry))?;
    let difference = comparison.finish();
    let run = Run::new(began.elapsed(), found, difference.events);
    run.tell(args, difference.events)?;
    args.form.tell(&Whole { run: &run, told: &difference }, |form| diff_told(form, &difference, &run));
    Ok(if difference.is_empty() { Exit::Good } else { Exit::Failed })
}

/// The rule sets of a directory, or those of these names.
pub(super) fn sets(dir: &Path, names: &[String]) -> Result<Vec<Arc<RuleSet>>, Stopped> {
    let files =
        read_rule_files(dir).map_err(|error| Stopped::Usage(format!("{} cannot be read: {error}", dir.display())))?;
    let loaded = risk::load(&files, Clock::System.now()).map_err(|problems| {
        problems.iter().for_each(talk);
        Stopped::Rules
    })?;
    if names.is_empty() {
        return Ok(loaded.sets);
    }
    let once = names.iter().enumerate().filter(|(at, name)| !names.iter().take(*at).any(|before| before == *name));
    let wanted = once.map(|(_, name)| {
        let known: Vec<&str> = loaded.sets.iter().map(|set| &**set.name()).collect();
        let missing = || Stopped::Usage(format!("there is no rule set `{name}`; they are {}", known.join(", ")));
        loaded.set(name).map(Arc::clone).ok_or_else(missing)
    });
    wanted.collect()
}

impl EventsArgs {
    fn since(&self) -> Option<UnixTime> {
        self.since.map(|since| since.time(Clock::System.now()))
    }

    fn each(&self, take: impl FnMut(risk::recorded::Entry)) -> Result<Found, Stopped> {
        events::each(&self.events, self.endpoint.as_deref(), take)
            .map_err(|error| Stopped::Usage(format!("events cannot be read: {error}")))
    }
}

/// How the run went.
#[derive(Serialize)]
struct Run {
    seconds: f64,
    events_per_second: u64,
    /// Lines of audit records without an event to judge.
    passed_over: u64,
    /// Lines that are not understood.
    wrong_lines: u64,
    #[serde(skip)]
    told: Vec<String>,
}

/// A result with how the run went.
#[derive(Serialize)]
struct Whole<'r, T> {
    run: &'r Run,
    #[serde(flatten)]
    told: &'r T,
}

impl Run {
    fn new(took: Duration, found: Found, events: u64) -> Self {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        Self {
            seconds: took.as_secs_f64(),
            events_per_second: events.saturating_mul(1_000_000).checked_div(micros).unwrap_or(0),
            passed_over: found.passed_over,
            wrong_lines: found.wrong,
            told: found.told,
        }
    }

    /// Tells of lines that are not understood. Where there is no event at all, something is wrong.
    fn tell(&self, args: &EventsArgs, events: u64) -> Result<(), Stopped> {
        self.told.iter().for_each(talk);
        if self.wrong_lines > 0 {
            talk(format_args!("{} lines are not understood, and left out", thousands(self.wrong_lines)));
        }
        if events == 0 && args.since.is_none() {
            let message = "there is no event to judge: audit records carry one unless `audit.facts` is \"off\"";
            return Err(Stopped::Usage(message.to_owned()));
        }
        Ok(())
    }

    fn text(&self, events: u64) -> String {
        format!("{} events in {:.1} s, {} a second", thousands(events), self.seconds, thousands(self.events_per_second))
    }
}

/// What a person reads: at a terminal, or in a merge request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Terminal,
    Markdown,
}

impl Form {
    fn tell(&self, value: &impl Serialize, told: impl FnOnce(For) -> String) {
        if self.json {
            json(value);
        } else {
            result(told(if self.markdown { For::Markdown } else { For::Terminal }));
        }
    }
}

impl For {
    fn heading(self, text: &str) -> String {
        match self {
            Self::Terminal => format!("\n{text}"),
            Self::Markdown => format!("\n### {text}\n"),
        }
    }

    fn table(self, table: &Table) -> String {
        match self {
            Self::Terminal => table.text(),
            Self::Markdown => table.markdown(),
        }
    }

    fn text(self, text: &str) -> String {
        match self {
            Self::Terminal => plain(text),
            Self::Markdown => escaped(text),
        }
    }

    fn item(self, text: &str) -> String {
        match self {
            Self::Terminal => format!("  {text}"),
            Self::Markdown => format!("- {text}"),
        }
    }

    fn sample(self, lead: &str, sample: &Sample) -> String {
        let subject = sample.subject.as_deref().map(|subject| format!(" ({subject})")).unwrap_or_default();
        let why = sample.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let told =
            format!("{}{subject} at {}, {} with score {}{why}", sample.event, sample.at, sample.action, sample.score);
        self.item(&format!("{lead}{}", self.text(&told)))
    }
}

fn tally(tally: &Tally) -> String {
    let all = tally.parts().iter().map(|(_, count)| *count).fold(0, u64::saturating_add);
    let part = |(name, count): (&str, u64)| format!("{name} {} ({})", thousands(count), share(count, all));
    tally.parts().map(part).join(", ")
}

fn backtest_told(form: For, report: &Report, run: &Run) -> String {
    let mut lines =
        vec![format!("{}{}", if form == For::Markdown { "## Backtest\n\n" } else { "" }, run.text(report.events))];
    if let (Some(from), Some(to)) = (&report.from, &report.to) {
        lines.push(form.item(&format!("received {from} to {to}")));
    }
    lines.push(form.item(&format!("verdicts: {}", tally(&report.verdicts))));
    lines.push(form.item(&format!("if rules in shadow acted: {}", tally(&report.shadow_verdicts))));
    for (count, what) in [
        (report.before, "events before that time only moved counters"),
        (report.again, "deliveries of an event that had been judged were passed over"),
        (report.unjudged, "events are of a protocol or kind for which there is no set"),
        (report.late, "events came too late in the file to be put in order: their counters may be off; sort the file"),
        (report.degraded, "verdicts lack something that rules need"),
        (report.without_order, "events were recorded without asking for the order, which rules read: they saw none"),
        (report.without_lists, "events were recorded without asking for a list that rules read: those rules failed"),
        (report.hashed, "events hide who paid: lists of people said no"),
    ] {
        if count > 0 {
            lines.push(form.item(&format!("{} {what}", thousands(count))));
        }
    }
    if !report.against_recorded.is_empty() {
        lines.push(form.heading("Decided otherwise than when they came"));
        lines.extend(changes(form, &report.against_recorded));
    }
    lines.push(form.heading("Rules"));
    let mut table = Table::new(&["rule", "mode", "hits", "acts", "allowed", "excepted", "errors", "title"]);
    for rule in &report.rules {
        let counts = [rule.hits, rule.acts, rule.allowed, rule.excepted, rule.errors].map(thousands);
        let head = [rule.rule.to_string(), rule.mode.clone()];
        table.row(head.into_iter().chain(counts).chain([form.text(&rule.title)]).collect());
    }
    lines.push(form.table(&table));
    for rule in report.rules.iter().filter(|rule| !rule.samples.is_empty() || rule.error.is_some()) {
        lines.push(form.heading(&format!("{} {}", rule.rule, form.text(&rule.title))));
        lines.extend(rule.samples.iter().map(|sample| form.sample("", sample)));
        lines.extend(rule.error.iter().map(|error| form.item(&format!("failed: {}", form.text(error)))));
    }
    lines.join("\n")
}

fn changes(form: For, changes: &[Change]) -> Vec<String> {
    let mut lines = Vec::new();
    for change in changes {
        lines.push(form.item(&format!("{} -> {}: {} events", change.was, change.now, thousands(change.events))));
        let indent = if form == For::Markdown { "  " } else { "" };
        lines.extend(change.samples.iter().map(|sample| format!("{indent}{}", form.sample("for one ", sample))));
    }
    lines
}

fn diff_told(form: For, difference: &Difference, run: &Run) -> String {
    let title = if form == For::Markdown { "## What the change of rules changes\n\n" } else { "" };
    let mut lines = vec![format!("{title}{}", run.text(difference.events))];
    let all = difference.events;
    lines.push(form.item(&format!(
        "{} events become something else ({})",
        thousands(difference.changed),
        share(difference.changed, all)
    )));
    lines.push(form.item(&format!("old: {}", tally(&difference.old_verdicts))));
    lines.push(form.item(&format!("new: {}", tally(&difference.new_verdicts))));
    if difference.late > 0 {
        lines.push(
            form.item(&format!("{} events came too late in the file to be put in order", thousands(difference.late))),
        );
    }
    if difference.is_empty() {
        lines.push(form.item("nothing differs: no verdict, no hit"));
        return lines.join("\n");
    }
    for (heading, told) in
        [("Verdicts", &difference.verdicts), ("Verdicts if rules in shadow acted", &difference.shadow_verdicts)]
    {
        if !told.is_empty() {
            lines.push(form.heading(heading));
            lines.extend(changes(form, told));
        }
    }
    let mut table = Table::new(&["rule", "hits gained", "hits lost", "acts on more", "acts on fewer", "errors gained"]);
    for rule in &difference.rules {
        let counts = [rule.gained, rule.lost, rule.acts_gained, rule.acts_lost, rule.errors_gained].map(thousands);
        table.row([rule.rule.to_string()].into_iter().chain(counts).collect());
    }
    if !table.is_empty() {
        lines.push(form.heading("Rules"));
        lines.push(form.table(&table));
    }
    for rule in &difference.rules {
        lines.push(form.heading(&rule.rule));
        lines.extend(rule.samples.iter().map(|(what, sample)| form.sample(&format!("{what} "), sample)));
    }
    lines.join("\n")
}
