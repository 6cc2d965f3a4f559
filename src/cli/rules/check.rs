//! `wxgate rules check` and `wxgate rules test`: everything that is wrong with a directory of rules, and what its tests reach.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::Exit;
use super::super::report::{json, result, talk};
use super::sarif::sarif;
use super::tables::{Table, escaped, share};
use crate::clock::{Clock, UnixTime};
use crate::config::read_rule_files;
use crate::risk::{self, Loaded, Mode, Problem, RuleCover, TestRun};

#[derive(clap::Args)]
pub(super) struct CheckArgs {
    /// Directory of rules
    dir: PathBuf,
    /// The result as one line of JSON
    #[arg(long, group = "form")]
    json: bool,
    /// Problems and warnings as SARIF 2.1.0, for code reviews
    #[arg(long, group = "form")]
    sarif: bool,
    /// The result as Markdown, for a comment on a merge request
    #[arg(long, group = "form")]
    markdown: bool,
}

#[derive(clap::Args)]
pub(super) struct TestArgs {
    /// Directory of rules
    dir: PathBuf,
    /// Say what the tests do not reach: rules that no test lets fire or rest, parts of conditions that are never true or
    /// never false
    #[arg(long)]
    cover: bool,
    /// The result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// What came of a check.
#[derive(Serialize)]
struct Checked {
    dir: String,
    ok: bool,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    sets: Vec<Set>,
    tests: Vec<TestRun>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cover: Option<Vec<RuleCover>>,
}

#[derive(Serialize)]
struct Set {
    name: String,
    version: i64,
    schema: &'static str,
    digest: String,
    rules: usize,
    /// How many rules act, at least on a part of the events.
    enforced: usize,
    /// How many are in shadow.
    shadow: usize,
    /// How many entries of each list were read.
    lists: Vec<List>,
}

#[derive(Serialize)]
struct List {
    name: String,
    /// None: it is kept in the gateway's store.
    entries: Option<usize>,
}

pub(super) fn check(args: &CheckArgs) -> Exit {
    told(&args.dir, |checked| {
        if args.sarif {
            json(&sarif(&checked.problems.iter().chain(&checked.warnings).collect::<Vec<_>>()));
        } else if args.json {
            json(checked);
        } else if args.markdown {
            result(checked.markdown());
        } else {
            checked.warnings.iter().for_each(talk);
            result(checked.text(false));
        }
    })
}

pub(super) fn test(args: &TestArgs) -> Exit {
    told(&args.dir, |checked| {
        if !args.cover {
            checked.cover = None;
        }
        if args.json {
            json(checked);
        } else {
            checked.warnings.iter().for_each(talk);
            result(checked.text(true));
        }
    })
}

fn told(dir: &Path, tell: impl FnOnce(&mut Checked)) -> Exit {
    match checked(dir, Clock::System.now()) {
        Ok(mut checked) => {
            tell(&mut checked);
            if checked.ok { Exit::Good } else { Exit::Failed }
        }
        Err(error) => {
            talk(format_args!("wxgate rules: {} cannot be read: {error}", dir.display()));
            Exit::Usage
        }
    }
}

fn checked(dir: &Path, now: UnixTime) -> std::io::Result<Checked> {
    let files = read_rule_files(dir)?;
    let (loaded, problems) = match risk::load(&files, now) {
        Ok(loaded) => (loaded, Vec::new()),
        Err(problems) => (Loaded::default(), problems),
    };
    let sets = loaded.sets.iter().map(|set| {
        let count = |wanted: fn(Mode) -> bool| set.rules().filter(|rule| wanted(rule.mode)).count();
        Set {
            name: set.name().to_string(),
            version: set.version(),
            schema: set.family().name(),
            digest: set.digest().to_string(),
            rules: set.rules().count(),
            enforced: count(|mode| matches!(mode, Mode::Enforce | Mode::Percent(_))),
            shadow: count(|mode| mode == Mode::Shadow),
            lists: set.lists().map(|(name, entries)| List { name: name.to_owned(), entries }).collect(),
        }
    });
    Ok(Checked {
        dir: dir.display().to_string(),
        ok: problems.is_empty(),
        problems,
        sets: sets.collect(),
        warnings: loaded.warnings,
        tests: loaded.tests,
        cover: Some(loaded.cover),
    })
}

impl Checked {
    fn text(&self, tests: bool) -> String {
        if !self.ok {
            let told = self.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            return format!("{told}\n{}", several(self.problems.len(), "problem"));
        }
        let mut lines: Vec<String> = Vec::new();
        if tests {
            lines.extend(self.tests.iter().map(|run| format!("passed  {} {}: {}", run.set, run.rule, run.test)));
            lines.extend(self.cover.as_deref().map(covered));
        } else {
            lines.extend(self.sets.iter().map(Set::text));
        }
        lines.push(format!("{}: {}", self.dir, self.sum()));
        lines.join("\n")
    }

