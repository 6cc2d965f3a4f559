//! The documentation says what the code does: each table is compared with the code, in both directions.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // a test may fail

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wxgate::limit::Limit;
use wxgate::observe::{AuditSettings, AuditTarget, Observe, Stage, metrics};
use wxgate::reason::{Outcome, Reason};
use wxgate::risk::code::Code;
use wxgate::risk::{Files, Severity, load};
use wxgate::wechat::diagnosis::{Elsewhere, Explained};
use wxgate::wechat::{answer, message, pay_v2, pay_v3};

fn doc(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

/// The rows of the table that has this header, each cut into its cells. A table ends with its first line without a bar.
fn table(text: &str, header: &str) -> Vec<Vec<String>> {
    let mut lines = text.lines().skip_while(|line| *line != header);
    assert!(lines.next().is_some(), "no table has the header {header}");
    lines
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// The words between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Rows by the quoted word that they begin with; no word may come twice.
fn by_name(rows: Vec<Vec<String>>) -> BTreeMap<String, Vec<String>> {
    let count = rows.len();
    let named: BTreeMap<_, _> = rows.into_iter().map(|row| (quoted(&row[0])[0].to_owned(), row)).collect();
    assert_eq!(named.len(), count, "a row comes twice");
    named
}

#[test]
fn every_reason_is_documented_as_it_is() {
    let text = doc("reasons.md");
    let rows = by_name(table(&text, "| reason | outcome | status | meaning | what to do |"));
    let documented: BTreeSet<&str> = rows.keys().map(String::as_str).collect();
    let existing: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(documented, existing);
    for reason in Reason::ALL {
        let row = &rows[reason.code()];
        assert_eq!(row.len(), 5, "{}", reason.code());
        assert_eq!(row[1], reason.outcome().code(), "{}", reason.code());
        assert_eq!(row[2], reason.status().to_string(), "{}", reason.code());
        assert_eq!(row[0].contains('⚑'), reason.spends_failure_budget(), "{}", reason.code());
        assert!(row[3].len() > 20 && row[4].len() >= "nothing".len(), "{} is not explained", reason.code());
    }
}

#[test]
fn every_cause_that_the_doctor_names_is_documented_as_it_is() {
    causes_are_documented::<pay_v3::diagnosis::Cause>("### WeChat Pay APIv3");
    causes_are_documented::<pay_v2::diagnosis::Cause>("### WeChat Pay v2");
    causes_are_documented::<message::diagnosis::Cause>("### Message push, open platforms and WeCom");
    causes_are_documented::<Elsewhere>("### All protocols");
}

fn causes_are_documented<C: Explained>(heading: &str) {
    let text = doc("doctor.md");
    let (_, section) = text.split_once(heading).unwrap();
    let rows = by_name(table(section, "| cause | it means | what to do |"));
    let documented: BTreeSet<&str> = rows.keys().map(String::as_str).collect();
    let existing: BTreeSet<&str> = C::ALL.iter().map(|cause| cause.code()).collect();
    assert_eq!(documented, existing, "{heading}");
    for cause in C::ALL {
        let row = &rows[cause.code()];
        assert_eq!(row[1], cause.meaning(), "{}", cause.code());
        assert_eq!(row[2].trim_end_matches('.').to_lowercase(), cause.remedy().to_lowercase(), "{}", cause.code());
    }
}

#[test]
fn every_metric_is_documented_as_it_is() {
    let text = doc("metrics.md");
    let rows = by_name(table(&text, "| metric | kind | labels | meaning |"));
    let documented: BTreeSet<&str> = rows.keys().map(String::as_str).collect();
    let existing: BTreeSet<&str> = metrics::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(documented, existing);
    for metric in metrics::ALL {
        let row = &rows[metric.name];
        assert_eq!(row.len(), 4, "{}", metric.name);
        assert_eq!(row[1], metric.kind, "{}", metric.name);
        assert_eq!(quoted(&row[2]), metric.labels, "{}", metric.name);
        assert!(row[3].len() >= "always 1".len(), "{} is not explained", metric.name);
    }
    let limits = [Limit::PerIp, Limit::Total, Limit::FailuresPerIp].map(Limit::name);
    assert_eq!(quoted(&rows["wxgate_rate_limited_total"][3]), limits);
    let stages: Vec<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
    assert_eq!(quoted(&rows["wxgate_stage_seconds"][3]), stages);
}

/// What is scraped is what is listed: no metric is made beside the list.
#[test]
fn nothing_is_scraped_that_is_not_documented() {
    let text = doc("metrics.md");
    let audit = AuditSettings { target: AuditTarget::Off, max_size: 0, max_age: Duration::ZERO, keep: 0, facts: None };
    let observe = Observe::new(&audit).unwrap();
    let endpoint = observe.endpoint(&Arc::from("shop"), "pay-v3");
    let mut record = observe.begin([192, 0, 2, 1].into());
    record.endpoint(&endpoint);
    record.upstream(Some(200));
    observe.finish(record, Reason::Forwarded, 200);
    let scraped = observe.render();
    let names: Vec<&str> = scraped.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    assert!(names.len() > 10, "{scraped}");
    for name in names {
        assert!(name.starts_with("process_") || text.contains(&format!("| `{name}` |")), "{name}");
    }
}

/// Every word that an expression selects by is one that exists, so that no alert sleeps because of a typing error.
#[test]
fn the_expressions_to_watch_name_what_exists() {
    for (name, least) in [("metrics.md", 6), ("alerts.yaml", 8)] {
        let selected = words_that_exist(&doc(name));
        assert!(selected >= least, "{selected} values were found in {name}");
    }
}

/// Looks at each metric, label and value of an expression; how many values there are.
fn words_that_exist(text: &str) -> usize {
    let names: Vec<&str> = metrics::ALL.iter().map(|metric| metric.name).collect();
    let mut selected = 0;
    for line in text.lines().filter(|line| line.contains("wxgate_")) {
        for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            if word.starts_with("wxgate_") && word != "wxgate_" {
                let family = word.trim_end_matches("_bucket");
                assert!(names.contains(&family), "{word} does not exist");
            }
        }
        for selector in line.split("wxgate_").skip(1).filter_map(|rest| rest.split_once('{')) {
            let metric = metrics::ALL.iter().find(|metric| metric.name.strip_prefix("wxgate_") == Some(selector.0));
            let Some(metric) = metric else { continue };
            for label in selector.1.split('}').next().unwrap().split(',').filter_map(|pair| pair.split_once('=')) {
                assert!(metric.labels.contains(&label.0.trim()), "{} has no label {}", metric.name, label.0);
            }
        }
        for (label, values) in
            [("outcome", codes(Outcome::ALL, Outcome::code)), ("reason", codes(Reason::ALL, Reason::code))]
        {
            for after in line.split(&format!("{label}=")).skip(1) {
                let value = after.trim_start_matches('~').split('"').nth(1).unwrap();
                for one in value.split('|').map(|one| one.trim_end_matches('\\')) {
                    assert!(values.contains(&one), "{label} {one} does not exist");
                    selected += 1;
                }
            }
        }
    }
    selected
}

/// Each alert has a name of its own, an expression and a word for whoever is woken by it.
#[test]
fn the_alerts_are_whole() {
    let text = doc("alerts.yaml");
    let alerts: Vec<&str> = text.split("      - alert: ").skip(1).collect();
    let names: BTreeSet<&str> = alerts.iter().map(|alert| alert.lines().next().unwrap()).collect();
    assert_eq!(names.len(), alerts.len(), "a name comes twice");
    for alert in &alerts {
        for part in ["expr: ", "severity: ", "summary: ", "wxgate_"] {
            assert_eq!(alert.matches(part).count().min(1), 1, "{part} is not in {alert}");
        }
    }
    // What is asked in the documentation, is asked by an alert, but for what has no limit of its own.
    let without = ["wxgate_bans_active", "wxgate_upstream_seconds"];
    for row in table(&doc("metrics.md"), "| question | expression | act when |") {
        let name =
            row[1].split("wxgate_").nth(1).unwrap().split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next();
        let name = format!("wxgate_{}", name.unwrap().trim_end_matches("_bucket"));
        assert!(without.contains(&&*name) || text.contains(&name), "no alert looks at {name}");
    }
}

/// Where a protocol answers another status than the table says, the row says so.
#[test]
fn the_statuses_of_message_push_are_documented_where_they_differ() {
    let rows = by_name(table(&doc("reasons.md"), "| reason | outcome | status | meaning | what to do |"));
    for reason in Reason::ALL {
        let (push, wecom) = (answer::message(*reason).status, answer::wecom(*reason).status);
        assert_eq!((push, answer::pay_v2(*reason).status), (wecom, reason.status()), "{}", reason.code());
        let says = rows[reason.code()][4].starts_with(&format!("in message push and WeCom it answers {push}"));
        assert_eq!(says, push != reason.status(), "{}", reason.code());
    }
}

fn codes<T: Copy>(all: &[T], code: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|one| code(*one)).collect()
}

