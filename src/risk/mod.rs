//! The decision on a claimed event: rule files in, a [`Policy`] out; facts and the store's answers in, a [`Verdict`] out.
//! Pure, and generic over what it judges, so that it knows no store.
//!
//! [`load`] reads a directory (`files` → `file` → `set`, with `problem` and `code` for what is wrong, and `testing` for the
//! tests that rules bring along). [`Policy`] says what to ask for an event ([`Inquiry`]), judges by the answers, and turns a
//! subject into a [`Decided`]. `schema` and `expr` are the language of conditions; [`model`] is the store's counters in
//! memory, for tests and backtests; [`recorded`] is an event as the audit log keeps it, and [`backtest`] judges it again.
//!
//! What matters to the rest is the type: only a policy makes a [`Cleared`], and only a [`Cleared`] can be forwarded.

pub mod ask;
pub mod backtest;
mod cleared;
pub mod code;
pub mod expr;
mod file;
pub mod files;
mod inquiry;
mod judge;
mod load;
pub mod model;
mod policy;
pub mod problem;
pub mod recorded;
pub mod schema;
mod set;
mod snooze;
mod testing;
#[cfg(test)]
mod tests;
mod verdict;

/// The JSON Schema of rule files, for editors.
pub const FORMAT_SCHEMA: &str = include_str!("file/schema.json");

pub use cleared::{Cleared, Decided};
pub use file::{Action, CanonicalError, Importance, Mode, OnError, OnExpiry, RejectAnswer, canonical, duration};
pub use files::Files;
pub use inquiry::Inquiry;
pub use load::{Loaded, TestRun, load};
pub use policy::Policy;
pub use problem::{Problem, Severity, did_you_mean};
pub use set::{RuleInfo, RuleSet};
pub use snooze::{LONGEST as LONGEST_SNOOZE, Snooze};
pub use testing::{RuleCover, Unreached};
pub use verdict::{Excepted, Hit, HoldTerms, RuleError, SetStamp, Verdict};
