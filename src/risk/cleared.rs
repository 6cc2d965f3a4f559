//! What a policy made of an event, as types: only what it cleared can be forwarded.

use super::verdict::Verdict;

/// What a policy let through. Its fields are private: nothing outside the policy can clear an event.
///
/// ```compile_fail,E0423
/// let cleared = wxgate::risk::Cleared(42); // private constructor
/// ```
///
/// ```compile_fail,E0451
/// let cleared = wxgate::risk::Cleared { subject: 42, verdict: todo!() }; // private fields
/// ```
#[derive(Debug)]
#[must_use = "a cleared event is to be forwarded"]
pub struct Cleared<T> {
    subject: T,
    verdict: Verdict,
}

/// What becomes of an event.
#[derive(Debug)]
#[must_use = "an event that is neither forwarded nor kept is lost"]
pub enum Decided<T> {
    /// It may be forwarded.
    Cleared(Cleared<T>),
    /// It is to be kept for a person.
    Held {
        /// What was judged.
        subject: T,
        /// Why.
        verdict: Verdict,
    },
    /// It is to be kept and not forwarded.
    Rejected {
        /// What was judged.
        subject: T,
        /// Why.
        verdict: Verdict,
    },
}

impl<T> Decided<T> {
    /// The decision with its reasons.
    pub fn verdict(&self) -> &Verdict {
        match self {
            Self::Cleared(cleared) => &cleared.verdict,
            Self::Held { verdict, .. } | Self::Rejected { verdict, .. } => verdict,
        }
    }
}

impl<T> Cleared<T> {
    pub(super) fn new(subject: T, verdict: Verdict) -> Self {
        Self { subject, verdict }
    }

    /// What was judged.
    pub fn subject(&self) -> &T {
        &self.subject
    }

    /// Why it was cleared.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Gives the subject back, no longer cleared: what is left to do with it is to settle its claim.
    pub fn into_subject(self) -> T {
        self.subject
    }
}
