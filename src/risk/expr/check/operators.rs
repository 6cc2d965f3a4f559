//! Comparisons and arithmetic: which types go together, and what comes out.

use super::{Checked, Checker, literal};
use crate::risk::expr::known::Known;
use crate::risk::expr::node::{Arithmetic, Bool, Compare, Ip, IpTest, Lowered, Num, RatioTest, Text, TextTest};
use crate::risk::expr::parse::{Node, Operator};
use crate::risk::expr::{Code, ExprProblem, Span};
use crate::risk::schema::{EnumType, FieldId, Kind, Kinds, Type, field};

enum Does {
    Compares(Compare),
    Computes(Arithmetic),
    LooksInto,
}

const fn does(op: Operator) -> Does {
    match op {
        Operator::Add => Does::Computes(Arithmetic::Add),
        Operator::Subtract => Does::Computes(Arithmetic::Subtract),
        Operator::Multiply => Does::Computes(Arithmetic::Multiply),
        Operator::Divide => Does::Computes(Arithmetic::Divide),
        Operator::Remainder => Does::Computes(Arithmetic::Remainder),
        Operator::Equal => Does::Compares(Compare::Equal),
        Operator::NotEqual => Does::Compares(Compare::NotEqual),
        Operator::Less => Does::Compares(Compare::Less),
        Operator::LessOrEqual => Does::Compares(Compare::LessOrEqual),
        Operator::Greater => Does::Compares(Compare::Greater),
        Operator::GreaterOrEqual => Does::Compares(Compare::GreaterOrEqual),
        Operator::In => Does::LooksInto,
    }
}

