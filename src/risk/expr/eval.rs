//! Evaluation of the lowered trees. No allocation but where `lower()` meets a pattern or a hash, no name, no panic.
//!
//! `&&` and `||` are CEL's: a side that decides makes an error of the other side no error.

use core::net::IpAddr;
use std::borrow::Cow;

use super::node::{
    Arithmetic, Bool, Compare, Fault, Fraction, Ip, IpTest, Lowered, Num, RatioTest, Site, Text, TextTest, typed,
};
use super::{Env, Members, Reason, Value};
use crate::risk::ask::Counted;
use crate::risk::schema::{Fact, FieldId};

const fn fault<T>(site: Site, reason: Reason) -> Result<T, Fault> {
    Err(Fault { site, reason })
}

fn int(env: &Env<'_>, field: FieldId, site: Site) -> Result<i64, Fault> {
    let Fact::Int(number) = env.facts.get(field) else { return fault(site, Reason::Absent) };
    Ok(number)
}

fn counted(env: &Env<'_>, counter: usize, site: Site) -> Result<Counted, Fault> {
    env.counters.get(counter).copied().flatten().ok_or(Fault { site, reason: Reason::NotCounted })
}

/// A list of the kind that `of` takes. One that is not there, or is of another type than the scope said, is no empty list.
fn listed<'a, T>(
    env: &Env<'a>,
    list: usize,
    site: Site,
    of: impl FnOnce(&'a Members) -> Option<&'a T>,
) -> Result<&'a T, Fault> {
    env.lists.get(list).and_then(|members| of(members)).ok_or(Fault { site, reason: Reason::NotAsked })
}

impl Bool {
    pub(super) fn eval(&self, env: &Env<'_>) -> Result<bool, Fault> {
        match self {
            Self::Const(value) => Ok(*value),
            Self::All(terms) => decided(terms, env, false),
            Self::Any(terms) => decided(terms, env, true),
            Self::Not(of) => of.eval(env).map(|value| !value),
            Self::If(parts) => {
                let (when, yes, no) = &**parts;
                if when.eval(env)? { yes.eval(env) } else { no.eval(env) }
            }
            Self::Has(field, site) => {
                let fact = env.facts.get(*field);
                if fact == Fact::Unknown { fault(*site, Reason::NotLookedUp) } else { Ok(fact != Fact::Absent) }
            }
            Self::Field(field, compare, constant, site) => {
                int(env, *field, *site).map(|number| compare.holds(&number, constant))
            }
            Self::Counter(counter, compare, constant, site) => {
                counted(env, *counter, *site).map(|counted| compare.holds(&counted.after, constant))
            }
            Self::Member(field, codes, site) => {
                let Fact::Member(code, _) = env.facts.get(*field) else { return fault(*site, Reason::Absent) };
                // The code of a word that is no member has no bit.
                Ok(1_u32.checked_shl(u32::from(code)).is_some_and(|bit| codes & bit != 0))
            }
            Self::Same(sides) => Ok(sides.0.eval(env)? == sides.1.eval(env)?),
            Self::IsFirst(counter, site) => counted(env, *counter, *site).map(|counted| counted.before == 0),
            Self::Number(compare, sides) => {
                let (left, right) = (sides.0.eval(env)?, sides.1.eval(env)?);
                Ok(compare.holds(&left, &right))
            }
            Self::NumberIn(parts) => parts.0.eval(env).map(|number| parts.1.has(number)),
            Self::NumberAmong(parts) => {
                let number = parts.0.eval(env)?;
                among(&parts.1, |member| member.eval(env).map(|member| member == number))
            }
            Self::NumberListed(number, list, site) => {
                let members = listed(env, *list, *site, Members::as_ints)?;
                number.eval(env).map(|number| members.contains(&number))
            }
            Self::Text(test) => test.eval(env),
            Self::Ip(test) => test.eval(env),
            Self::Ratio(test) => test.eval(env),
            Self::Asked(ask, site) => match env.asked.iter().find(|asked| asked.ask == *ask) {
                Some(asked) => Ok(asked.listed),
                None => fault(*site, Reason::NotAsked),
            },
        }
    }
}

