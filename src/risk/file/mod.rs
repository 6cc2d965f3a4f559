//! Rule files as they are written: YAML with places, read strictly into the types below. Nothing here knows what an
//! expression means; `super::compile` does.

mod canonical;
mod counter;
mod document;
mod include;
mod list;
mod rule;
pub(super) mod table;
mod testing;
pub(super) mod yaml;

use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::files::{FileId, Spanned};
use yaml::Node;

pub use canonical::{CanonicalError, canonical};
pub(super) use document::read;
pub(super) use include::{gather, resolve};
pub use table::duration;

/// An expression's text, or any other text, with its place.
pub(super) type Text = Spanned<String>;

/// One file.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) file: FileId,
    pub(super) kind: DocumentKind,
    pub(super) name: Text,
    pub(super) version: i64,
    pub(super) schema: Option<Text>,
    pub(super) timezone: Option<Text>,
    pub(super) mode: Option<Mode>,
    pub(super) on_error: Option<OnError>,
    pub(super) include: Vec<Text>,
    pub(super) lists: Vec<ListDef>,
    pub(super) macros: Vec<MacroDef>,
    pub(super) counters: Vec<CounterDef>,
    pub(super) score: ScoreDef,
    pub(super) rules: Vec<RuleDef>,
    pub(super) overrides: Vec<OverrideDef>,
}

/// `kind`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DocumentKind {
    RuleSet,
    Lists,
    Macros,
    Overrides,
}

/// Whether a rule acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It is evaluated and told, and changes nothing.
    Shadow,
    /// It is not evaluated.
    Off,
    /// It acts on so many of a hundred events, chosen by rule and event id, and is in shadow for the others.
    Percent(u8),
}

/// What becomes of an event, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub enum Action {
    /// It is forwarded.
    #[default]
    Allow,
    /// It is forwarded with a word of caution in its headers.
    Flag,
    /// It is kept for a person, and WeChat told that it was taken.
    Hold,
    /// It is kept and not forwarded.
    Reject,
}

/// What happens if a counter or condition cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum OnError {
    /// Nothing but that it is counted and told.
    Ignore,
    /// The event is flagged.
    #[default]
    Flag,
    /// It is held.
    Hold,
    /// It is rejected.
    Reject,
}

/// What WeChat hears of an event that was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RejectAnswer {
    /// A failure, so that it sends again; the verdict stays.
    #[default]
    Retry,
    /// That it was taken.
    Swallow,
}

/// What becomes of a held event that nobody has looked at in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExpiry {
    /// It is forwarded.
    Release,
    /// It is rejected.
    Reject,
}

/// How much a rule's hit matters to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
#[allow(missing_docs)] // they say it themselves
pub enum Importance {
    Info,
    Low,
    #[default]
    Medium,
    High,
    Critical,
}

#[derive(Clone, Debug)]
pub(super) struct ListDef {
    pub(super) name: Text,
    pub(super) of: ListType,
    pub(super) source: ListSource,
    /// Whether it may be empty.
    pub(super) may_be_empty: bool,
}

/// `type` of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListType {
    Text,
    Int,
    Cidr,
}

/// Where the values of a list come from.
#[derive(Clone, Debug)]
pub(super) enum ListSource {
    Inline(Vec<Text>),
    /// A path as it is written.
    File(Text),
    /// The gateway's store.
    Dynamic,
}

#[derive(Clone, Debug)]
pub(super) struct MacroDef {
    pub(super) name: Text,
    pub(super) expr: Text,
}

#[derive(Clone, Debug)]
pub(super) struct CounterDef {
    pub(super) name: Text,
    pub(super) measure: MeasureDef,
    pub(super) when: Option<Text>,
    pub(super) key: Vec<Text>,
    pub(super) window: Spanned<Duration>,
    pub(super) resolution: Option<Spanned<Duration>>,
    pub(super) by: Option<Text>,
    pub(super) on_error: Option<OnError>,
}

/// What a counter counts.
#[derive(Clone, Debug)]
pub(super) enum MeasureDef {
    Count,
    Sum(Text),
    Distinct(Text, u16),
    Last(Text),
    FirstSeen,
    Ratio { of: Text, to: Text, at_least: i64 },
}

/// `score`
#[derive(Clone, Debug, Default)]
pub(super) struct ScoreDef {
    pub(super) flag: Option<Spanned<i64>>,
    pub(super) hold: Option<Spanned<i64>>,
    pub(super) reject: Option<Spanned<i64>>,
    pub(super) caps: Vec<(Text, i64)>,
}

