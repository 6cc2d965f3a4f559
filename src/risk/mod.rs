//! The decision on a claimed event. Pure, and generic over what it judges, so that it knows no store.
//!
//! There are no rule sets yet: a policy clears every authentic, new event with score 0. What matters already is the
//! type: only a policy makes a [`Cleared`], and only a [`Cleared`] can be forwarded.

pub mod ask;
pub mod code;
mod file;
pub mod files;
pub mod problem;
pub mod expr;
pub mod schema;

/// What a policy let through. Its field is private: nothing outside this module can clear an event.
///
/// ```compile_fail,E0423
/// let cleared = wxgate::risk::Cleared(42); // private constructor
/// ```
#[derive(Debug)]
#[must_use = "a cleared event is to be forwarded"]
pub struct Cleared<T> {
    subject: T,
    verdict: Verdict,
}

/// The decision with its reasons, for headers, audit and metrics.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Sum of the scores of the rules that hit.
    pub score: i64,
    /// Ids of the rules that hit.
    pub rules: Vec<String>,
}

/// The rules that an endpoint judges by.
#[derive(Clone, Debug, Default)]
pub struct Policy {}

impl Policy {
    /// Judges `subject`.
    pub fn decide<T>(&self, subject: T) -> Cleared<T> {
        Cleared { subject, verdict: Verdict::default() }
    }
}

impl<T> Cleared<T> {
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