impl TextTest {
    fn eval(&self, env: &Env<'_>) -> Result<bool, Fault> {
        Ok(match self {
            Self::Compare(compare, left, right) => compare_texts(*compare, left.eval(env)?, right.eval(env)?),
            Self::StartsWith(text, start) => text.eval(env)?.starts_with(start.eval(env)?),
            Self::EndsWith(text, end) => text.eval(env)?.ends_with(end.eval(env)?),
            Self::Contains(text, part) => text.eval(env)?.contains(part.eval(env)?),
            Self::Matches(text, pattern) => pattern.is_match(&text.eval(env)?.into_text()),
            Self::In(text, set) => set.has(&text.eval(env)?.into_text()),
            Self::Among(text, members) => {
                let text = text.eval(env)?;
                among(members, |member| member.eval(env).map(|member| compare_texts(Compare::Equal, text, member)))?
            }
            Self::Listed(text, list, site) => {
                let members = listed(env, *list, *site, Members::as_texts)?;
                members.contains(&*text.eval(env)?.into_text())
            }
            Self::InField(text, field, site) => {
                let text = text.eval(env)?.into_text();
                let Fact::Texts(texts) = env.facts.get(*field) else { return fault(*site, Reason::Absent) };
                texts.is_none_or(|texts| texts.iter().any(|known| **known == *text))
            }
        })
    }
}

impl IpTest {
    fn eval(&self, env: &Env<'_>) -> Result<bool, Fault> {
        Ok(match self {
            Self::Same(left, right) => left.eval(env)? == right.eval(env)?,
            Self::In(ip, blocks) => blocks.has(ip.eval(env)?),
            Self::Listed(ip, list, site) => listed(env, *list, *site, Members::as_blocks)?.has(ip.eval(env)?),
        })
    }
}

impl RatioTest {
    fn eval(&self, env: &Env<'_>) -> Result<bool, Fault> {
        match self {
            Self::Compare(compare, left, right) => compare_ratios(*compare, left, right, env),
            Self::Known(fraction) => fraction.to.eval(env).map(|to| to >= fraction.at_least),
        }
    }
}

/// `&&` (decided by false) and `||` (decided by true).
fn decided(terms: &[Bool], env: &Env<'_>, by: bool) -> Result<bool, Fault> {
    let mut first = None;
    for term in terms {
        match term.eval(env) {
            Ok(value) if value == by => return Ok(by),
            Ok(_) => {}
            Err(fault) => first = first.or(Some(fault)),
        }
    }
    first.map_or(Ok(!by), Err)
}

/// Whether one of `members` is it. All must have a value, as in CEL: a list with an error in it is an error.
fn among<T>(members: &[T], is_it: impl Fn(&T) -> Result<bool, Fault>) -> Result<bool, Fault> {
    members.iter().try_fold(false, |found, member| Ok(is_it(member)? || found))
}

impl Num {
    pub(super) fn eval(&self, env: &Env<'_>) -> Result<i64, Fault> {
        match self {
            Self::Const(number) => Ok(*number),
            Self::Field(field, site) => int(env, *field, *site),
            Self::FieldOr(field, other) => {
                let Fact::Int(number) = env.facts.get(*field) else { return other.eval(env) };
                Ok(number)
            }
            Self::Counter(counter, site) => counted(env, *counter, *site).map(|counted| counted.after),
            Self::Before(counter, site) => counted(env, *counter, *site).map(|counted| counted.before),
            Self::FirstSeen(counter, now, site) => match counted(env, *counter, *site)?.before {
                0 => int(env, *now, *site),
                before => Ok(before),
            },
            Self::Negate(of, site) => match of.eval(env)?.checked_neg() {
                Some(number) => Ok(number),
                None => fault(*site, Reason::Overflow),
            },
            Self::Arithmetic(operation, sides, site) => {
                let (left, right) = (sides.0.eval(env)?, sides.1.eval(env)?);
                operation.apply(left, right).map_err(|reason| Fault { site: *site, reason })
            }
            Self::If(parts) => {
                let (when, yes, no) = &**parts;
                if when.eval(env)? { yes.eval(env) } else { no.eval(env) }
            }
            // A text has at most 1024 bytes, and a literal at most 2000.
            Self::Size(text) => Ok(i64::try_from(text.eval(env)?.text.chars().count()).unwrap_or(i64::MAX)),
        }
    }
}

impl Arithmetic {
    pub(super) fn apply(self, left: i64, right: i64) -> Result<i64, Reason> {
        if right == 0 && matches!(self, Self::Divide | Self::Remainder) {
            return Err(Reason::DivisionByZero);
        }
        let result = match self {
            Self::Add => left.checked_add(right),
            Self::Subtract => left.checked_sub(right),
            Self::Multiply => left.checked_mul(right),
            Self::Divide => left.checked_div(right),
            Self::Remainder => left.checked_rem(right),
        };
        result.ok_or(Reason::Overflow)
    }
}

/// A text and whether its ASCII capitals count as small letters.
#[derive(Clone, Copy)]
pub(super) struct Read<'a> {
    text: &'a str,
    lower: bool,
}

