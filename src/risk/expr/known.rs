//! What is known of an event at one place of an expression, from the conditions that were passed on the way there: which
//! kinds it can be of, and which fields it surely has.

use crate::risk::schema::{FIELD_COUNT, Family, Field, FieldId, Kinds, Presence, field};

const _: () = assert!(FIELD_COUNT <= 64, "a set of fields is 64 bits");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// The kinds that the event can be of; none: this place is never reached.
    pub(super) kinds: Kinds,
    present: u64,
}

/// Whether a field has a value at some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presentness {
    Surely,
    Perhaps,
    Never,
}

fn bit(id: FieldId) -> u64 {
    1_u64.checked_shl(u32::from(id.index())).unwrap_or(0)
}

/// The group that a field of a group needs, `order` of `order.currency`.
fn group(of: &Field) -> Option<FieldId> {
    of.path.split_once('.').and_then(|(root, _)| field(root))
}

impl Known {
    /// At the beginning.
    pub(super) fn of(family: Family) -> Self {
        Self { kinds: family.kinds(), present: 0 }
    }

    /// Whether `id` has a value here.
    pub(super) fn presentness(self, id: FieldId) -> Presentness {
        if self.kinds.is_empty() || self.present & bit(id) != 0 {
            return Presentness::Surely;
        }
        let when = |sure: bool| if sure { Presentness::Surely } else { Presentness::Perhaps };
        match id.field().presence {
            Presence::Always => Presentness::Surely,
            Presence::Optional => Presentness::Perhaps,
            Presence::With(group) => when(field(group).is_some_and(|group| self.present & bit(group) != 0)),
            Presence::ByKind { sure, perhaps } if !self.kinds.and(sure.or(perhaps)).is_empty() => {
                when(self.kinds.within(sure))
            }
            Presence::ByKind { .. } => Presentness::Never,
        }
    }

    /// With a field that is there.
    #[must_use]
    pub(super) fn having(self, id: FieldId) -> Self {
        let with_group = group(id.field()).map_or(0, bit);
        let kinds = match id.field().presence {
            Presence::ByKind { sure, perhaps } => self.kinds.and(sure.or(perhaps)),
            Presence::Always | Presence::Optional | Presence::With(_) => self.kinds,
        };
        Self { kinds, present: self.present | bit(id) | with_group }
    }

    /// With a field that is not there. An event that lacks what its kind always has does not count here: no condition is
    /// right for it, and what reads the field fails.
    #[must_use]
    pub(super) fn lacking(self, id: FieldId) -> Self {
        match id.field().presence {
            Presence::ByKind { sure, .. } => self.of_kinds(self.kinds.without(sure)),
            Presence::Always => self.of_kinds(Kinds::NONE),
            Presence::Optional | Presence::With(_) => self,
        }
    }

    /// Of no other kinds than these.
    #[must_use]
    pub(super) fn of_kinds(self, kinds: Kinds) -> Self {
        Self { kinds: self.kinds.and(kinds), ..self }
    }

    /// Never reached.
    #[must_use]
    pub(super) fn nowhere(self) -> Self {
        self.of_kinds(Kinds::NONE)
    }

    /// Where two ways meet: what is known on both.
    #[must_use]
    pub(super) fn or(self, other: Self) -> Self {
        if self.kinds.is_empty() {
            return other;
        }
        if other.kinds.is_empty() {
            return self;
        }
        Self { kinds: self.kinds.or(other.kinds), present: self.present & other.present }
    }

    /// Where both hold.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self { kinds: self.kinds.and(other.kinds), present: self.present | other.present }
    }
}
