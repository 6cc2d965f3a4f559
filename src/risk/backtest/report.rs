//! What a backtest tells: how many events each rule hits, what would become of them, and a few of them to look at.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::{Judged, SequenceTold};
use crate::clock::UnixTime;
use crate::risk::file::{Action, Mode};
use crate::risk::recorded::Entry;
use crate::risk::set::RuleSet;
use crate::risk::verdict::{Hit, SetStamp, Verdict};

/// Events of a kind that are shown.
const SAMPLES: usize = 3;

/// Events by what becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // they say it themselves
pub struct Tally {
    pub allow: u64,
    pub flag: u64,
    pub hold: u64,
    pub reject: u64,
}

/// What a backtest found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The sets that judged.
    pub sets: Vec<SetStamp>,
    /// Events that were judged and are told of here.
    pub events: u64,
    /// Events before the time that was asked for; they moved counters.
    pub before: u64,
    /// Deliveries of events that had been judged: passed over.
    pub again: u64,
    /// Events for whose protocol or kind there is no set.
    pub unjudged: u64,
    /// Events that came too late in the file to be put in order.
    pub late: u64,
    /// When the first of them was received, in RFC 3339.
    pub from: Option<String>,
    /// When the last of them was.
    pub to: Option<String>,
    /// What becomes of them.
    pub verdicts: Tally,
    /// What would if rules in shadow acted as well.
    pub shadow_verdicts: Tally,
    /// Against what was decided when they came, where rules judged them then.
    pub against_recorded: Vec<Change>,
    /// Events whose verdict lacks something that rules need.
    pub degraded: u64,
    /// Events recorded without asking for the order that rules read.
    pub without_order: u64,
    /// Events recorded without asking for a list of the store that rules read.
    pub without_lists: u64,
    /// Events whose record hides who paid: lists of people say no.
    pub hashed: u64,
    /// Every rule, in the order of the sets.
    pub rules: Vec<RuleReport>,
}

/// Events that were decided in one way and would be in another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What was decided.
    pub was: &'static str,
    /// What would be.
    pub now: &'static str,
    /// How many.
    pub events: u64,
    /// Some of them.
    pub samples: Vec<Sample>,
}

/// What one rule made of the events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleReport {
    /// Its set.
    pub set: Arc<str>,
    /// Its id.
    pub rule: Arc<str>,
    /// In a few words.
    pub title: String,
    /// `enforce`, `enforce 10%`, `shadow` or `off`.
    pub mode: String,
    /// Events for which it holds.
    pub hits: u64,
    /// Those on which it acts.
    pub acts: u64,
    /// Those which another rule allowed.
    pub allowed: u64,
    /// Events for which an exception kept it from hitting.
    pub excepted: u64,
    /// Events for which it could not be had.
    pub errors: u64,
    /// Why, the first time.
    pub error: Option<String>,
    /// Some of its hits.
    pub samples: Vec<Sample>,
}

/// An event to look at. What names a person is masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// WeChat's id of it.
    pub event: String,
    /// What it is about.
    pub subject: Option<String>,
    /// When it was received.
    pub at: String,
    /// What becomes of it.
    pub action: &'static str,
    /// Its score.
    pub score: i64,
    /// The rule's message, or what its condition saw.
    pub why: Option<String>,
}

impl Tally {
    pub(super) fn add(&mut self, action: Action) {
        let count = match action {
            Action::Allow => &mut self.allow,
            Action::Flag => &mut self.flag,
            Action::Hold => &mut self.hold,
            Action::Reject => &mut self.reject,
        };
        *count = count.saturating_add(1);
    }

    /// By name, the weakest first.
    pub fn parts(&self) -> [(&'static str, u64); 4] {
        [("allow", self.allow), ("flag", self.flag), ("hold", self.hold), ("reject", self.reject)]
    }
}

impl Sample {
    pub(super) fn of(entry: &Entry, verdict: &Verdict, hit: Option<&Hit>) -> Self {
        let saw =
            |hit: &Hit| hit.saw.iter().map(|(part, value)| format!("{part} = {value}")).collect::<Vec<_>>().join(", ");
        Self {
            event: entry.recorded.id().to_owned(),
            subject: entry.recorded.subject().map(str::to_owned),
            at: rfc3339(entry.recorded.received_at()),
            action: verdict.action().name(),
            score: verdict.score(),
            why: hit.map(|hit| hit.message.clone().unwrap_or_else(|| saw(hit))),
        }
    }
}

/// Counts a change of decision, and keeps some events of it.
pub(super) fn change(changes: &mut Vec<Change>, was: Action, now: Action, sample: impl FnOnce() -> Sample) {
    let known = changes.iter().position(|change| change.was == was.name() && change.now == now.name());
    let place = known.unwrap_or_else(|| {
        changes.push(Change { was: was.name(), now: now.name(), events: 0, samples: Vec::new() });
        changes.len().saturating_sub(1)
    });
    let Some(change) = changes.get_mut(place) else { return };
    change.events = change.events.saturating_add(1);
    if change.samples.len() < SAMPLES {
        change.samples.push(sample());
    }
}

/// A report in the making.
pub(super) struct Reporting {
    report: Report,
    since: Option<UnixTime>,
    /// Place of each rule in the report. Ids are of the whole directory.
    rules: HashMap<Arc<str>, usize>,
    span: Option<(UnixTime, UnixTime)>,
}

impl Reporting {
    pub(super) fn new(sets: &[Arc<RuleSet>], since: Option<UnixTime>) -> Self {
        let mut report = Report { sets: stamps(sets), ..Report::default() };
        let mut rules = HashMap::new();
        for set in sets {
            for rule in set.rules() {
                rules.insert(Arc::clone(rule.id), report.rules.len());
                report.rules.push(RuleReport {
                    set: Arc::clone(set.name()),
                    rule: Arc::clone(rule.id),
                    title: rule.title.to_owned(),
                    mode: mode(rule.mode),
                    hits: 0,
                    acts: 0,
                    allowed: 0,
                    excepted: 0,
                    errors: 0,
                    error: None,
                    samples: Vec::new(),
                });
            }
        }
        Self { report, since, rules, span: None }
    }

