//! The expression language of rules: CEL, typed when a rule set is loaded, evaluated without names and without
//! allocation.
//!
//! The grammar and the parser are CEL's (crate `cel`). The rest is this module's: [`compile`] types an expression
//! against the fields of [`schema`](crate::risk::schema), refuses what cannot be right (a misspelt name, money beside a
//! bare number, a field that may be absent without a guard) and lowers the rest to a tree of typed nodes. What is left
//! for evaluation to fail at is arithmetic and what the store did not answer, and that is a value, [`EvalError`].
//!
//! `docs/expressions.md` is the reference; where this language means something else than CEL, its section "Differences from
//! CEL" says so, and the differential test beside `tests/` names the same list.

mod check;
mod eval;

mod known;
mod lists;
mod node;
mod opening;
mod parse;
mod problem;
pub mod reference;
mod scope;
#[cfg(test)]
mod tests;
mod tokens;
mod value;

pub use lists::Members;
pub use opening::{Opened, Openings};
pub use problem::{Code, ExprProblem, Span};
pub use scope::{CounterType, Kept, Scope};
pub use value::{EvalError, Reason, Seen, Value};

use std::sync::Arc;

use check::{Checked, Checker, Part};
use known::Known;
use node::{Fault, Lowered};

use crate::risk::ask::Counted;
use crate::risk::schema::{Facts, FieldId, Type};

/// What an expression is for, which decides the types that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A condition: `Bool`.
    Condition,
    /// What a counter sums or keeps: `Int`, `Fen`, `Duration`, or for `last` a `Time`.
    Number,
    /// Part of a key or a value whose occurrences are counted: any single value.
    Key,
    /// Anything with a value: macros, messages, columns of tables.
    Any,
}

/// What an expression is evaluated on. All parts are by index, in the order of the [`Scope`] that it was compiled in.
#[derive(Clone, Copy, Debug)]
pub struct Env<'a> {
    /// The event and what surrounds it.
    pub facts: &'a Facts<'a>,
    /// The answers of counters; none: the store could not count. A ratio has no answer of its own: its place is not
    /// read.
    pub counters: &'a [Option<Counted>],
    /// The members of lists that are kept in memory; the place of a list kept in the store is not read.
    pub lists: &'a [Arc<Members>],
    /// The store's answers about lists that are kept there.
    pub asked: &'a [Asked],
}

/// The store's answer whether a field's value is on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What was asked.
    pub ask: ListUse,
    /// Whether it is on it.
    pub listed: bool,
}

/// A field that is looked for in a list kept in the store: what must be asked before the expression is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListUse {
    /// The list's index in the scope.
    pub list: usize,
    /// The field. Its value is [`Fact::Text`](crate::risk::schema::Fact::Text) or a member of an enum.
    pub field: FieldId,
}

/// Everything that an expression may read, each once and in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Fields, also those only asked for by `has`.
    pub fields: Vec<FieldId>,
    /// Counters by index, among them both sides of a ratio.
    pub counters: Vec<usize>,
    /// Lists by index.
    pub lists: Vec<usize>,
    /// Macros by index, also those used by macros.
    pub macros: Vec<usize>,
    /// Which of the lists are kept in the store, with the field that is looked for.
    pub asks: Vec<ListUse>,
}

/// Longest text of an expression, in bytes.
pub const MAX_TEXT: usize = 2000;
/// The most that an expression may cost, in the units of [`Expr::cost`].
pub const MAX_COST: u32 = 10_000;

/// An expression, checked and ready to run. It is evaluated by any number of threads at once.
#[derive(Clone, Debug)]
pub struct Expr {
    text: Box<str>,
    lowered: Lowered,
    masked: bool,
    /// What is known where it holds.
    yes: Known,
    constant: Option<bool>,
    /// The first term, if it stands before others that all must hold.
    opening: Option<Span>,
    /// Which of its set's openings that is.
    shared: Option<u32>,
    sites: Box<[Span]>,
    parts: Box<[Part]>,
    reads: Reads,
    cost: u32,
}

/// Checks an expression and makes it ready to run. All mistakes are told at once.
pub fn compile(text: &str, scope: &Scope, want: Want) -> Result<Expr, Vec<ExprProblem>> {
    compile_given(text, scope, want, &[])
}

/// Like [`compile`], for an expression that is only evaluated where all of `given` hold: a counter's key under its
/// `when`, an exception of a rule. What those make sure of needs no guard here.
pub fn compile_given(text: &str, scope: &Scope, want: Want, given: &[&Expr]) -> Result<Expr, Vec<ExprProblem>> {
    let node = parse::parse(text)?;
    let known = given.iter().fold(Known::of(scope.family), |known, given| known.and(given.yes));
    let mut checker = Checker::new(scope, true);
    let right = checker.check(&node, known);
    let (Some(right), true) = (right, checker.problems.is_empty()) else {
        return Err(in_order(checker.problems));
    };
    if let Some(problem) = want.refuses(&right) {
        return Err(vec![problem]);
    }
    let constant = right.constant();
    let opening = opening(&node, &right.lowered);
    Ok(Expr {
        text: text.into(),
        lowered: right.lowered,
        masked: right.masked,
        yes: right.yes,
        constant,
        opening,
        shared: None,
        sites: checker.sites.into(),
        parts: checker.parts.into(),
        reads: checker.reads,
        cost: checker.cost,
    })
}

