//! What is wrong with an expression, in words for its author.

use std::fmt;

/// A part of an expression's text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// Where it begins.
    pub start: u32,
    /// Where it ends, exclusive.
    pub end: u32,
}

impl Span {
    /// From offsets in an expression, which is shorter than 4 GiB.
    pub(super) fn new(start: usize, end: usize) -> Self {
        let narrow = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: narrow(start), end: narrow(end) }
    }

    /// The smallest part that has both.
    pub(super) fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The part of `text`, empty if it is none.
    pub fn of(self, text: &str) -> &str {
        let (start, end) = (usize::try_from(self.start), usize::try_from(self.end));
        let range = start.unwrap_or(usize::MAX)..end.unwrap_or(usize::MAX);
        text.get(range).unwrap_or_default()
    }
}

/// What sort of mistake it is; stable, for tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The text is no expression.
    Syntax,
    /// CEL that this language leaves out.
    Unsupported,
    /// A field, counter, list, macro, enum, member or function of this name does not exist.
    UnknownName,
    /// A value of a type that does not fit here.
    TypeMismatch,
    /// Money beside a bare number.
    MoneyAndNumber,
    /// A field that may be absent, used without a guard.
    Unguarded,
    /// A field that events of this kind never have.
    NeverPresent,
    /// A literal that is none: a pattern, a date, an address, a duration.
    BadLiteral,
    /// A function or method with the wrong number of arguments.
    Arguments,
    /// Longer, deeper or costlier than allowed.
    TooLarge,
    /// A macro that uses itself, or a name given twice.
    Definition,
}

impl Code {
    /// The name for tools.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Unsupported => "unsupported",
            Self::UnknownName => "unknown-name",
            Self::TypeMismatch => "type-mismatch",
            Self::MoneyAndNumber => "money-and-number",
            Self::Unguarded => "unguarded",
            Self::NeverPresent => "never-present",
            Self::BadLiteral => "bad-literal",
            Self::Arguments => "arguments",
            Self::TooLarge => "too-large",
            Self::Definition => "definition",
        }
    }
}

/// One mistake in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprProblem {
    /// What sort.
    pub code: Code,
    /// Where in the text.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to write instead, if that can be told.
    pub suggestion: Option<String>,
}

impl ExprProblem {
    pub(super) fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { code, span, message: message.into(), suggestion: None }
    }

    pub(super) fn suggest(self, suggestion: impl Into<String>) -> Self {
        Self { suggestion: Some(suggestion.into()), ..self }
    }
}

impl fmt::Display for ExprProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ExprProblem {}
