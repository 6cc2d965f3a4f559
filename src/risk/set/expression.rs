//! Expressions of a file: compiled in the set's scope, their problems told at their place in the file.

use crate::risk::code::Code;
use crate::risk::expr::{self, Expr, ExprProblem, Scope, Span, Want, compile_given};
use crate::risk::file::Text;
use crate::risk::files::Spot;
use crate::risk::problem::Findings;

/// Compiles an expression that is evaluated where `given` hold.
pub(super) fn compile(
    text: &Text,
    scope: &Scope,
    want: Want,
    given: &[&Expr],
    findings: &mut Findings<'_>,
) -> Option<Expr> {
    match compile_given(&text.value, scope, want, given) {
        Ok(expr) => Some(expr),
        Err(problems) => {
            tell(text, &problems, findings);
            None
        }
    }
}

/// Tells what is wrong with an expression.
pub(super) fn tell(text: &Text, problems: &[ExprProblem], findings: &mut Findings<'_>) {
    for problem in problems {
        let remedy = match &problem.suggestion {
            Some(suggestion) => suggestion.clone(),
            None => remedy(problem.code).to_owned(),
        };
        findings.add(code(problem.code), place(findings, text, problem.span), problem.message.clone(), remedy);
    }
}

/// The code under which rule files tell it.
fn code(code: expr::Code) -> Code {
    match code {
        expr::Code::Syntax
        | expr::Code::Unsupported
        | expr::Code::BadLiteral
        | expr::Code::Arguments
        | expr::Code::Definition => Code::Expression,
        expr::Code::UnknownName => Code::UnknownName,
        expr::Code::TypeMismatch | expr::Code::MoneyAndNumber => Code::Type,
        expr::Code::Unguarded | expr::Code::NeverPresent => Code::Absent,
        expr::Code::TooLarge => Code::Cost,
    }
}

fn remedy(code: expr::Code) -> &'static str {
    match code {
        expr::Code::Syntax | expr::Code::Unsupported => "conditions are CEL: `paid && event.amount.total > yuan(100)`",
        expr::Code::BadLiteral => "write the literal as docs/expressions.md shows it",
        expr::Code::Arguments => "docs/expressions.md lists the functions with their arguments",
        expr::Code::UnknownName => "`wxgate rules schema` lists the fields and functions",
        expr::Code::TypeMismatch => "compare values of one type",
        expr::Code::MoneyAndNumber => "write `yuan(5)` or `fen(500)`",
        expr::Code::Unguarded => "write `has(…) && …` before it, or `.orValue(…)` behind it",
        expr::Code::NeverPresent => "compare `event.kind` with a kind that has it, or remove the condition",
        expr::Code::TooLarge => "split it into macros or rules",
        expr::Code::Definition => "docs/expressions.md says what a macro may be",
    }
}

/// Where a part of an expression stands in its file.
pub(super) fn place(findings: &Findings<'_>, text: &Text, span: Span) -> Spot {
    let wide = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
    within(findings, text, wide(span.start)..wide(span.end))
}

/// Where a piece of a value stands in its file. Quotes, escapes and folded lines make the file's text differ from the
/// value, but what is no blank stands in both in one order.
pub(super) fn within(findings: &Findings<'_>, text: &Text, piece: super::Piece) -> Spot {
    let whole = text.at.range();
    let raw = findings.files().text_of(text.at.file).get(whole.clone()).unwrap_or_default();
    let visible = |at: usize| {
        let before = text.value.get(..at).unwrap_or(&text.value);
        before.chars().filter(|c| !c.is_whitespace()).count()
    };
    let begins = aligned(raw, &text.value);
    let (first, last) = (visible(piece.start), visible(piece.end));
    let begin = begins.get(first).map_or(0, |(at, _)| *at);
    let end = last.checked_sub(1).and_then(|at| begins.get(at)).map_or(begin, |(at, len)| at.saturating_add(*len));
    let shift = |at: usize| whole.start.saturating_add(at);
    if first >= begins.len() {
        // Behind the end: the last character that there is.
        let last = begins.last().map(|(at, len)| shift(*at)..shift(at.saturating_add(*len)));
        return last.map_or(text.at, |last| Spot::new(text.at.file, &last));
    }
    Spot::new(text.at.file, &(shift(begin)..shift(end.max(begin.saturating_add(1)))))
}

/// Where each visible character of `value` stands in `raw`, with its length.
fn aligned(raw: &str, value: &str) -> Vec<(usize, usize)> {
    let mut rest = raw.char_indices();
    let mut begins = Vec::new();
    for wanted in value.chars().filter(|c| !c.is_whitespace()) {
        match rest.find(|(_, c)| *c == wanted) {
            Some((at, c)) => begins.push((at, c.len_utf8())),
            None => break,
        }
    }
    begins
}