impl Checker<'_> {
    pub(super) fn binary(
        &mut self,
        op: Operator,
        left: &Node,
        right: &Node,
        known: Known,
        span: Span,
    ) -> Option<Checked> {
        let left = self.check(left, known);
        let does = does(op);
        if matches!(does, Does::LooksInto) {
            return self.membership(left?, right, known, span);
        }
        let right = self.check(right, known);
        let (left, right) = (left?, right?);
        match does {
            Does::Compares(compare) => self.compare(op, compare, left, right, known, span),
            Does::Computes(operation) => self.compute(op, operation, &left, &right, known, span),
            Does::LooksInto => None,
        }
    }

    /// Both sides as the same type, where one is a text literal that stands for a member, a day or an address.
    pub(super) fn alike(&mut self, left: Checked, right: Checked) -> Option<(Lowered, Lowered)> {
        let (one, other) = (left.ty(), right.ty());
        let left = self.as_type(left, other)?;
        Some((left, self.as_type(right, one)?))
    }

    /// `of`, which if it is a text literal may become a value of type `ty`.
    pub(super) fn as_type(&mut self, of: Checked, ty: Type) -> Option<Lowered> {
        let span = of.span;
        let Lowered::Text(Text::Const(text)) = of.lowered else { return Some(of.lowered) };
        let bad = |what: &str| ExprProblem::new(Code::BadLiteral, span, format!("`{text}` is no {what}"));
        match ty {
            Type::Enum(of) if of.member(&text).is_none() => self.no_member(of, &text, "", span),
            Type::Enum(of) => Some(Lowered::Member(of, Text::Const(text))),
            Type::Date => match literal::date(&text) {
                Some(date) => Some(Lowered::Number(Num::Const(date), Type::Date)),
                None => self.tell(bad("day").suggest("write it as `\"2026-03-01\"`")),
            },
            Type::Ip => match literal::ip(&text) {
                Some(ip) => Some(Lowered::Ip(Ip::Const(ip))),
                None => self.tell(bad("address").suggest("look into a block of addresses with `in cidr(\"…\")`")),
            },
            Type::Time => self.tell(bad("moment by itself").suggest(format!("write `timestamp(\"{text}\")`"))),
            Type::Duration => self.tell(bad("duration by itself").suggest(format!("write `duration(\"{text}\")`"))),
            _ => Some(Lowered::Text(Text::Const(text))),
        }
    }

    fn compare(
        &mut self,
        op: Operator,
        compare: Compare,
        left: Checked,
        right: Checked,
        known: Known,
        span: Span,
    ) -> Option<Checked> {
        let equality = matches!(compare, Compare::Equal | Compare::NotEqual);
        let types = (left.ty(), right.ty());
        let literal = [&left, &right].into_iter().find_map(bare_number);
        let (one, other) = self.alike(left, right)?;
        let ordered = match (&one, &other) {
            (Lowered::Bool(_), Lowered::Bool(_)) | (Lowered::Ip(_), Lowered::Ip(_)) => false,
            (Lowered::Member(a, _), Lowered::Member(b, _)) if a == b => false,
            _ => true,
        };
        if !ordered && !equality {
            let message = format!("{} has no order, `{}` cannot be asked of it", one.ty().name(), op.sign());
            return self.tell(ExprProblem::new(Code::TypeMismatch, span, message).suggest("ask `==`, `!=` or `in`"));
        }
        let condition = match (one, other) {
            (Lowered::Number(a, ty), Lowered::Number(b, same)) if ty == same => numbers(compare, a, b),
            (Lowered::Text(Text::Const(a)), Lowered::Text(Text::Const(b))) => Bool::Const(compare.holds(&a, &b)),
            (Lowered::Text(a), Lowered::Text(b)) => {
                self.pay(4)?;
                Bool::Text(Box::new(TextTest::Compare(compare, a, b)))
            }
            (Lowered::Bool(a), Lowered::Bool(b)) => signed(compare, Bool::Same(Box::new((a, b)))),
            (Lowered::Ip(a), Lowered::Ip(b)) => signed(compare, Bool::Ip(Box::new(IpTest::Same(a, b)))),
            (Lowered::Ratio(a), Lowered::Ratio(b)) => Bool::Ratio(Box::new(RatioTest::Compare(compare, a, b))),
            (Lowered::Member(of, a), Lowered::Member(same, b)) if of == same => {
                return Some(members(compare, of, a, b, known, span));
            }
            _ => return self.mismatch(op, types, literal, span),
        };
        Some(Checked::condition(condition, known, known, span))
    }

    fn mismatch<T>(&mut self, op: Operator, types: (Type, Type), literal: Option<i64>, span: Span) -> Option<T> {
        let sign = op.sign();
        if let (Type::Fen, Type::Int) | (Type::Int, Type::Fen) = types {
            let problem =
                ExprProblem::new(Code::MoneyAndNumber, span, format!("money and a bare number beside `{sign}`"));
            let suggestion = match literal {
                Some(number) if number.checked_rem(100) == Some(0) && number != 0 => {
                    format!("write `fen({number})`, which is `yuan({})`", number.div_euclid(100))
                }
                Some(number) => format!("write `fen({number})` or `yuan({number})`"),
                None => "make the number money with `fen(…)` or `yuan(…)`".to_owned(),
            };
            return self.tell(problem.suggest(suggestion));
        }
        let message = format!("`{sign}` does not go between {} and {}", types.0.name(), types.1.name());
        let problem = ExprProblem::new(Code::TypeMismatch, span, message);
        let with_ratio = matches!(types, (Type::Ratio, _) | (_, Type::Ratio));
        self.tell(if with_ratio { problem.suggest("write a share as `ratio(1, 5)`") } else { problem })
    }

    pub(super) fn negate(&mut self, of: &Node, known: Known, span: Span) -> Option<Checked> {
        let of = self.check(of, known)?;
        let ty = of.ty();
        let Lowered::Number(number, Type::Int | Type::Fen | Type::Duration) = of.lowered else {
            let message = format!("`-` does not go before {}", ty.name());
            return self.tell(ExprProblem::new(Code::TypeMismatch, span, message));
        };
        let site = self.site(span);
        let negated = match number {
            Num::Const(number) if number != i64::MIN => Num::Const(number.saturating_neg()),
            other => Num::Negate(Box::new(other), site),
        };
        Some(Checked::new(Lowered::Number(negated, ty), known, span))
    }

    fn compute(
        &mut self,
        op: Operator,
        operation: Arithmetic,
        left: &Checked,
        right: &Checked,
        known: Known,
        span: Span,
    ) -> Option<Checked> {
        let types = (left.ty(), right.ty());
        if let (Type::Text, Type::Text) = types {
            let problem =
                ExprProblem::new(Code::Unsupported, span, format!("texts are not put together with `{}`", op.sign()));
            return self.tell(problem.suggest("compare the parts one by one; a key has several parts"));
        }
        let (Some(ty), Lowered::Number(a, _), Lowered::Number(b, _)) =
            (result(operation, types.0, types.1), &left.lowered, &right.lowered)
        else {
            let literal = [left, right].into_iter().find_map(bare_number);
            return self.mismatch(op, types, literal, span);
        };
        let site = self.site(span);
        let number = match (a, b) {
            (Num::Const(a), Num::Const(b)) => match operation.apply(*a, *b) {
                Ok(number) => Num::Const(number),
                Err(reason) => {
                    return self.tell(ExprProblem::new(Code::BadLiteral, span, format!("this always fails: {reason}")));
                }
            },
            (_, Num::Const(0)) if matches!(operation, Arithmetic::Divide | Arithmetic::Remainder) => {
                return self.tell(ExprProblem::new(Code::BadLiteral, span, "this always fails: division by zero"));
            }
            _ => Num::Arithmetic(operation, Box::new((a.clone(), b.clone())), site),
        };
        Some(Checked::new(Lowered::Number(number, ty), known, span))
    }
}

