//! One line of an events file: a record of the audit log, or a recorded event by itself.

use std::borrow::Cow;

use serde::Deserialize;

use super::Recorded;
use crate::risk::file::Action;
use crate::risk::schema::Family;

/// What a line told of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The event.
    pub recorded: Recorded,
    /// The protocol of its endpoint, if the line says it.
    pub family: Option<Family>,
    /// What was decided then, if rules judged it.
    pub action: Option<Action>,
}

/// Why a line is not understood.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is no JSON, or holds what no event has.
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    /// It names a protocol that there is not.
    #[error("there is no protocol `{0}`")]
    Protocol(String),
}

/// The members of an audit record that matter here.
#[derive(Deserialize)]
struct AuditLine<'a> {
    #[serde(borrow)]
    outcome: Option<Cow<'a, str>>,
    #[serde(borrow)]
    record: Option<Cow<'a, str>>,
    #[serde(borrow)]
    protocol: Option<Cow<'a, str>>,
    facts: Option<Recorded>,
    #[serde(borrow)]
    verdict: Option<VerdictTold<'a>>,
}

#[derive(Deserialize)]
struct VerdictTold<'a> {
    #[serde(borrow)]
    action: Option<Cow<'a, str>>,
}

/// Reads a line. None: a record that carries no event to judge, such as a refusal, a duplicate or a deed of a person.
pub fn read_line(line: &[u8]) -> Result<Option<Entry>, LineError> {
    let told: AuditLine<'_> = serde_json::from_slice(line)?;
    let is_audit = told.outcome.is_some() || told.record.is_some();
    let recorded = match told.facts {
        Some(recorded) => recorded,
        None if is_audit => return Ok(None),
        None => serde_json::from_slice(line)?,
    };
    let family = match told.protocol {
        None => None,
        Some(name) => Some(Family::named(&name).ok_or_else(|| LineError::Protocol(name.into_owned()))?),
    };
    let action = told.verdict.and_then(|verdict| Action::named(&verdict.action?));
    Ok(Some(Entry { recorded, family, action }))
}
