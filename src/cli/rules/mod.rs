//! `wxgate rules`: check and test a directory of rules before it ships, and look things up.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::Exit;
use super::report::{json, result, talk};
use crate::clock::{Clock, UnixTime};
use crate::config::read_rule_files;
use crate::risk::code::Code;
use crate::risk::{self, FORMAT_SCHEMA, Loaded, Mode, Problem, TestRun, expr};

/// Check, test and explain risk rules.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Read, check and test all rule sets of a directory; says all problems at once
    Check {
        /// Directory of rules
        dir: PathBuf,
        /// The result as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the tests that rules bring along, and name each
    Test {
        /// Directory of rules
        dir: PathBuf,
        /// The result as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Say more of a problem's code, such as WXL103
    Explain {
        /// The code
        code: String,
    },
    /// Print the JSON Schema of rule files, or what expressions can speak of
    Schema {
        /// Fields, kinds, enums and functions of expressions instead, as JSON
        #[arg(long)]
        expressions: bool,
    },
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

pub(super) fn run(args: &Args) -> ExitCode {
    let exit = match &args.command {
        Command::Check { dir, json } => check(dir, *json, false),
        Command::Test { dir, json } => check(dir, *json, true),
        Command::Explain { code } => explain(code),
        Command::Schema { expressions: false } => {
            result(FORMAT_SCHEMA.trim_end());
            Exit::Good
        }
        Command::Schema { expressions: true } => {
            json(&expr::reference::json());
            Exit::Good
        }
    };
    exit.into()
}

fn check(dir: &Path, as_json: bool, tests: bool) -> Exit {
    let checked = match checked(dir, Clock::System.now()) {
        Ok(checked) => checked,
        Err(error) => {
            talk(format_args!("wxgate rules: {} cannot be read: {error}", dir.display()));
            return Exit::Usage;
        }
    };
    if as_json {
        json(&checked);
    } else {
        checked.warnings.iter().for_each(talk);
        result(checked.text(tests));
    }
    if checked.ok { Exit::Good } else { Exit::Failed }
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
        } else {
            lines.extend(self.sets.iter().map(Set::text));
        }
        let (sets, tests) = (several(self.sets.len(), "rule set"), several(self.tests.len(), "test"));
        let warnings = match self.warnings.len() {
            0 => String::new(),
            some => format!(", {}", several(some, "warning")),
        };
        lines.push(format!("{}: {sets}, {tests} passed, no problems{warnings}", self.dir));
        lines.join("\n")
    }
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

fn explain(code: &str) -> Exit {
    let Some(code) = Code::by_name(code) else {
        talk(format_args!("wxgate rules: there is no code {code}; they are"));
        for code in Code::ALL {
            talk(format_args!("  {}  {}", code.name(), code.title()));
        }
        return Exit::Usage;
    };
    result(format_args!("{}: {}\n\n{}", code.name(), code.title(), code.explanation()));
    Exit::Good
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
        assert!(checked.text(true).contains("passed  payment-core WXP-1001: one fen short"));
        let json = serde_json::to_value(&checked).unwrap();
        assert_eq!(json["ok"], true);
        assert_eq!(json["warnings"][0]["code"], "WXL310");
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_a_caret_and_to_machines_by_place() {
        let dir = tempfile::tempdir().unwrap();
        let rule = "apiVersion: wxgate.rules/v1\nkind: RuleSet\nname: shop\nversion: 1\nschema: pay-v3\nrules:\n  - id: WXP-1001\n";
        let rest = "    title: t\n    when: has(event.atach)\n    action: flag\n    reason: r\n    mode: shadow\n";
        fs::write(dir.path().join("shop.yaml"), format!("{rule}{rest}")).unwrap();
        let checked = checked(dir.path(), NOW).unwrap();
        let text = checked.text(false);
        assert!(text.ends_with("hint: did you mean `event.attach`?\n1 problem"), "{text}");
        assert!(text.contains("    9 |     when: has(event.atach)\n      |               ^^^^^^^^^^^\n"), "{text}");
        let json = serde_json::to_value(&checked).unwrap();
        let problem = &json["problems"][0];
        assert_eq!((&problem["code"], &problem["line"], &problem["column"]), (&"WXL101".into(), &9.into(), &15.into()));
        assert_eq!(check(&dir.path().join("absent"), false, false), Exit::Usage);
    }

    #[test]
    fn codes_are_explained_however_they_are_written() {
        assert_eq!(explain("wxl009"), Exit::Good);
        assert_eq!(explain("WXL999"), Exit::Usage);
    }
}
