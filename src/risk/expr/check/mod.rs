//! The type checker, which lowers as it checks: what it accepts is ready to run, so that no second walk can disagree
//! with the first.
//!
//! It carries what is [`Known`] of the event along `&&`, `||`, `!` and `?:`, and so can tell a field that is surely there
//! from one that needs a guard.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a check asks for one shape among many; any other, new ones too, is a mistake that is told"
)]

mod calls;
mod literal;
mod membership;
mod names;
mod operators;

use super::known::Known;
use super::node::{Bool, Fraction, Ip, Lowered, Num, Site, Text};
use super::parse::{Node, NodeKind};
use super::{Code, ExprProblem, MAX_COST, Reads, Scope, Span};
use crate::risk::schema::Type;

/// A macro that the checker is inside of.
#[derive(Clone, Copy, Debug)]
struct Inside {
    index: usize,
    /// Where the macro is used, in the text around it.
    used: Span,
}

/// One part of an expression that has a value worth telling.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) span: Span,
    pub(super) inside: Option<usize>,
    pub(super) lowered: Lowered,
    pub(super) masked: bool,
}

/// Walks one expression.
#[derive(Debug)]
pub(super) struct Checker<'s> {
    scope: &'s Scope,
    /// Whether a field that may be absent needs a guard; not so in a macro by itself.
    guards: bool,
    inside: Vec<Inside>,
    pub(super) problems: Vec<ExprProblem>,
    pub(super) sites: Vec<Span>,
    pub(super) parts: Vec<Part>,
    pub(super) reads: Reads,
    pub(super) cost: u32,
}

/// A node that is right.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) lowered: Lowered,
    /// What is known where it held, and where it did not. The same for what is no condition.
    pub(super) yes: Known,
    pub(super) no: Known,
    /// Whether its value tells of a person.
    pub(super) masked: bool,
    pub(super) span: Span,
}

impl Checked {
    fn new(lowered: Lowered, known: Known, span: Span) -> Self {
        Self { lowered, yes: known, no: known, masked: false, span }
    }

    /// A condition, with what is known after it. One whose answer is certain is that answer.
    fn condition(of: Bool, yes: Known, no: Known, span: Span) -> Self {
        let (yes, no) = match of {
            Bool::Const(true) => (yes, no.nowhere()),
            Bool::Const(false) => (yes.nowhere(), no),
            _ => (yes, no),
        };
        Self { lowered: Lowered::Bool(of), yes, no, masked: false, span }
    }

    fn ty(&self) -> Type {
        self.lowered.ty()
    }

    /// What it always gives, if that can be told.
    pub(super) fn constant(&self) -> Option<bool> {
        match &self.lowered {
            Lowered::Bool(Bool::Const(value)) => Some(*value),
            Lowered::Bool(_) if self.yes.kinds.is_empty() => Some(false),
            Lowered::Bool(_) if self.no.kinds.is_empty() => Some(true),
            _ => None,
        }
    }
}

impl<'s> Checker<'s> {
    pub(super) fn new(scope: &'s Scope, guards: bool) -> Self {
        Self {
            scope,
            guards,
            inside: Vec::new(),
            problems: Vec::new(),
            sites: Vec::new(),
            parts: Vec::new(),
            reads: Reads::default(),
            cost: 0,
        }
    }

    /// Checks a node. None: it is wrong, and a problem has been told.
    pub(super) fn check(&mut self, node: &Node, known: Known) -> Option<Checked> {
        self.pay(1)?;
        let place = self.parts.len();
        let checked = match &node.kind {
            NodeKind::Bool(value) => Checked::condition(Bool::Const(*value), known, known, node.span),
            NodeKind::Int(value) => Checked::new(Lowered::Number(Num::Const(*value), Type::Int), known, node.span),
            NodeKind::Text(text) => Checked::new(Lowered::Text(Text::Const(text.clone())), known, node.span),
            NodeKind::Name(_) | NodeKind::Select { .. } => self.name(node, known)?,
            NodeKind::Call { name, name_span, target, args } => {
                self.call(node.span, (name, *name_span), target.as_deref(), args, known)?
            }
            NodeKind::And(terms) => self.terms(terms, true, known, node.span)?,
            NodeKind::Or(terms) => self.terms(terms, false, known, node.span)?,
            NodeKind::Not(of) => {
                let of = self.check(of, known)?;
                let (condition, yes, no) = self.condition(of)?;
                let not = match condition {
                    Bool::Const(value) => Bool::Const(!value),
                    other => Bool::Not(Box::new(other)),
                };
                Checked::condition(not, no, yes, node.span)
            }
            NodeKind::Negate(of) => self.negate(of, known, node.span)?,
            NodeKind::Binary { op, left, right } => self.binary(*op, left, right, known, node.span)?,
            NodeKind::Condition { when, yes, no } => self.choice(when, yes, no, known, node.span)?,
            NodeKind::List(_) => {
                return self.tell(
                    ExprProblem::new(Code::TypeMismatch, node.span, "a list has no value of its own")
                        .suggest("look into it: `x in [a, b]`"),
                );
            }
        };
        if !checked.lowered.is_constant() {
            let part = Part {
                span: node.span,
                inside: self.inside.last().map(|inside| inside.index),
                lowered: checked.lowered.clone(),
                masked: checked.masked,
            };
            self.parts.insert(place, part);
        }
        Some(checked)
    }