impl Text {
    pub(super) fn eval<'a>(&'a self, env: &Env<'a>) -> Result<Read<'a>, Fault> {
        let plain = |text| Ok(Read { text, lower: false });
        match self {
            Self::Const(text) => plain(text),
            Self::Field(field, site) => match env.facts.get(*field).as_text() {
                Some(text) => plain(text),
                None => fault(*site, Reason::Absent),
            },
            Self::FieldOr(field, other) => match env.facts.get(*field).as_text() {
                Some(text) => plain(text),
                None => other.eval(env),
            },
            Self::Lower(of) => of.eval(env).map(|read| Read { lower: true, ..read }),
            Self::If(parts) => {
                let (when, yes, no) = &**parts;
                if when.eval(env)? { yes.eval(env) } else { no.eval(env) }
            }
        }
    }
}

impl<'a> Read<'a> {
    /// The text itself; only here are capitals changed, and only if there are any.
    pub(super) fn into_text(self) -> Cow<'a, str> {
        if self.lower && self.text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(self.text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(self.text)
        }
    }

    fn bytes(self) -> impl DoubleEndedIterator<Item = u8> + ExactSizeIterator {
        self.text.bytes().map(move |byte| if self.lower { byte.to_ascii_lowercase() } else { byte })
    }

    fn starts_with(self, start: Self) -> bool {
        if !self.lower && !start.lower {
            return self.text.starts_with(start.text);
        }
        self.bytes().len() >= start.bytes().len() && self.bytes().zip(start.bytes()).all(|(a, b)| a == b)
    }

    fn ends_with(self, end: Self) -> bool {
        if !self.lower && !end.lower {
            return self.text.ends_with(end.text);
        }
        self.bytes().len() >= end.bytes().len() && self.bytes().rev().zip(end.bytes().rev()).all(|(a, b)| a == b)
    }

    fn contains(self, part: Self) -> bool {
        if !self.lower && !part.lower {
            return self.text.contains(part.text);
        }
        let starts = self.text.char_indices().map(|(place, _)| place).chain([self.text.len()]);
        let mut rests = starts.filter_map(|place| self.text.get(place..));
        rests.any(|text| Read { text, ..self }.starts_with(part))
    }
}

fn compare_texts(compare: Compare, left: Read<'_>, right: Read<'_>) -> bool {
    if !left.lower && !right.lower {
        return compare.holds(left.text, right.text);
    }
    compare.holds(&left.bytes().cmp(right.bytes()), &core::cmp::Ordering::Equal)
}

impl Ip {
    pub(super) fn eval(&self, env: &Env<'_>) -> Result<IpAddr, Fault> {
        match self {
            Self::Const(ip) => Ok(*ip),
            Self::Field(field, site) => {
                let Fact::Ip(ip) = env.facts.get(*field) else { return fault(*site, Reason::Absent) };
                Ok(ip)
            }
            Self::FieldOr(field, other) => {
                let Fact::Ip(ip) = env.facts.get(*field) else { return other.eval(env) };
                Ok(ip)
            }
            Self::If(parts) => {
                let (when, yes, no) = &**parts;
                if when.eval(env)? { yes.eval(env) } else { no.eval(env) }
            }
        }
    }
}

/// The same as comparing `a/b` with `c/d` in fractions of unlimited size.
fn compare_ratios(compare: Compare, left: &Fraction, right: &Fraction, env: &Env<'_>) -> Result<bool, Fault> {
    let (Some(left), Some(right)) = (left.eval(env)?, right.eval(env)?) else { return Ok(false) };
    // Neither product of two 64-bit numbers is beyond 127 bits, and the sign of the denominators turns the comparison.
    let across = |above: i64, below: i64| i128::from(above).saturating_mul(i128::from(below));
    let (one, other) = (across(left.0, right.1), across(right.0, left.1));
    Ok(if (left.1 < 0) == (right.1 < 0) { compare.holds(&one, &other) } else { compare.holds(&other, &one) })
}

impl Fraction {
    /// None: too few to mean anything.
    pub(super) fn eval(&self, env: &Env<'_>) -> Result<Option<(i64, i64)>, Fault> {
        let to = self.to.eval(env)?;
        if to < self.at_least {
            return Ok(None);
        }
        if to == 0 {
            return fault(self.site, Reason::DivisionByZero);
        }
        Ok(Some((self.of.eval(env)?, to)))
    }
}

impl Lowered {
    pub(super) fn value<'a>(&'a self, env: &Env<'a>) -> Result<Value<'a>, Fault> {
        Ok(match self {
            Self::Bool(of) => Value::Bool(of.eval(env)?),
            Self::Number(of, ty) => typed(of.eval(env)?, *ty),
            Self::Text(of) => Value::Text(of.eval(env)?.into_text()),
            Self::Member(of, word) => Value::Member(*of, word.eval(env)?.into_text()),
            Self::Ip(of) => Value::Ip(of.eval(env)?),
            Self::Ratio(of) => match of.eval(env)? {
                Some((above, below)) => Value::Ratio(above, below),
                None => Value::Ratio(of.of.eval(env)?, of.to.eval(env)?),
            },
        })
    }
}
