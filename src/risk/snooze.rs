//! Snoozes: one rule, quiet for one value of one field, until a time. Set by people through the admin API; audited there.
//! The store keeps each as one text, `RULE FIELD=VALUE`.

use std::sync::Arc;
use std::time::Duration;

use super::policy::text_of;
use super::schema::{Facts, FieldId, Type, field};
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
    /// None if there is no field of that path, or it is no text. Ends at `until`, but [`LONGEST`] after `now` at the
    /// latest.
    pub fn new(rule: &str, path: &str, value: &str, until: UnixTime, now: UnixTime) -> Option<Self> {
        let is_text = |field: &FieldId| matches!(field.field().ty, Type::Text | Type::Enum(_));
        Some(Self {
            rule: Arc::from(rule),
            field: field(path).filter(is_text)?,
            value: value.into(),
            until: until.min(now.plus(LONGEST)),
        })
    }

    /// Reads what [`Snooze::entry`] wrote.
    pub fn of_entry(entry: &str, until: UnixTime, now: UnixTime) -> Option<Self> {
        let (rule, rest) = entry.split_once(' ')?;
        let (path, value) = rest.split_once('=')?;
        Self::new(rule, path, value, until, now)
    }

    /// `WXP-2001 event.payer.openid=o1`
    pub fn entry(&self) -> String {
        format!("{} {}={}", self.rule, self.field(), self.value)
    }

    /// The rule's id.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The path of the field.
    pub fn field(&self) -> &'static str {
        self.field.field().path
    }

    /// Its value in the events for which the rule is quiet.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Until when.
    pub fn until(&self) -> UnixTime {
        self.until
    }

    pub(super) fn covers(&self, rule: &str, facts: &Facts<'_>, now: UnixTime) -> bool {
        now < self.until && *self.rule == *rule && text_of(facts, self.field) == Some(&self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_store_is_read_as_it_was_written() {
        let (now, until) = (UnixTime::from_secs(1000), UnixTime::from_secs(2000));
        let snooze = Snooze::new("WXP-2001", "event.attach", "a b=c", until, now).unwrap();
        assert_eq!(snooze.entry(), "WXP-2001 event.attach=a b=c");
        assert_eq!(Snooze::of_entry(&snooze.entry(), until, now), Some(snooze));
        assert_eq!(Snooze::new("WXP-2001", "event.amount.total", "1", until, now), None, "no text");
        for wrong in ["WXP-2001", "WXP-2001 event.attach", "WXP-2001 event.none=1"] {
            assert_eq!(Snooze::of_entry(wrong, until, now), None, "{wrong}");
        }
        let far = Snooze::of_entry("WXP-2001 event.attach=x", UnixTime::from_millis(i64::MAX), now).unwrap();
        assert_eq!(far.until(), now.plus(LONGEST));
    }
}