    /// What `of` is as a condition.
    fn condition(&mut self, of: Checked) -> Option<(Bool, Known, Known)> {
        let (ty, span) = (of.ty(), of.span);
        if let Lowered::Bool(condition) = of.lowered {
            return Some((condition, of.yes, of.no));
        }
        let message = format!("this is {}, but a condition is wanted", ty.name());
        self.tell(ExprProblem::new(Code::TypeMismatch, span, message).suggest("compare it with something"))
    }

    /// `a && b && …`, or `||` if not `and`.
    fn terms(&mut self, terms: &[Node], and: bool, known: Known, span: Span) -> Option<Checked> {
        // `&&` goes on where a term held and leaves where one failed, `||` the other way round.
        let (mut on, mut left) = (known, known.nowhere());
        let (mut conditions, mut right) = (Vec::with_capacity(terms.len()), true);
        for term in terms {
            let checked = self.check(term, on).and_then(|checked| self.condition(checked));
            let Some((condition, held, failed)) = checked else {
                right = false;
                continue;
            };
            let (goes_on, leaves) = if and { (held, failed) } else { (failed, held) };
            left = left.or(leaves);
            on = goes_on;
            conditions.push(condition);
        }
        if !right {
            return None;
        }
        let decides = |condition: &Bool, value: bool| matches!(condition, Bool::Const(constant) if *constant == value);
        let condition = if conditions.iter().any(|condition| decides(condition, !and)) {
            Bool::Const(!and)
        } else {
            conditions.retain(|condition| !decides(condition, and));
            match conditions.len() {
                0 => Bool::Const(and),
                1 => conditions.pop()?,
                _ if and => Bool::All(conditions.into()),
                _ => Bool::Any(conditions.into()),
            }
        };
        let (yes, no) = if and { (on, left) } else { (left, on) };
        Some(Checked::condition(condition, yes, no, span))
    }

    /// `when ? yes : no`.
    fn choice(&mut self, when: &Node, yes: &Node, no: &Node, known: Known, span: Span) -> Option<Checked> {
        let when = self.check(when, known).and_then(|when| self.condition(when));
        let (held, failed) = when.as_ref().map_or((known, known), |(_, held, failed)| (*held, *failed));
        let (yes, no) = (self.check(yes, held), self.check(no, failed));
        let ((when, ..), yes, no) = (when?, yes?, no?);
        let masked = yes.masked || no.masked;
        let (types, after) = ((yes.ty(), no.ty()), (yes.yes.or(no.yes), yes.no.or(no.no)));
        let (one, other) = self.alike(yes, no)?;
        let lowered = match (one, other) {
            (Lowered::Bool(a), Lowered::Bool(b)) => Lowered::Bool(Bool::If(Box::new((when, a, b)))),
            (Lowered::Number(a, ty), Lowered::Number(b, same)) if ty == same => {
                Lowered::Number(Num::If(Box::new((when, a, b))), ty)
            }
            (Lowered::Text(a), Lowered::Text(b)) => Lowered::Text(Text::If(Box::new((when, a, b)))),
            (Lowered::Member(of, a), Lowered::Member(same, b)) if of == same => {
                Lowered::Member(of, Text::If(Box::new((when, a, b))))
            }
            (Lowered::Ip(a), Lowered::Ip(b)) => Lowered::Ip(Ip::If(Box::new((when, a, b)))),
            _ => {
                let message = format!("one side of `?:` is {}, the other {}", types.0.name(), types.1.name());
                return self.tell(ExprProblem::new(Code::TypeMismatch, span, message));
            }
        };
        Some(Checked { lowered, yes: after.0, no: after.1, masked, span })
    }

    /// Tells a problem; within a macro it is one of the place where the macro is used.
    fn tell<T>(&mut self, problem: ExprProblem) -> Option<T> {
        let problem = match (self.inside.first(), self.inside.last()) {
            (Some(outer), Some(inner)) => {
                let name = self.scope.macros.get(inner.index).map_or("", |known| known.name.as_str());
                ExprProblem { span: outer.used, message: format!("in macro `{name}`: {}", problem.message), ..problem }
            }
            _ => problem,
        };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
        None
    }

    /// A place where evaluation may fail.
    fn site(&mut self, span: Span) -> Site {
        let span = self.inside.first().map_or(span, |outer| outer.used);
        let place = self.sites.iter().position(|known| *known == span).unwrap_or_else(|| {
            self.sites.push(span);
            self.sites.len().saturating_sub(1)
        });
        // Each place is a node, and nodes cost: there are at most `MAX_COST`.
        Site::try_from(place).unwrap_or(Site::MAX)
    }

    /// Adds to the cost; none if there is no more to spend.
    fn pay(&mut self, cost: u32) -> Option<()> {
        let before = self.cost;
        self.cost = before.saturating_add(cost);
        if self.cost <= MAX_COST {
            return Some(());
        }
        if before <= MAX_COST {
            let message = format!("this costs more than the {MAX_COST} steps that an expression may");
            let span = self.inside.first().map_or(Span::default(), |outer| outer.used);
            self.problems.push(ExprProblem::new(Code::TooLarge, span, message).suggest("split it into several rules"));
        }
        None
    }
}

/// A fraction without a minimum under its line.
fn fraction(of: Num, to: Num, site: Site) -> Fraction {
    Fraction { of, to, at_least: i64::MIN, site }
}
