//! Snoozes: one rule, quiet for one value of one field, until a time. Set by people through the admin API; audited there.

use std::sync::Arc;
use std::time::Duration;

use super::policy::text_of;
use super::schema::{Facts, FieldId, field};
use crate::clock::UnixTime;

/// The longest that a rule is snoozed.
pub const LONGEST: Duration = Duration::from_hours(30 * 24);

/// A rule that is quiet for events with one value in one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snooze {
    rule: Arc<str>,
    field: FieldId,
    value: Box<str>,
    until: UnixTime,
}

impl Snooze {
    /// None if there is no field of that path. Ends at `until`, but [`LONGEST`] after `now` at the latest.
    pub fn new(rule: &str, path: &str, value: &str, until: UnixTime, now: UnixTime) -> Option<Self> {
        Some(Self {
            rule: Arc::from(rule),
            field: field(path)?,
            value: value.into(),
            until: until.min(now.plus(LONGEST)),
        })
    }

    /// Until when.
    pub fn until(&self) -> UnixTime {
        self.until
    }

    pub(super) fn covers(&self, rule: &str, facts: &Facts<'_>, now: UnixTime) -> bool {
        now < self.until && *self.rule == *rule && text_of(facts, self.field) == Some(&self.value)
    }
}