/// The number that a node is, if it is nothing else.
fn bare_number(of: &Checked) -> Option<i64> {
    match of.lowered {
        Lowered::Number(Num::Const(number), Type::Int) => Some(number),
        _ => None,
    }
}

/// The type of what an operation gives, if it goes between these types.
fn result(operation: Arithmetic, left: Type, right: Type) -> Option<Type> {
    use Arithmetic::{Add, Divide, Multiply, Remainder, Subtract};
    use Type::{Duration, Fen, Int, Time};
    Some(match (operation, left, right) {
        (_, Int, Int) | (Divide, Fen, Fen) | (Divide, Duration, Duration) => Int,
        (Add | Subtract | Remainder, Fen, Fen) | (Multiply | Divide, Fen, Int) | (Multiply, Int, Fen) => Fen,
        (Add | Subtract | Remainder, Duration, Duration)
        | (Multiply | Divide, Duration, Int)
        | (Multiply, Int, Duration)
        | (Subtract, Time, Time) => Duration,
        (Add | Subtract, Time, Duration) | (Add, Duration, Time) => Time,
        _ => return None,
    })
}

fn numbers(compare: Compare, left: Num, right: Num) -> Bool {
    match (left, right) {
        (Num::Const(a), Num::Const(b)) => Bool::Const(compare.holds(&a, &b)),
        (Num::Field(id, site), Num::Const(b)) => Bool::Field(id, compare, b, site),
        (Num::Const(a), Num::Field(id, site)) => Bool::Field(id, compare.mirrored(), a, site),
        (Num::Counter(index, site), Num::Const(b)) => Bool::Counter(index, compare, b, site),
        (Num::Const(a), Num::Counter(index, site)) => Bool::Counter(index, compare.mirrored(), a, site),
        (a, b) => Bool::Number(compare, Box::new((a, b))),
    }
}

/// Equality as told, or turned round for `!=`.
fn signed(compare: Compare, same: Bool) -> Bool {
    if compare == Compare::NotEqual { Bool::Not(Box::new(same)) } else { same }
}

/// Two words of an enum. A comparison of the event's kind tells what fields it has.
fn members(compare: Compare, of: EnumType, left: Text, right: Text, known: Known, span: Span) -> Checked {
    let (condition, yes, no) = match (left, right) {
        (Text::Const(a), Text::Const(b)) => (Bool::Const(a == b), known, known),
        (Text::Field(id, site), Text::Const(word)) | (Text::Const(word), Text::Field(id, site)) => {
            let codes = bit(of.code(&word));
            let (yes, no) = narrowed(id, codes, known);
            (Bool::Member(id, codes, site), yes, no)
        }
        (a, b) => (Bool::Text(Box::new(TextTest::Compare(Compare::Equal, a, b))), known, known),
    };
    match (compare, condition) {
        (Compare::NotEqual, Bool::Const(value)) => Checked::condition(Bool::Const(!value), no, yes, span),
        (Compare::NotEqual, condition) => Checked::condition(signed(compare, condition), no, yes, span),
        (_, condition) => Checked::condition(condition, yes, no, span),
    }
}

/// The bit of a member's code in a set of members.
pub(super) fn bit(code: u8) -> u32 {
    1_u32.checked_shl(u32::from(code)).unwrap_or(0)
}

/// What is known where a field holds one of `codes`, and where it does not.
pub(super) fn narrowed(id: FieldId, codes: u32, known: Known) -> (Known, Known) {
    if field("event.kind") != Some(id) {
        return (known, known);
    }
    let kinds = Kind::ALL.into_iter().filter(|kind| codes & bit(*kind as u8) != 0);
    let kinds = kinds.fold(Kinds::NONE, |kinds, kind| kinds.or(Kinds::of(&[kind])));
    (known.of_kinds(kinds), known.of_kinds(Kinds::ALL.without(kinds)))
}
