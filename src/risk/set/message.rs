//! `message:` of a rule: a text with expressions in double braces, written when the rule hits. What names a person is
//! masked by the type of its field; a rule cannot unmask it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::expression;
use crate::risk::code::Code;
use crate::risk::expr::{Env, Expr, Scope, Value, Want};
use crate::risk::file::Text;
use crate::risk::files::Spanned;
use crate::risk::problem::{Findings, quoted};
use crate::risk::schema::Type;

const HINT: &str =
    "`{{event.amount.total | yuan}}`: an expression, and behind `|` one of yuan, time and text if need be";
/// Longest that a value may become in a message, in characters.
const MAX_VALUE: usize = 64;

/// A message with its expressions ready to run.
#[derive(Debug)]
pub(in crate::risk) struct Message {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Words(String),
    Value(Box<Expr>, Filter),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    /// As the type is shown.
    Plain,
    Yuan,
    Time,
}

impl Message {
    /// Reads a message of a rule whose condition is `when`.
    pub(super) fn read(text: &Text, scope: &Scope, when: &Expr, findings: &mut Findings<'_>) -> Option<Self> {
        let mut parts = Vec::new();
        let mut at = 0_usize;
        while let Some(rest) = text.value.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(open) = rest.find("{{") else {
                parts.push(Part::Words(rest.to_owned()));
                break;
            };
            if open > 0 {
                parts.push(Part::Words(rest.get(..open).unwrap_or_default().to_owned()));
            }
            let inside = open.saturating_add(2);
            let Some(close) = rest.get(inside..).and_then(|inner| inner.find("}}")) else {
                let spot = expression::within(findings, text, at.saturating_add(open)..text.value.len());
                findings.add(Code::Message, spot, "`{{` is not closed by `}}`", HINT);
                return None;
            };
            let end = inside.saturating_add(close);
            parts.push(value(text, at.saturating_add(inside)..at.saturating_add(end), scope, when, findings)?);
            at = at.saturating_add(end).saturating_add(2);
        }
        Some(Self { parts })
    }

    /// The expressions in it.
    pub(in crate::risk) fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(expr, _) => Some(&**expr),
            Part::Words(_) => None,
        })
    }

    /// Writes it for an event. A value that cannot be had is written as `?`.
    pub(in crate::risk) fn write(&self, env: &Env<'_>, zone: &TimeZone) -> String {
        let mut written = String::new();
        for part in &self.parts {
            match part {
                Part::Words(words) => written.push_str(words),
                Part::Value(expr, filter) => written.push_str(&shown(expr, *filter, env, zone)),
            }
        }
        written
    }
}

fn value(text: &Text, piece: super::Piece, scope: &Scope, when: &Expr, findings: &mut Findings<'_>) -> Option<Part> {
    let inner = text.value.get(piece.clone()).unwrap_or_default();
    let (written, filter) = match inner.rsplit_once('|') {
        // `||` is an operator.
        Some((before, name)) if !before.ends_with('|') => (before, Some(name.trim())),
        _ => (inner, None),
    };
    let lead = written.len().saturating_sub(written.trim_start().len());
    let begin = piece.start.saturating_add(lead);
    let spot = expression::within(findings, text, begin..begin.saturating_add(written.trim().len()));
    let expr = Spanned::new(written.trim().to_owned(), spot);
    let expr = expression::compile(&expr, scope, Want::Any, &[when], findings)?;
    let filter = match (filter, expr.ty()) {
        (None | Some("text"), _) => Filter::Plain,
        (Some("yuan"), Type::Fen) => Filter::Yuan,
        (Some("time"), Type::Time) => Filter::Time,
        (Some(name), ty) => {
            let message = format!("{} cannot show {}", quoted(name), ty.name());
            findings.add(Code::Message, spot, message, HINT);
            return None;
        }
    };
    Some(Part::Value(Box::new(expr), filter))
}

fn shown(expr: &Expr, filter: Filter, env: &Env<'_>, zone: &TimeZone) -> String {
    let shown = match (filter, expr.value(env)) {
        (_, Err(_)) => "?".to_owned(),
        (Filter::Time, Ok(Value::Time(millis))) => Timestamp::from_millisecond(millis)
            .map_or_else(|_| "?".to_owned(), |at| zone.to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string()),
        (Filter::Plain | Filter::Yuan | Filter::Time, Ok(_)) => expr.shown(env).unwrap_or_else(|_| "?".to_owned()),
    };
    let bare = shown.strip_prefix('"').and_then(|shown| shown.strip_suffix('"')).unwrap_or(&shown);
    bare.chars().take(MAX_VALUE).collect()
}
