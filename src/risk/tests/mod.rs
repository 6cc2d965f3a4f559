//! Rules as a whole: what their authors read, what events meet, and that no text makes loading panic or hang.

#![allow(clippy::arithmetic_side_effects, clippy::format_collect, clippy::format_push_string)] // a test may fail

mod hostile;
mod judging;
mod mistakes;
mod schema;
mod starter;

use super::{Files, Loaded, Problem, load};
use crate::clock::UnixTime;

/// 2026-03-01, noon in Beijing.
const NOON: UnixTime = UnixTime::from_secs(1_772_337_600);

/// A rule set of one file with this body behind its head.
fn set(body: &str) -> String {
    format!("apiVersion: wxgate.rules/v1\nkind: RuleSet\nname: shop\nversion: 3\nschema: pay-v3\n{body}")
}

fn load_one(text: &str) -> Result<Loaded, Vec<Problem>> {
    load(&Files::new("").with("shop.yaml", text), NOON)
}
