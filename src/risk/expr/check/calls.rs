//! Functions and methods.

use regex::RegexBuilder;

use super::names::{nearest, note};
use super::{Checked, Checker, fraction, literal};
use crate::risk::expr::known::{Known, Presentness};
use crate::risk::expr::node::{Arithmetic, Bool, Ip, Lowered, Num, RatioTest, Text, TextTest};
use crate::risk::expr::parse::{Node, NodeKind};
use crate::risk::expr::reference::FUNCTIONS;
use crate::risk::expr::{Code, ExprProblem, Span};
use crate::risk::schema::{Type, field};

/// Most memory that a compiled pattern may take, in bytes.
const MAX_PATTERN: usize = 256 << 10;

impl Checker<'_> {
    pub(super) fn call(
        &mut self,
        span: Span,
        (name, name_span): (&str, Span),
        target: Option<&Node>,
        args: &[Node],
        known: Known,
    ) -> Option<Checked> {
        match (name, target, args) {
            ("has", None, [of]) => self.has(of, known, span),
            ("orValue", Some(of), [other]) => self.or_value(of, other, known, span),
            ("fen" | "yuan", None, [of]) => self.money(name, of, known, span),
            ("ratio", None, [of, to]) => self.ratio(of, to, known, span),
            ("duration", None, [of]) => {
                self.literal(of, "duration", "`\"1d2h30m\"`, whole numbers of ms, s, m, h, d", span, known)
            }
            ("timestamp", None, [of]) => self.literal(of, "timestamp", "`\"2026-03-01T12:00:00+08:00\"`", span, known),
            ("ip", None, [of]) => self.literal(of, "ip", "`\"203.0.113.9\"`", span, known),
            ("size", None, [of]) | ("size", Some(of), []) => {
                let text = self.text(of, known)?;
                self.pay(32)?;
                Some(Checked::new(Lowered::Number(Num::Size(Box::new(text.0)), Type::Int), known, span))
            }
            ("lower", None, [of]) | ("lower", Some(of), []) => {
                let (text, masked) = self.text(of, known)?;
                let lowered = Lowered::Text(Text::Lower(Box::new(text)));
                Some(Checked { masked, ..Checked::new(lowered, known, span) })
            }
            ("startsWith" | "endsWith" | "contains", Some(of), [part]) => {
                let (of, part) = (self.text(of, known), self.text(part, known));
                let ((of, _), (part, _)) = (of?, part?);
                self.pay(if name == "contains" { 64 } else { 4 })?;
                let test = match name {
                    "startsWith" => TextTest::StartsWith(of, part),
                    "endsWith" => TextTest::EndsWith(of, part),
                    _ => TextTest::Contains(of, part),
                };
                Some(Checked::condition(Bool::Text(Box::new(test)), known, known, span))
            }
            ("matches", Some(of), [pattern]) | ("matches", None, [of, pattern]) => {
                self.matches(of, pattern, known, span)
            }
            ("cidr", None, args) => {
                self.block(args, span)?;
                let problem =
                    ExprProblem::new(Code::TypeMismatch, span, "a block of addresses has no value of its own");
                self.tell(problem.suggest("look into it: `client.ip in cidr(\"…\")`"))
            }
            _ => self.no_function(name, name_span, target.is_some(), span),
        }
    }

    fn no_function<T>(&mut self, name: &str, name_span: Span, method: bool, span: Span) -> Option<T> {
        if let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) {
            let message = format!("`{name}` is used as `{}`", function.forms.join("` or `"));
            return self.tell(ExprProblem::new(Code::Arguments, span, message));
        }
        let what = if method { "method" } else { "function" };
        let problem = ExprProblem::new(Code::UnknownName, name_span, format!("there is no {what} `{name}`"));
        let instead = match name {
            "all" | "exists" | "exists_one" | "filter" | "map" => {
                Some("there are no loops; write `x in list.NAME`".to_owned())
            }
            "lowerAscii" | "toLowerCase" | "toLower" => Some("write `lower(…)`".to_owned()),
            "length" | "len" => Some("write `size(…)`".to_owned()),
            "now" => Some("write `now`".to_owned()),
            "getHours" | "getMinutes" | "getDayOfWeek" => {
                Some("write `local.hour`, `local.minute`, `local.weekday`".to_owned())
            }
            "inIpRange" => Some("write `client.ip in cidr(\"…\")`".to_owned()),
            _ => nearest(name, FUNCTIONS.iter().map(|function| function.name))
                .map(|near| format!("did you mean `{near}`?")),
        };
        self.tell(match instead {
            Some(instead) => problem.suggest(instead),
            None => problem,
        })
    }

    fn has(&mut self, of: &Node, known: Known, span: Span) -> Option<Checked> {
        let path = of.path().unwrap_or_default();
        if let Some(id) = field(&path) {
            note(&mut self.reads.fields, id);
            if known.presentness(id) == Presentness::Never {
                return self.never(id, known, of.span);
            }
            let site = self.site(span);
            return Some(Checked::condition(Bool::Has(id, site), known.having(id), known.lacking(id), span));
        }
        if path.starts_with("counter.") {
            let counter = self.check(of, known)?;
            if let Lowered::Ratio(fraction) = counter.lowered {
                let known_ratio = Bool::Ratio(Box::new(RatioTest::Known(fraction)));
                return Some(Checked::condition(known_ratio, known, known, span));
            }
            let problem = ExprProblem::new(
                Code::TypeMismatch,
                of.span,
                "only a ratio can have no value, other counters always have one",
            );
            return self.tell(problem.suggest("leave out the `has(…)`"));
        }
        if !path.is_empty() && self.scope.macro_named(&path).is_none() {
            self.name(of, known);
            return None;
        }
        let problem = ExprProblem::new(Code::Arguments, of.span, "`has` asks for a field, this is none");
        self.tell(problem.suggest("write `has(event.attach)`"))
    }

    fn or_value(&mut self, of: &Node, other: &Node, known: Known, span: Span) -> Option<Checked> {
        let Some(id) = of.path().and_then(|path| field(&path)) else {
            if of.path().is_some_and(|path| path.contains('.')) {
                self.check(of, known);
                if !self.problems.is_empty() {
                    return None;
                }
            }
            let problem = ExprProblem::new(Code::Arguments, of.span, "only a field can be absent, this is none");
            return self.tell(problem.suggest("write `event.attach.orValue(\"\")`"));
        };
        note(&mut self.reads.fields, id);
        if known.presentness(id) == Presentness::Never {
            return self.never(id, known, of.span);
        }
        let other = self.check(other, known)?;
        let (field, masked, other_ty) = (id.field(), id.field().masked || other.masked, other.ty());
        let lowered = match (field.ty, self.as_type(other, field.ty)?) {
            (Type::Text, Lowered::Text(other)) => Lowered::Text(Text::FieldOr(id, Box::new(other))),
            (Type::Enum(of), Lowered::Member(same, other)) if of == same => {
                Lowered::Member(of, Text::FieldOr(id, Box::new(other)))
            }
            (Type::Ip, Lowered::Ip(other)) => Lowered::Ip(Ip::FieldOr(id, Box::new(other))),
            (ty, Lowered::Number(other, same)) if ty == same => Lowered::Number(Num::FieldOr(id, Box::new(other)), ty),
            (ty, _) => {
                let code =
                    if ty == Type::Fen && other_ty == Type::Int { Code::MoneyAndNumber } else { Code::TypeMismatch };
                let message = format!("`{}` is {}, its other value is {}", field.path, ty.name(), other_ty.name());
                return self.tell(ExprProblem::new(code, span, message));
            }
        };
        Some(Checked { masked, ..Checked::new(lowered, known, span) })
    }

    /// A text or the word of an enum, and whether it names a person.
    fn text(&mut self, of: &Node, known: Known) -> Option<(Text, bool)> {
        let checked = self.check(of, known)?;
        let (ty, span, masked) = (checked.ty(), checked.span, checked.masked);
        match checked.lowered {
            Lowered::Text(text) | Lowered::Member(_, text) => Some((text, masked)),
            _ => {
                let message = format!("a text is wanted here, this is {}", ty.name());
                self.tell(ExprProblem::new(Code::TypeMismatch, span, message))
            }
        }
    }

    fn number(&mut self, of: &Node, known: Known) -> Option<(Num, Type, Span)> {
        let checked = self.check(of, known)?;
        let (ty, span) = (checked.ty(), checked.span);
        if let Lowered::Number(number, ty) = checked.lowered {
            return Some((number, ty, span));
        }
        let message = format!("a number is wanted here, this is {}", ty.name());
        self.tell(ExprProblem::new(Code::TypeMismatch, span, message))
    }

    fn money(&mut self, unit: &str, of: &Node, known: Known, span: Span) -> Option<Checked> {
        let (number, ty, at) = self.number(of, known)?;
        if ty != Type::Int {
            let message = format!("`{unit}` makes money of a bare number, this is {}", ty.name());
            return self.tell(ExprProblem::new(Code::TypeMismatch, at, message));
        }
        let number = match (unit, number) {
            ("fen", number) => number,
            (_, Num::Const(yuan)) => match yuan.checked_mul(100) {
                Some(fen) => Num::Const(fen),
                None => return self.tell(ExprProblem::new(Code::BadLiteral, span, "this is beyond 64 bits of fen")),
            },
            (_, number) => {
                let site = self.site(span);
                Num::Arithmetic(Arithmetic::Multiply, Box::new((number, Num::Const(100))), site)
            }
        };
        Some(Checked::new(Lowered::Number(number, Type::Fen), known, span))
    }

    fn ratio(&mut self, of: &Node, to: &Node, known: Known, span: Span) -> Option<Checked> {
        let (of, to) = (self.number(of, known), self.number(to, known));
        let ((of, one, _), (to, other, at)) = (of?, to?);
        if one != other || !matches!(one, Type::Int | Type::Fen | Type::Duration) {
            let message = format!("a ratio is of two numbers of one type, not of {} to {}", one.name(), other.name());
            return self.tell(ExprProblem::new(Code::TypeMismatch, span, message));
        }
        if matches!(to, Num::Const(..=0)) {
            return self.tell(ExprProblem::new(
                Code::BadLiteral,
                at,
                "the number under the line of a ratio is at least 1",
            ));
        }
        let site = self.site(span);
        Some(Checked::new(Lowered::Ratio(fraction(of, to, site)), known, span))
    }

    /// `duration("…")`, `timestamp("…")`, `ip("…")`.
    fn literal(&mut self, of: &Node, what: &str, written: &str, span: Span, known: Known) -> Option<Checked> {
        let NodeKind::Text(text) = &of.kind else {
            let problem = ExprProblem::new(Code::Arguments, of.span, format!("`{what}` takes one literal text"));
            return self.tell(problem.suggest(format!("write {written}")));
        };
        let lowered = match what {
            "duration" => literal::duration(text).map(|millis| Lowered::Number(Num::Const(millis), Type::Duration)),
            "timestamp" => literal::timestamp(text).map(|millis| Lowered::Number(Num::Const(millis), Type::Time)),
            _ => literal::ip(text).map(|ip| Lowered::Ip(Ip::Const(ip))),
        };
        if let Some(lowered) = lowered {
            return Some(Checked::new(lowered, known, span));
        }
        let problem = ExprProblem::new(Code::BadLiteral, of.span, format!("`{text}` is no {what}"));
        self.tell(problem.suggest(format!("write {written}")))
    }

    fn matches(&mut self, of: &Node, pattern: &Node, known: Known, span: Span) -> Option<Checked> {
        let text = self.text(of, known);
        let NodeKind::Text(pattern_text) = &pattern.kind else {
            let problem = ExprProblem::new(Code::Unsupported, pattern.span, "a pattern must be a literal text");
            return self.tell(problem.suggest("it is compiled when the rules are loaded"));
        };
        let regex = match RegexBuilder::new(pattern_text).size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build() {
            Ok(regex) => regex,
            Err(error) => {
                let told = error.to_string();
                let why = told.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
                let message = format!("this pattern does not compile: {why}");
                return self.tell(ExprProblem::new(Code::BadLiteral, pattern.span, message));
            }
        };
        self.pay(256)?;
        Some(Checked::condition(Bool::Text(Box::new(TextTest::Matches(text?.0, regex))), known, known, span))
    }
}