    /// In one sentence.
    fn sum(&self) -> String {
        let (sets, tests) = (several(self.sets.len(), "rule set"), several(self.tests.len(), "test"));
        let warnings = match self.warnings.len() {
            0 => String::new(),
            some => format!(", {}", several(some, "warning")),
        };
        format!("{sets}, {tests} passed, no problems{warnings}")
    }

    fn markdown(&self) -> String {
        let mut lines = vec!["## Rules".to_owned(), String::new()];
        if self.ok {
            lines.push(format!("{}: {}", escaped(&self.dir), self.sum()));
        } else {
            lines.push(format!(
                "{}: {}; they do not load",
                escaped(&self.dir),
                several(self.problems.len(), "problem")
            ));
        }
        for (heading, problems) in [("Problems", &self.problems), ("Warnings", &self.warnings)] {
            if problems.is_empty() {
                continue;
            }
            let mut table = Table::new(&["place", "code", "what", "way out"]);
            for problem in problems {
                let place = format!("{}:{}:{}", problem.file, problem.line, problem.column);
                table.row(vec![place, problem.code.name().to_owned(), problem.message.clone(), problem.remedy.clone()]);
            }
            lines.extend([format!("\n### {heading}\n"), table.markdown()]);
        }
        let mut table = Table::new(&["set", "version", "schema", "rules", "enforced", "shadow", "digest"]);
        for set in &self.sets {
            let counts = [set.rules, set.enforced, set.shadow].map(|count| count.to_string());
            let head = [set.name.clone(), set.version.to_string(), set.schema.to_owned()];
            table.row(head.into_iter().chain(counts).chain([set.digest.clone()]).collect());
        }
        if !table.is_empty() {
            lines.extend(["\n### Sets\n".to_owned(), table.markdown()]);
        }
        lines.join("\n")
    }
}

/// What tests do not reach.
fn covered(cover: &[RuleCover]) -> String {
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let mut table = Table::new(&["rule", "tests", "fires", "rests", "branches", "reached"]);
    let mut lines = Vec::new();
    for rule in cover {
        let counts = [rule.tests, rule.fires, rule.rests, rule.branches].map(|count| count.to_string());
        let reached = share(wide(rule.reached), wide(rule.branches));
        table.row([rule.rule.to_string()].into_iter().chain(counts).chain([reached]).collect());
        for (count, does) in [(rule.fires, "fires"), (rule.rests, "does not fire")] {
            if count == 0 {
                lines.push(format!("{}: no test in which it {does}", rule.rule));
            }
        }
        // Of a rule that is not tested at all nothing else is to be said.
        for unreached in rule.unreached.iter().filter(|_| rule.tests > 0) {
            let of = unreached.exception.as_deref().map(|name| format!(" (exception \"{name}\")")).unwrap_or_default();
            lines.push(format!("{}{of}: in no test is this {}: {}", rule.rule, unreached.never, unreached.part));
        }
    }
    let (reached, branches) = cover.iter().fold((0, 0), |(reached, branches), rule| {
        (wide(rule.reached).saturating_add(reached), wide(rule.branches).saturating_add(branches))
    });
    lines.insert(0, table.text());
    lines.push(format!("{} of all branches are reached", share(reached, branches)));
    lines.join("\n")
}

impl Set {
    fn text(&self) -> String {
        let Self { name, version, schema, digest, rules, enforced, shadow, lists } = self;
        let rules = several(*rules, "rule");
        let mut lines = vec![format!(
            "{name} version {version} ({schema}): {rules}, {enforced} enforced, {shadow} in shadow; digest {digest}"
        )];
        lines.extend(lists.iter().map(|List { name, entries }| {
            let held = entries.map_or_else(|| "kept in the store".to_owned(), |read| several(read, "entry"));
            format!("  list {name}: {held}")
        }));
        lines.join("\n")
    }
}

fn several(number: usize, what: &str) -> String {
    match (number, what) {
        (1, _) => format!("1 {what}"),
        (_, "entry") => format!("{number} entries"),
        (_, _) => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_772_337_600);

    #[test]
    fn the_starter_rules_are_told_with_their_sets_and_tests() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let checked = checked(&dir, NOW).unwrap();
        let text = checked.text(false);
        assert!(checked.ok, "{text}");
        assert!(text.contains("payment-core version 1 (pay-v3): 8 rules, 7 enforced, 1 in shadow; digest "), "{text}");
        for list in [
            "our_mchids: 1 entry",
            "our_appids: 2 entries",
            "wx_ranges: 2 entries",
            "blocked_openids: kept in the store",
        ] {
            assert!(text.contains(&format!("\n  list {list}\n")), "{list} is not in\n{text}");
        }
        let tests = checked.text(true);
        assert!(tests.contains("passed  payment-core WXP-1001: one fen short"));
        assert!(tests.contains(" of all branches are reached"), "{tests}");
        let json = serde_json::to_value(&checked).unwrap();
        assert_eq!(json["ok"], true);
        assert_eq!(json["warnings"][0]["code"], "WXL310");
        let markdown = checked.markdown();
        assert!(markdown.contains("### Warnings\n\n| place | code | what | way out |\n"), "{markdown}");
        assert!(markdown.contains("| payment-core | 1 | pay-v3 | 8 | 7 | 1 |"), "{markdown}");
    }

