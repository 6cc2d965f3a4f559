//! Names: fields, members of enums, counters, macros, and the ones that are none of these.

use super::{Checked, Checker, Inside};
use crate::risk::expr::known::{Known, Presentness};
use crate::risk::expr::node::{Bool, Compare, Fraction, Ip, Lowered, Num, Text};
use crate::risk::expr::parse::Node;
use crate::risk::expr::scope::ROOTS;
use crate::risk::expr::{Code, CounterType, ExprProblem, Span};
use crate::risk::schema::{EnumType, FIELDS, FieldId, Presence, Type, field};

/// Deepest use of macros by macros.
const MAX_MACRO_DEPTH: usize = 8;

impl Checker<'_> {
    /// A name or a path that stands for a value.
    pub(super) fn name(&mut self, node: &Node, known: Known) -> Option<Checked> {
        let span = node.span;
        let Some(path) = node.path() else {
            let problem =
                ExprProblem::new(Code::Unsupported, span, "only names have fields, the results of calls have none");
            return self.tell(problem);
        };
        let (root, rest) = path.split_once('.').map_or((path.as_str(), None), |(root, rest)| (root, Some(rest)));
        if let (Some(of), Some(member)) = (EnumType::named(root), rest) {
            return self.member(of, member, known, span);
        }
        match (root, rest) {
            ("counter", Some(rest)) => self.counter(rest, known, span),
            ("list", Some(name)) => {
                let name = name.to_owned();
                self.list(&name, span)?;
                let problem = ExprProblem::new(Code::TypeMismatch, span, "a list has no value of its own");
                self.tell(problem.suggest(format!("look into it: `x in list.{name}`")))
            }
            (_, None) if self.scope.macro_named(root).is_some() => self
                .in_macro(root, span, |checker, body| checker.check(body, known))
                .map(|checked| Checked { span, ..checked }),
            _ => match field(&path) {
                Some(id) => self.field(id, known, span),
                None => self.unknown(&path, span),
            },
        }
    }

    /// Does something with the body of a macro, as if it stood where the macro is used.
    pub(super) fn in_macro<T>(
        &mut self,
        name: &str,
        used: Span,
        what: impl FnOnce(&mut Self, &Node) -> Option<T>,
    ) -> Option<T> {
        let scope = self.scope;
        let index = scope.macro_named(name)?;
        let body = &scope.macros.get(index)?.body;
        if self.inside.iter().any(|inside| inside.index == index) {
            return self.tell(ExprProblem::new(Code::Definition, used, format!("macro `{name}` uses itself")));
        }
        if self.inside.len() >= MAX_MACRO_DEPTH {
            let message = format!("macros use macros deeper than {MAX_MACRO_DEPTH}");
            return self.tell(ExprProblem::new(Code::TooLarge, used, message));
        }
        note(&mut self.reads.macros, index);
        self.inside.push(Inside { index, used });
        let done = what(self, body);
        self.inside.pop();
        done
    }

    fn member(&mut self, of: EnumType, word: &str, known: Known, span: Span) -> Option<Checked> {
        if of.member(word).is_none() {
            return self.no_member(of, word, &format!("{}.", of.name()), span);
        }
        Some(Checked::new(Lowered::Member(of, Text::Const(word.into())), known, span))
    }

    /// `word` is no member of `of`; suggestions are written behind `prefix`.
    pub(super) fn no_member<T>(&mut self, of: EnumType, word: &str, prefix: &str, span: Span) -> Option<T> {
        let problem = ExprProblem::new(Code::UnknownName, span, format!("{} has no member `{word}`", of.name()));
        let quote = if prefix.is_empty() { "\"" } else { "" };
        let suggestion = match nearest(word, of.members().iter().copied()) {
            Some(member) => format!("did you mean `{prefix}{quote}{member}{quote}`?"),
            None => format!("it has {}", of.members().join(", ")),
        };
        self.tell(problem.suggest(suggestion))
    }

    /// A field that is read, which must be there.
    pub(super) fn field(&mut self, id: FieldId, known: Known, span: Span) -> Option<Checked> {
        let field = id.field();
        note(&mut self.reads.fields, id);
        if field.ty == Type::Group {
            let problem = ExprProblem::new(Code::TypeMismatch, span, format!("`{}` is a group of fields", field.path));
            return self.tell(problem.suggest(format!("ask `has({})`", field.path)));
        }
        match known.presentness(id) {
            Presentness::Perhaps if self.guards => return self.unguarded(id, span),
            Presentness::Never => return self.never(id, known, span),
            Presentness::Perhaps | Presentness::Surely => {}
        }
        let site = self.site(span);
        let lowered = match field.ty {
            Type::Text => Lowered::Text(Text::Field(id, site)),
            Type::Enum(of) => Lowered::Member(of, Text::Field(id, site)),
            Type::Ip => Lowered::Ip(Ip::Field(id, site)),
            Type::Bool => Lowered::Bool(Bool::Field(id, Compare::NotEqual, 0, site)),
            Type::List(_) => {
                let problem = ExprProblem::new(Code::TypeMismatch, span, "a list has no value of its own");
                return self.tell(problem.suggest(format!("look into it: `x in {}`", field.path)));
            }
            ty => Lowered::Number(Num::Field(id, site), ty),
        };
        Some(Checked { masked: field.masked, ..Checked::new(lowered, known, span) })
    }

    fn unguarded<T>(&mut self, id: FieldId, span: Span) -> Option<T> {
        let field = id.field();
        let path = field.path;
        let (why, guard) = match field.presence {
            Presence::ByKind { sure, .. } if !sure.is_empty() => {
                let kinds: Vec<_> = sure.iter().map(|kind| format!("Kind.{}", kind.name())).collect();
                (
                    format!("only {} events surely have it", names(sure)),
                    match kinds.as_slice() {
                        [one] => format!("`event.kind == {one} && …`"),
                        more => format!("`event.kind in [{}] && …`", more.join(", ")),
                    },
                )
            }
            Presence::With(group) => ("there may be none".to_owned(), format!("`has({group}) && …`")),
            _ => ("not every event has it".to_owned(), format!("`has({path}) && …`")),
        };
        let other = match field.presence {
            Presence::ByKind { sure, .. } if !sure.is_empty() => format!("`has({path}) && …`"),
            _ => format!("`{path}.orValue(…)`"),
        };
        let problem = ExprProblem::new(Code::Unguarded, span, format!("`{path}` may be absent here: {why}"));
        self.tell(problem.suggest(format!("guard it with {guard} or {other}")))
    }

    pub(super) fn never<T>(&mut self, id: FieldId, known: Known, span: Span) -> Option<T> {
        let field = id.field();
        let problem = ExprProblem::new(
            Code::NeverPresent,
            span,
            format!("`{}` is never there: {} events do not have it", field.path, names(known.kinds)),
        );
        let Presence::ByKind { sure, perhaps } = field.presence else { return self.tell(problem) };
        self.tell(problem.suggest(format!("events that have it: {}", names(sure.or(perhaps)))))
    }

    fn counter(&mut self, rest: &str, known: Known, span: Span) -> Option<Checked> {
        let (name, of) = rest.split_once('.').map_or((rest, None), |(name, of)| (name, Some(of)));
        let Some(index) = self.scope.counter(name) else {
            return self.no_such(
                "counter",
                name,
                self.scope.counters.iter().map(|counter| counter.name.as_str()),
                span,
            );
        };
        let ty = self.scope.counters.get(index).map(|counter| counter.ty)?;
        note(&mut self.reads.counters, index);
        let site = self.site(span);
        let number = |ty| Lowered::Number(Num::Counter(index, site), ty);
        let before = |ty| Lowered::Number(Num::Before(index, site), ty);
        let lowered = match (ty, of) {
            (CounterType::Count | CounterType::Distinct, None) => number(Type::Int),
            (CounterType::Count | CounterType::Distinct, Some("before")) => before(Type::Int),
            (CounterType::Sum(ty) | CounterType::Last(ty), None) => number(ty),
            (CounterType::Sum(ty) | CounterType::Last(ty), Some("before")) => before(ty),
            (CounterType::FirstSeen, Some("is_first")) => Lowered::Bool(Bool::IsFirst(index, site)),
            (CounterType::FirstSeen, Some("first_seen")) => {
                Lowered::Number(Num::FirstSeen(index, field("now")?, site), Type::Time)
            }
            (CounterType::Ratio { of, to, at_least }, None) => {
                note(&mut self.reads.counters, of);
                note(&mut self.reads.counters, to);
                let (of, to) = (Num::Counter(of, site), Num::Counter(to, site));
                Lowered::Ratio(Fraction { of, to, at_least: at_least.max(1), site })
            }
            (CounterType::FirstSeen, None) => {
                let message = format!("`counter.{name}` tells when its key was first seen, it has no value of its own");
                let problem = ExprProblem::new(Code::TypeMismatch, span, message);
                return self
                    .tell(problem.suggest(format!("write `counter.{name}.is_first` or `counter.{name}.first_seen`")));
            }
            (_, Some(of)) => {
                let has = match ty {
                    CounterType::FirstSeen => "`.is_first` and `.first_seen`",
                    CounterType::Ratio { .. } => "no parts, compare it with `ratio(a, b)`",
                    CounterType::Count | CounterType::Sum(_) | CounterType::Distinct | CounterType::Last(_) => {
                        "`.before`"
                    }
                };
                let message = format!("`counter.{name}` has no `.{of}`");
                return self.tell(ExprProblem::new(Code::UnknownName, span, message).suggest(format!("it has {has}")));
            }
        };
        Some(Checked::new(lowered, known, span))
    }

    /// The index of a list.
    pub(super) fn list(&mut self, name: &str, span: Span) -> Option<usize> {
        let Some(index) = self.scope.list(name) else {
            return self.no_such("list", name, self.scope.lists.iter().map(|list| list.name.as_str()), span);
        };
        note(&mut self.reads.lists, index);
        Some(index)
    }

    fn no_such<'a, T>(
        &mut self,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'a str> + Clone,
        span: Span,
    ) -> Option<T> {
        let problem = ExprProblem::new(Code::UnknownName, span, format!("there is no {what} `{name}`"));
        let names: Vec<_> = known.clone().collect();
        let suggestion = match nearest(name, known) {
            Some(near) => format!("did you mean `{what}.{near}`?"),
            None if names.is_empty() => format!("this rule set has no {what}s"),
            None => format!("{what}s: {}", names.join(", ")),
        };
        self.tell(problem.suggest(suggestion))
    }

    fn unknown<T>(&mut self, path: &str, span: Span) -> Option<T> {
        let parent = format!("{path}.");
        let under: Vec<_> = FIELDS.iter().filter_map(|field| field.path.strip_prefix(&parent)).collect();
        if !under.is_empty() {
            let problem = ExprProblem::new(Code::TypeMismatch, span, format!("`{path}` is a group of fields"));
            return self.tell(problem.suggest(format!("it has {}", under.join(", "))));
        }
        if matches!(path, "counter" | "list") || EnumType::named(path).is_some() {
            let problem = ExprProblem::new(Code::UnknownName, span, format!("`{path}` is no value by itself"));
            return self.tell(problem.suggest(format!("name one of its members: `{path}.…`")));
        }
        let what = if path.contains('.') { "field" } else { "field or macro" };
        let problem = ExprProblem::new(Code::UnknownName, span, format!("there is no {what} `{path}`"));
        let tail = format!(".{}", path.rsplit('.').next().unwrap_or(path));
        let fields = FIELDS.iter().map(|field| field.path);
        let macros = self.scope.macros.iter().map(|known| known.name.as_str());
        let mut same_tail = fields.clone().filter(|field| field.ends_with(&tail));
        let near = match (nearest(path, fields.chain(macros.clone())), same_tail.next(), same_tail.next()) {
            (Some(near), ..) => Some(near.to_owned()),
            (None, Some(only), None) => Some(only.to_owned()),
            _ => None,
        };
        self.tell(match near {
            Some(near) => problem.suggest(format!("did you mean `{near}`?")),
            None if path.split_once('.').is_some_and(|(root, _)| ROOTS.contains(&root)) => {
                problem.suggest("the fields are listed in docs/expressions.md")
            }
            None if path.contains('.') => problem.suggest(format!("names begin with one of {}", ROOTS.join(", "))),
            None => problem,
        })
    }
}

/// Adds to a sorted list of what is read.
pub(super) fn note<T: Ord + Copy>(reads: &mut Vec<T>, one: T) {
    if let Err(place) = reads.binary_search(&one) {
        reads.insert(place, one);
    }
}

fn names(kinds: crate::risk::schema::Kinds) -> String {
    kinds.iter().map(crate::risk::schema::Kind::name).collect::<Vec<_>>().join(", ")
}

/// The known name that a misspelt one is most like, if it is like one at all.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let mut longer = known.clone().filter(|known| name.len() >= 4 && known.starts_with(name));
    if let (Some(only), None) = (longer.next(), longer.next()) {
        return Some(only);
    }
    let likeness = |known: &str| {
        let (name, known) = (name.to_ascii_lowercase(), known.to_ascii_lowercase());
        strsim::normalized_damerau_levenshtein(&name, &known)
    };
    let scored = known.map(|known| (likeness(known), known));
    scored.filter(|(score, _)| *score >= 0.7).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}
