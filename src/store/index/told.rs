//! What events that are not done were told of their counters, so that they are told the same when they are tried again, and
//! move nothing twice (I7). Kept beside the events, under the same lock.
//!
//! **Memory.** 32 bytes for each counter of an event, and about 100 for the event, until it is done or forgotten. All of a
//! shard take at most [`MOST_BYTES`] / [`SHARDS`](super::SHARDS).

use super::record::Key;
use super::table::{LEAST_SWEEP, Rows, may_look};
use crate::clock::UnixTime;
use crate::risk::ask::Counted;

/// Most memory that they take together.
pub(super) const MOST_BYTES: usize = 256 * 1024 * 1024;

/// What an event takes beside its answers.
const EVENT_BYTES: usize = 100;

/// Answers, by event.
#[derive(Default)]
pub(super) struct Told {
    events: Rows<Vec<(Key, Counted)>>,
    answers: usize,
    /// Looked through for forgotten events when there are this many.
    sweep_at: usize,
    /// When it was last looked through.
    looked_at: UnixTime,
}

impl Told {
    pub(super) fn of(&self, event: Key, counter: Key) -> Option<Counted> {
        self.events.get(&event)?.iter().find(|(of, _)| *of == counter).map(|(_, answer)| *answer)
    }

    pub(super) fn tell(&mut self, event: Key, counter: Key, answer: Counted) {
        let answers = self.events.entry(event).or_default();
        if let Some((_, told)) = answers.iter_mut().find(|(of, _)| *of == counter) {
            *told = answer;
        } else {
            answers.push((counter, answer));
            self.answers = self.answers.saturating_add(1);
        }
    }

    pub(super) fn forget(&mut self, event: Key) {
        let answers = self.events.remove(&event).map_or(0, |answers| answers.len());
        self.answers = self.answers.saturating_sub(answers);
    }

    /// Whether so many answers more fit. `is_open` tells whether an event can be claimed again.
    pub(super) fn has_room(
        &mut self,
        more: usize,
        most_bytes: usize,
        now: UnixTime,
        is_open: impl Fn(&Key) -> bool,
    ) -> bool {
        let has_doubled = self.events.len() >= self.sweep_at.max(LEAST_SWEEP);
        if has_doubled || (!self.fits(more, most_bytes) && may_look(self.looked_at, now)) {
            self.looked_at = now;
            self.events.retain(|event, _| is_open(event));
            self.answers = self.events.values().map(Vec::len).fold(0, usize::saturating_add);
            self.sweep_at = self.events.len().saturating_mul(2);
        }
        self.fits(more, most_bytes)
    }

    fn fits(&self, more: usize, most_bytes: usize) -> bool {
        let answers = self.answers.saturating_add(more).saturating_mul(size_of::<(Key, Counted)>());
        let events = self.events.len().saturating_add(1).saturating_mul(EVENT_BYTES);
        answers.saturating_add(events) <= most_bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &[(Key, Counted)])> {
        self.events.iter().map(|(event, answers)| (*event, answers.as_slice()))
    }
}
