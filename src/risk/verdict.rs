//! The decision on an event with its reasons: for headers, audit, metrics and whoever asks why.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::file::{Action, Importance, OnExpiry, RejectAnswer};

/// The decision on one event. Made by [`Policy::judge`](super::Policy::judge) alone: its fields are private, so that
/// nothing else can say that an event may pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub(super) score: i64,
    pub(super) shadow_score: i64,
    #[serde(serialize_with = "action_name")]
    pub(super) action: Action,
    #[serde(serialize_with = "action_name")]
    pub(super) shadow_action: Action,
    pub(super) hits: Vec<Hit>,
    pub(super) errors: Vec<RuleError>,
    pub(super) excepted: Vec<Excepted>,
    pub(super) snoozed: Vec<Arc<str>>,
    pub(super) degraded: bool,
    #[serde(skip)]
    pub(super) answer: RejectAnswer,
    /// How long it is held, as far as the rules that hold it agree that there is an end to it.
    #[serde(skip)]
    pub(super) hold: Option<HoldTerms>,
    /// Something holds it without end.
    #[serde(skip)]
    pub(super) stays_held: bool,
    pub(super) sets: Vec<SetStamp>,
}

/// How long an event is held, and what then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldTerms {
    /// How long a person has.
    pub hold_for: Duration,
    /// What happens then.
    pub on_expiry: OnExpiry,
}

impl HoldTerms {
    /// Both together: as long as the longer one, and rejected if one of them wants that.
    pub(super) fn and(self, other: Self) -> Self {
        Self { hold_for: self.hold_for.max(other.hold_for), on_expiry: self.on_expiry.max(other.on_expiry) }
    }
}

/// Which rule set judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetStamp {
    /// Its name.
    pub name: Arc<str>,
    /// What it was made of.
    pub digest: Arc<str>,
}

/// A rule that holds for the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// `WXP-1001`.
    pub rule: Arc<str>,
    /// Its rule set.
    pub set: Arc<str>,
    /// Whether it acts; else it is in shadow, for this event at least.
    pub enforced: bool,
    /// What it adds to the score.
    pub score: i64,
    /// What it wants done; none: it only scores.
    #[serde(serialize_with = "some_action_name")]
    pub action: Option<Action>,
    /// Its author's word for the cause.
    pub reason: Arc<str>,
    /// What sort of cause it looks for.
    pub category: Option<Arc<str>>,
    /// How much it matters to a person.
    #[serde(skip)]
    pub importance: Importance,
    /// Its message; what names a person is masked.
    pub message: Option<String>,
    /// What the parts of its condition evaluated to, as written and as a person reads it.
    pub saw: Vec<(String, String)>,
    /// The rule that allowed it, so that it does not count.
    pub allowed_by: Option<Arc<str>>,
}

/// A rule whose condition could not be had for this event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleError {
    /// The rule.
    pub rule: Arc<str>,
    /// Its rule set.
    pub set: Arc<str>,
    /// Why, as a person reads it.
    pub error: String,
    /// What its `on_error` wants done.
    #[serde(serialize_with = "action_name")]
    pub action: Action,
    /// Whether it acts.
    pub enforced: bool,
}

/// An exception that kept a rule from hitting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excepted {
    /// The rule.
    pub rule: Arc<str>,
    /// The exception.
    pub exception: Arc<str>,
}

impl Verdict {
    /// That of no rules.
    pub(super) fn clear() -> Self {
        Self {
            score: 0,
            shadow_score: 0,
            action: Action::Allow,
            shadow_action: Action::Allow,
            hits: Vec::new(),
            errors: Vec::new(),
            excepted: Vec::new(),
            snoozed: Vec::new(),
            degraded: false,
            answer: RejectAnswer::default(),
            hold: None,
            stays_held: false,
            sets: Vec::new(),
        }
    }

    /// Sum of the scores of the rules that hit and act, each category up to its cap.
    pub fn score(&self) -> i64 {
        self.score
    }

    /// What the sum would be if rules in shadow acted as well.
    pub fn shadow_score(&self) -> i64 {
        self.shadow_score
    }

    /// What becomes of the event.
    pub fn action(&self) -> Action {
        self.action
    }

    /// What would become of it if rules in shadow acted as well.
    pub fn shadow_action(&self) -> Action {
        self.shadow_action
    }

    /// Rules that hold for the event, in shadow too.
    pub fn hits(&self) -> &[Hit] {
        &self.hits
    }

    /// Ids of the rules that hit and act, and that nothing allowed.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.hits.iter().filter(|hit| hit.enforced && hit.allowed_by.is_none()).map(|hit| &*hit.rule)
    }

    /// Rules whose condition could not be had.
    pub fn errors(&self) -> &[RuleError] {
        &self.errors
    }

    /// Exceptions that kept a rule from hitting.
    pub fn excepted(&self) -> &[Excepted] {
        &self.excepted
    }

    /// Rules that would have hit and are snoozed for this event.
    pub fn snoozed(&self) -> &[Arc<str>] {
        &self.snoozed
    }

    /// Whether something that rules need could not be had of the store.
    pub fn is_degraded(&self) -> bool {
        self.degraded
    }

    /// What WeChat hears if the event is rejected.
    pub fn answer(&self) -> RejectAnswer {
        self.answer
    }

    /// How long it is held, if everything that holds it says so; else until a person acts.
    pub fn hold(&self) -> Option<HoldTerms> {
        self.hold.filter(|_| !self.stays_held)
    }

    /// The sets that judged, with their digests.
    pub fn sets(&self) -> &[SetStamp] {
        &self.sets
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn action_name<S: Serializer>(action: &Action, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(action.name())
}

#[expect(clippy::trivially_copy_pass_by_ref, clippy::ref_option, reason = "serde's form")]
fn some_action_name<S: Serializer>(action: &Option<Action>, to: S) -> Result<S::Ok, S::Error> {
    action.map(Action::name).serialize(to)
}