    fn shop(rules: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let head = "apiVersion: wxgate.rules/v1\nkind: RuleSet\nname: shop\nversion: 1\nschema: pay-v3\nrules:\n";
        fs::write(dir.path().join("shop.yaml"), format!("{head}{rules}")).unwrap();
        dir
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_a_caret_and_to_machines_by_place() {
        let rest = "    title: t\n    when: has(event.atach)\n    action: flag\n    reason: r\n    mode: shadow\n";
        let dir = shop(&format!("  - id: WXP-1001\n{rest}"));
        let checked = checked(dir.path(), NOW).unwrap();
        let text = checked.text(false);
        assert!(text.ends_with("hint: did you mean `event.attach`?\n1 problem"), "{text}");
        assert!(text.contains("    9 |     when: has(event.atach)\n      |               ^^^^^^^^^^^\n"), "{text}");
        let json = serde_json::to_value(&checked).unwrap();
        let problem = &json["problems"][0];
        assert_eq!((&problem["code"], &problem["line"], &problem["column"]), (&"WXL101".into(), &9.into(), &15.into()));
        assert!(checked.markdown().contains("| WXL101 | there is no field "), "{}", checked.markdown());
        let absent = dir.path().join("absent");
        let args = CheckArgs { dir: absent, json: false, sarif: false, markdown: false };
        assert_eq!(check(&args), Exit::Usage);
    }

    #[test]
    fn what_no_test_reaches_is_told_part_by_part() {
        let rule = "  - id: WXP-1001\n    title: t\n    when: event.kind == Kind.TRANSACTION && (event.amount.total > yuan(5) || event.amount.payer_total > yuan(5))\n    \
            action: flag\n    reason: r\n    mode: shadow\n    tests:\n      - { name: large, event: { amount: { total: 501 } }, expect: { fires: true } }\n";
        let untested = "  - { id: WXP-1002, title: t, when: has(order), action: flag, reason: r, mode: shadow }\n";
        let dir = shop(&format!("{rule}{untested}"));
        let checked = checked(dir.path(), NOW).unwrap();
        let text = checked.text(true);
        for said in [
            "WXP-1001: no test in which it does not fire",
            "WXP-1001: in no test is this false: event.kind == Kind.TRANSACTION\n",
            "WXP-1001: in no test is this false: event.amount.total > yuan(5)\n",
            "WXP-1001: in no test is this true: event.amount.payer_total > yuan(5)\n",
            "WXP-1002: no test in which it fires",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let cover = &checked.cover.unwrap()[0];
        assert_eq!((cover.tests, cover.fires, cover.branches, cover.reached), (1, 1, 10, 5));
    }
}