/// Checks a macro of the scope by itself: names and types, but not guards, which are the matter of whoever uses it.
/// Gives its type; of a macro that is a list, none.
pub fn check_macro(index: usize, scope: &Scope) -> Result<Option<Type>, Vec<ExprProblem>> {
    let Some(body) = scope.macros.get(index).map(|known| &known.body) else { return Ok(None) };
    if matches!(body.kind, parse::NodeKind::List(_)) {
        return Ok(None);
    }
    let mut checker = Checker::new(scope, false);
    match checker.check(body, Known::of(scope.family)) {
        Some(right) if checker.problems.is_empty() => Ok(Some(right.lowered.ty())),
        _ => Err(in_order(checker.problems)),
    }
}

/// The first term of `a && b`, if none of the terms has been lowered away.
fn opening(node: &parse::Node, lowered: &Lowered) -> Option<Span> {
    match (&node.kind, lowered) {
        (parse::NodeKind::And(terms), Lowered::Bool(node::Bool::All(lowered))) if terms.len() == lowered.len() => {
            terms.first().map(|term| term.span)
        }
        _ => None,
    }
}

fn in_order(mut problems: Vec<ExprProblem>) -> Vec<ExprProblem> {
    problems.sort_by_key(|problem| problem.span);
    problems
}

impl Want {
    /// What is wrong with a value here, if anything is.
    fn refuses(self, checked: &Checked) -> Option<ExprProblem> {
        let ty = checked.lowered.ty();
        let (fits, wanted) = match self {
            Self::Condition => (ty == Type::Bool, "a condition"),
            Self::Number => (matches!(ty, Type::Int | Type::Fen | Type::Duration | Type::Time), "a number"),
            Self::Key => (!matches!(ty, Type::Ratio), "a single value"),
            Self::Any => (true, "a value"),
        };
        let message = format!("this is {}, but {wanted} is wanted", ty.name());
        (!fits).then(|| ExprProblem::new(Code::TypeMismatch, checked.span, message))
    }
}

impl Expr {
    /// The text that it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The type of its value.
    pub fn ty(&self) -> Type {
        self.lowered.ty()
    }

    /// Whether it holds. An expression that is no condition never does.
    #[inline]
    pub fn holds(&self, env: &Env<'_>) -> Result<bool, EvalError> {
        let Lowered::Bool(condition) = &self.lowered else { return Ok(false) };
        condition.eval(env).map_err(|fault| self.error(fault))
    }

    /// Its number: an `Int`, fen of a `Fen`, milliseconds of a `Time` or `Duration`, 20260301 of a `Date`; 0 for what is
    /// no number.
    pub fn number(&self, env: &Env<'_>) -> Result<i64, EvalError> {
        let Lowered::Number(number, _) = &self.lowered else { return Ok(0) };
        number.eval(env).map_err(|fault| self.error(fault))
    }

    /// Its value.
    pub fn value<'a>(&'a self, env: &Env<'a>) -> Result<Value<'a>, EvalError> {
        self.lowered.value(env).map_err(|fault| self.error(fault))
    }

    /// Its value as a person may read it: what names a person is masked.
    pub fn shown(&self, env: &Env<'_>) -> Result<String, EvalError> {
        self.show(&self.lowered, self.masked, env)
    }

    /// The value of each of its parts, in the order of the text and a whole before its parts; a macro's parts follow the
    /// macro. Parts that were passed over by `&&`, `||` or `?:` are told as well. For verdicts that explain themselves
    /// and for `rules explain`; it allocates.
    pub fn explain(&self, scope: &Scope, env: &Env<'_>) -> Vec<Seen> {
        let seen = |part: &Part| Seen {
            span: part.span,
            inside: part.inside,
            text: part
                .span
                .of(part.inside.map_or(&self.text, |index| scope.macro_text(index).unwrap_or_default()))
                .to_owned(),
            value: self.show(&part.lowered, part.masked, env),
        };
        self.parts.iter().map(seen).collect()
    }

    /// The value of each part of its own text that is true or false, in the order of the text and a whole before its parts;
    /// none: it has no value. Parts that are always the same are left out.
    pub fn branches(&self, env: &Env<'_>) -> Vec<(Span, Option<bool>)> {
        let is_open = |part: &&Part| part.inside.is_none() && !part.lowered.is_constant();
        let own = self.parts.iter().filter(is_open);
        let value = |part: &Part| {
            let Lowered::Bool(condition) = &part.lowered else { return None };
            Some((part.span, condition.eval(env).ok()))
        };
        own.filter_map(value).collect()
    }

    /// What it may read.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// What it always gives, if the checker can tell: such a condition is a mistake or a leftover.
    pub fn constant(&self) -> Option<bool> {
        self.constant
    }

    /// An upper bound of what evaluating it costs, in steps of a few nanoseconds. At most [`MAX_COST`].
    pub fn cost(&self) -> u32 {
        self.cost
    }

    fn show(&self, lowered: &Lowered, masked: bool, env: &Env<'_>) -> Result<String, EvalError> {
        let value = lowered.value(env).map_err(|fault| self.error(fault))?;
        if masked && let Value::Text(text) = &value {
            return Ok(value::masked(text));
        }
        Ok(value.to_string())
    }

    fn error(&self, fault: Fault) -> EvalError {
        let span = self.sites.get(usize::from(fault.site)).copied().unwrap_or_default();
        EvalError { span, reason: fault.reason }
    }
}
