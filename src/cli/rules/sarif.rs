//! Problems of rules as SARIF 2.1.0, which code reviews show beside the line.

use serde_json::{Value, json};

use crate::risk::code::Code;
use crate::risk::{Problem, Severity};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// One run with these problems. Each code that occurs is one of its rules.
pub(super) fn sarif(problems: &[&Problem]) -> Value {
    let mut codes: Vec<Code> = problems.iter().map(|problem| problem.code).collect();
    codes.sort_by_key(|code| code.name());
    codes.dedup();
    let rules: Vec<Value> = codes.iter().map(|code| rule(*code)).collect();
    let results: Vec<Value> = problems.iter().map(|problem| found(problem, &codes)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "wxgate", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.name(),
        "shortDescription": { "text": code.title() },
        "fullDescription": { "text": code.explanation() },
        "defaultConfiguration": { "level": level(code.severity()) },
    })
}

fn found(problem: &Problem, codes: &[Code]) -> Value {
    let mut place = json!({ "artifactLocation": { "uri": uri(&problem.file) } });
    // A problem of the file as a whole has no line.
    if let (Some(place), true) = (place.as_object_mut(), problem.line > 0) {
        let region = json!({ "startLine": problem.line, "startColumn": problem.column.max(1) });
        place.insert("region".to_owned(), region);
    }
    json!({
        "ruleId": problem.code.name(),
        "ruleIndex": codes.iter().position(|code| *code == problem.code),
        "level": level(problem.severity),
        "message": { "text": format!("{}\nhint: {}", problem.message, problem.remedy) },
        "locations": [{ "physicalLocation": place }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A path as a reference: `/` stays, and whatever else a URI gives a meaning to is encoded.
fn uri(path: &str) -> String {
    path.strip_prefix("./").unwrap_or(path).split('/').map(super::super::gateway::escaped).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;
    use crate::risk::{Files, load};

    #[test]
    fn problems_are_a_valid_run_with_their_rules_and_places() {
        let text = "apiVersion: wxgate.rules/v1\nkind: RuleSet\nname: shop\nversion: 1\nschema: pay-v3\nrules:\n  \
            - { id: WXP-1001, title: 付款, when: has(event.atach) && counter.x > 1, action: flag, reason: r, mode: shadow }\n";
        let problems = load(&Files::new("my rules").with("shop.yaml", text), UnixTime::default()).unwrap_err();
        let told = sarif(&problems.iter().collect::<Vec<_>>());
        assert_eq!(told["version"], "2.1.0");
        let run = &told["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let results = run["results"].as_array().unwrap();
        assert_eq!((results.len(), rules.len()), (2, 1), "two problems of one code");
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(!rules[index]["shortDescription"]["text"].as_str().unwrap().is_empty());
            let place = &result["locations"][0]["physicalLocation"];
            assert_eq!(place["artifactLocation"]["uri"], "my%20rules/shop.yaml");
            assert_eq!(place["region"]["startLine"], 7);
            assert!(result["message"]["text"].is_string() && result["level"] == "error");
        }
        // Columns are counted in characters, as columnKind says.
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        let column =
            usize::try_from(results[0]["locations"][0]["physicalLocation"]["region"]["startColumn"].as_u64().unwrap());
        let line: Vec<char> = text.lines().nth(6).unwrap().chars().collect();
        assert_eq!(line[column.unwrap() - 1..].iter().take(11).collect::<String>(), "event.atach");
    }
}
