//! Terms that many rules of a set begin with, such as a macro `paid`: evaluated once for an event, not once for a rule.

use super::Env;
use super::eval::decided;
use super::node::{Bool, Lowered};
use super::{EvalError, Expr};

/// Most openings of a set: one bit each.
const MOST: usize = 64;

/// First terms that several conditions of one scope share.
#[derive(Clone, Debug, Default)]
pub struct Openings {
    terms: Box<[Bool]>,
}

/// What the openings are for one event.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    holds: u64,
    fails: u64,
}

impl Openings {
    /// Finds the first terms that more than one of `conditions` has, and lets these rely on them. All must have been
    /// compiled in one scope: there the same text means the same.
    pub fn share(conditions: &mut [&mut Expr]) -> Self {
        let mut found: Vec<(String, Bool)> = Vec::new();
        for (place, expr) in conditions.iter().enumerate() {
            let Some((text, term)) = expr.opening_term() else { continue };
            let has_it = |other: &&mut Expr| other.opening_term().is_some_and(|(same, _)| same == text);
            let is_known = found.iter().any(|(known, _)| known == text);
            if !is_known
                && found.len() < MOST
                && conditions.iter().skip(place).filter(|other| has_it(other)).count() > 1
            {
                found.push((text.to_owned(), term.clone()));
            }
        }
        for expr in conditions {
            let place = expr.opening_term().and_then(|(text, _)| found.iter().position(|(known, _)| known == text));
            expr.shared = place.and_then(|place| u32::try_from(place).ok());
        }
        Self { terms: found.into_iter().map(|(_, term)| term).collect() }
    }

    /// Evaluates them.
    pub fn look(&self, env: &Env<'_>) -> Opened {
        let mut opened = Opened { holds: 0, fails: 0 };
        for (term, bit) in self.terms.iter().zip(bits()) {
            match term.eval(env) {
                Ok(true) => opened.holds |= bit,
                Ok(false) => opened.fails |= bit,
                Err(_) => {} // each condition tells it as its own
            }
        }
        opened
    }
}

fn bits() -> impl Iterator<Item = u64> {
    (0..u64::BITS).map(|place| 1_u64.wrapping_shl(place))
}

impl Expr {
    /// The first of several terms that all must hold, with its text.
    fn opening_term(&self) -> Option<(&str, &Bool)> {
        let Lowered::Bool(Bool::All(terms)) = &self.lowered else { return None };
        Some((self.opening?.of(&self.text), terms.first()?))
    }

    /// [`Expr::holds`], with what is known of the openings that its set [shares](Openings::share).
    #[inline]
    pub fn holds_after(&self, opened: Opened, env: &Env<'_>) -> Result<bool, EvalError> {
        let (Some(place), Lowered::Bool(Bool::All(terms))) = (self.shared, &self.lowered) else {
            return self.holds(env);
        };
        let bit = 1_u64.wrapping_shl(place);
        if opened.fails & bit != 0 {
            return Ok(false);
        }
        match terms.get(1..) {
            Some(rest) if opened.holds & bit != 0 => decided(rest, env, false).map_err(|fault| self.error(fault)),
            _ => self.holds(env),
        }
    }
}
