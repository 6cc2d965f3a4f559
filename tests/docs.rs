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
use wxgate::wechat::{message, pay_v2, pay_v3};

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
    let text = doc("metrics.md");
    let names: Vec<&str> = metrics::ALL.iter().map(|metric| metric.name).collect();
    let mut selected = 0;
    for line in text.lines().filter(|line| line.contains("wxgate_")) {
        for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            if word.starts_with("wxgate_") && word != "wxgate_" {
                let family = word.trim_end_matches("_bucket");
                assert!(names.contains(&family), "{word} does not exist");
            }
        }
        for (label, values) in
            [("outcome", codes(Outcome::ALL, Outcome::code)), ("reason", codes(Reason::ALL, Reason::code))]
        {
            for after in line.split(&format!("{label}=")).skip(1) {
                let value = after.trim_start_matches('~').split('"').nth(1).unwrap();
                for one in value.split("\\|") {
                    assert!(values.contains(&one), "{label} {one} does not exist");
                    selected += 1;
                }
            }
        }
    }
    assert!(selected >= 6, "{selected} values were found");
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