    /// Notes what came of an event; none: no set is for it.
    pub(super) fn note(&mut self, entry: &Entry, judged: Option<&Judged>) {
        let Self { report, since, span, .. } = self;
        let at = entry.recorded.received_at();
        let one = |count: &mut u64| *count = count.saturating_add(1);
        let Some(judged) = judged else { return one(&mut report.unjudged) };
        if since.is_some_and(|since| at < since) {
            return one(&mut report.before);
        }
        one(&mut report.events);
        *span = Some(span.map_or((at, at), |(from, to)| (from.min(at), to.max(at))));
        let verdict = &judged.verdict;
        report.verdicts.add(verdict.action());
        report.shadow_verdicts.add(verdict.shadow_action());
        for (is_so, count) in [
            (verdict.is_degraded(), &mut report.degraded),
            (judged.misses_order, &mut report.without_order),
            (judged.misses_lists, &mut report.without_lists),
            (entry.recorded.is_hashed(), &mut report.hashed),
        ] {
            if is_so {
                one(count);
            }
        }
        if let Some(was) = entry.action.filter(|was| *was != verdict.action()) {
            let hit = verdict.hits().iter().find(|hit| hit.enforced);
            change(&mut report.against_recorded, was, verdict.action(), || Sample::of(entry, verdict, hit));
        }
        self.rules(entry, verdict);
    }

    fn rules(&mut self, entry: &Entry, verdict: &Verdict) {
        let Self { report, rules, .. } = self;
        let mut of = |rule: &Arc<str>, change: &mut dyn FnMut(&mut RuleReport)| {
            if let Some(rule) = rules.get(rule).and_then(|at| report.rules.get_mut(*at)) {
                change(rule);
            }
        };
        for hit in verdict.hits() {
            of(&hit.rule, &mut |rule| {
                rule.hits = rule.hits.saturating_add(1);
                rule.acts = rule.acts.saturating_add(u64::from(hit.enforced && hit.allowed_by.is_none()));
                rule.allowed = rule.allowed.saturating_add(u64::from(hit.allowed_by.is_some()));
                if rule.samples.len() < SAMPLES {
                    rule.samples.push(Sample::of(entry, verdict, Some(hit)));
                }
            });
        }
        for excepted in verdict.excepted() {
            of(&excepted.rule, &mut |rule| rule.excepted = rule.excepted.saturating_add(1));
        }
        for error in verdict.errors() {
            of(&error.rule, &mut |rule| {
                rule.errors = rule.errors.saturating_add(1);
                rule.error.get_or_insert_with(|| error.error.clone());
            });
        }
    }

    pub(super) fn finish(self, told: SequenceTold) -> Report {
        let span = self.span.map(|(from, to)| (rfc3339(from), rfc3339(to)));
        let (from, to) = span.unzip();
        Report { again: told.again, late: told.late, from, to, ..self.report }
    }
}

pub(super) fn stamps(sets: &[Arc<RuleSet>]) -> Vec<SetStamp> {
    let stamp = |set: &Arc<RuleSet>| SetStamp { name: Arc::clone(set.name()), digest: Arc::clone(set.digest()) };
    sets.iter().map(stamp).collect()
}

/// `enforce`, `enforce 10%`, `shadow` or `off`.
pub fn mode(mode: Mode) -> String {
    match mode {
        Mode::Percent(part) => format!("enforce {part}%"),
        Mode::Enforce | Mode::Shadow | Mode::Off => mode.name().to_owned(),
    }
}

pub(super) fn rfc3339(time: UnixTime) -> String {
    jiff::Timestamp::from_millisecond(time.millis()).map(|time| format!("{time:.3}")).unwrap_or_default()
}
