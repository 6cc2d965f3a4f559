//! The JSON Schema that editors use names the keys that the loader takes, no more and no fewer.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{NOON, set};
use crate::risk::{FORMAT_SCHEMA, Files, load};

/// Where each part of the format stands in a file; `?` is where a key goes that nobody knows.
const PARTS: &[(&str, &str)] = &[
    ("list", "lists: [ { ?: 1 } ]"),
    ("source", "lists: [ { source: { ?: 1 } } ]"),
    ("macro", "macros: [ { ?: 1 } ]"),
    ("counter", "counters: [ { ?: 1 } ]"),
    ("ratio", "counters: [ { ratio: { ?: 1 } } ]"),
    ("defaults", "defaults: { ?: 1 }"),
    ("score", "score: { ?: 1 }"),
    ("thresholds", "score: { thresholds: { ?: 1 } }"),
    ("rule", "rules: [ { ?: 1 } ]"),
    ("exception", "rules: [ { exceptions: [ { ?: 1 } ] } ]"),
    ("test", "rules: [ { tests: [ { expect: { fires: true }, ?: 1 } ] } ]"),
    ("history", "rules: [ { tests: [ { history: { ?: 1 } } ] } ]"),
    ("repeat", "rules: [ { tests: [ { repeat: { ?: 1 } } ] } ]"),
    ("expect", "rules: [ { tests: [ { expect: { ?: 1 } } ] } ]"),
];
/// Keys that are known in order to be refused with a better word than "unknown".
const REFUSED: &[&str] = &["redis_set", "refresh", "max", "http", "include"];

/// The keys that the loader takes where it does not know one.
fn taken(file: &str) -> BTreeSet<String> {
    let files = Files::new("").with("shop.yaml", file.replace('?', "qqqqqq"));
    let problems = load(&files, NOON).unwrap_err();
    let unknown = problems.iter().find(|problem| problem.message.contains("`qqqqqq`"));
    let remedy = &unknown.unwrap_or_else(|| panic!("nothing unknown in {file}: {problems:?}")).remedy;
    let keys = remedy.strip_prefix("it takes ").unwrap_or_else(|| panic!("{remedy}"));
    keys.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn properties(of: &Value) -> BTreeSet<String> {
    of["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_schema_names_the_keys_that_the_loader_takes() {
    let schema: Value = serde_json::from_str(FORMAT_SCHEMA).unwrap();
    for (part, written) in PARTS {
        let mut taken = taken(&set(&format!("{written}\n")));
        if matches!(*part, "source" | "counter") {
            taken.retain(|key| !REFUSED.contains(&key.as_str()));
        }
        assert_eq!(taken, properties(&schema["$defs"][part]), "{part}");
    }
    let overrides = "apiVersion: wxgate.rules/v1\nkind: Overrides\nname: site\nversion: 1\noverrides: [ { ?: 1 } ]\n";
    assert_eq!(taken(overrides), properties(&schema["$defs"]["override"]));
    let inside = overrides.replace("{ ?: 1 }", "{ set: { ?: 1 } }");
    assert_eq!(taken(&inside), properties(&schema["$defs"]["set"]));
    let mut top = taken(&set("?: 1\n"));
    top.extend(taken(&overrides.replace("overrides: [ { ?: 1 } ]", "?: 1")));
    assert_eq!(top, properties(&schema));
}