#[test]
fn every_code_of_a_rule_problem_is_documented_as_it_is() {
    let text = doc("rules.md");
    let documented: Vec<(String, String)> = table(&text, "| code | what |")
        .into_iter()
        .map(|row| (quoted(&row[0])[0].to_owned(), row[1].clone()))
        .collect();
    let title = |code: &Code| match code.severity() {
        Severity::Error => code.title().to_owned(),
        Severity::Warning => format!("warning: {}", code.title()),
    };
    let existing: Vec<(String, String)> = Code::ALL.iter().map(|code| (code.name().to_owned(), title(code))).collect();
    assert_eq!(documented, existing);
}

#[test]
fn the_rules_that_the_documentation_shows_load_and_pass_their_tests() {
    let text = doc("rules.md");
    let shown: Vec<&str> =
        text.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap_or_default()).collect();
    assert_eq!(shown.len(), 2, "a set and an override of it");
    let files = Files::new("docs").with("shop.yaml", shown[0]).with("site.yaml", shown[1]);
    let loaded = load(&files, wxgate::clock::UnixTime::from_secs(1_772_337_600)).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    assert_eq!((loaded.sets.len(), loaded.tests.len(), loaded.warnings.as_slice()), (1, 2, [].as_slice()));
}

#[test]
fn every_fuzz_target_is_documented_and_run_and_every_finding_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let manifest = read("fuzz/Cargo.toml");
    let (_, binaries) = manifest.split_once("[[bin]]").unwrap();
    let targets: BTreeSet<&str> =
        binaries.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    let text = doc("fuzzing.md");
    for header in ["| target | holds |", "| target | executions | seconds | a second | memory in MiB | corpus |"] {
        let rows = by_name(table(&text, header));
        assert_eq!(rows.keys().map(String::as_str).collect::<BTreeSet<_>>(), targets, "{header}");
    }
    let script = read("scripts/fuzz");
    for target in targets {
        assert!(
            script.lines().any(|line| line.split(' ').next() == Some(target)),
            "scripts/fuzz does not run {target}"
        );
    }
    for row in table(&text, "| found by | what | test |") {
        let (file, name) = row[2].split_once(": ").unwrap();
        let function = format!("fn {}(", quoted(name)[0]);
        assert!(read(quoted(file)[0]).contains(&function), "{row:?}");
    }
}