#[derive(Clone, Debug)]
pub(super) struct RuleDef {
    pub(super) id: Text,
    pub(super) title: String,
    pub(super) category: Option<Text>,
    pub(super) importance: Importance,
    pub(super) owner: Option<String>,
    pub(super) mode: Option<Spanned<Mode>>,
    pub(super) when: Text,
    pub(super) action: Option<Spanned<Action>>,
    pub(super) only: Vec<Text>,
    pub(super) answer: Option<Spanned<RejectAnswer>>,
    pub(super) hold_for: Option<Spanned<Duration>>,
    pub(super) on_expiry: Option<OnExpiry>,
    pub(super) score: Option<Spanned<i64>>,
    /// Whether it says what it does at all, be it in a wrong way.
    pub(super) has_effect: bool,
    pub(super) reason: Text,
    pub(super) message: Option<Text>,
    pub(super) on_error: Option<OnError>,
    pub(super) exceptions: Vec<ExceptionDef>,
    pub(super) tests: Vec<TestDef>,
}

#[derive(Clone, Debug)]
pub(super) struct ExceptionDef {
    pub(super) name: Text,
    pub(super) when: Text,
    /// The last day on which it works.
    pub(super) expires: Spanned<Date>,
}

#[derive(Clone, Debug)]
pub(super) struct TestDef {
    pub(super) name: Text,
    pub(super) at: Option<Text>,
    /// `event`, `order`, `lists` and so on: read against the schema when the test is set up.
    pub(super) event: Option<Node>,
    pub(super) order: Option<Node>,
    pub(super) http: Option<Node>,
    pub(super) client: Option<Node>,
    pub(super) route: Option<Node>,
    pub(super) verify: Option<Node>,
    pub(super) lists: Option<Node>,
    pub(super) history: Vec<HistoryDef>,
    /// How often the same event comes, at least once.
    pub(super) times: i64,
    pub(super) store_is_down: bool,
    pub(super) expect: ExpectDef,
}

/// What a counter has counted before the test's event.
#[derive(Clone, Debug)]
pub(super) struct HistoryDef {
    pub(super) counter: Text,
    pub(super) seen: Seen,
}

/// What it has counted.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// A value: so many events, a sum, a newest value.
    Value(i64),
    /// Different values.
    Values(Vec<Text>),
    /// So many different values, whatever they are.
    Count(i64),
}

/// What a test expects; none: it does not matter.
#[derive(Clone, Debug)]
pub(super) struct ExpectDef {
    pub(super) fires: Option<Spanned<bool>>,
    pub(super) action: Option<Spanned<Option<Action>>>,
    pub(super) score: Option<Spanned<i64>>,
    pub(super) reason: Option<Text>,
    pub(super) message: Option<Text>,
    pub(super) excepted_by: Option<Text>,
    pub(super) degraded: Option<Spanned<bool>>,
    pub(super) counters: Vec<(Text, i64)>,
}

#[derive(Clone, Debug)]
pub(super) struct OverrideDef {
    pub(super) id: Text,
    pub(super) of_version: Spanned<i64>,
    pub(super) mode: Option<Spanned<Mode>>,
    pub(super) action: Option<Spanned<Action>>,
    pub(super) score: Option<Spanned<i64>>,
    pub(super) importance: Option<Importance>,
    pub(super) owner: Option<String>,
    pub(super) exceptions: Option<Vec<ExceptionDef>>,
}

impl ExpectDef {
    fn is_empty(&self) -> bool {
        let Self { fires, action, score, reason, message, excepted_by, degraded, counters } = self;
        let texts = [reason, message, excepted_by];
        fires.is_none()
            && action.is_none()
            && score.is_none()
            && degraded.is_none()
            && counters.is_empty()
            && texts.iter().all(|text| text.is_none())
    }
}

impl Action {
    /// `hold`, as rules, headers and metrics say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Flag => "flag",
            Self::Hold => "hold",
            Self::Reject => "reject",
        }
    }
}

impl Action {
    /// The action of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Allow, Self::Flag, Self::Hold, Self::Reject].into_iter().find(|action| action.name() == name)
    }
}

impl Mode {
    /// `enforce`, `shadow` or `off`, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce | Self::Percent(_) => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

impl From<OnError> for Action {
    fn from(on_error: OnError) -> Self {
        match on_error {
            OnError::Ignore => Self::Allow,
            OnError::Flag => Self::Flag,
            OnError::Hold => Self::Hold,
            OnError::Reject => Self::Reject,
        }
    }
}
