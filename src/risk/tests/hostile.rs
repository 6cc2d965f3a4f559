//! No text makes loading panic or hang.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::starter::starter;
use super::{NOON, load_one, set};
use crate::risk::{Files, load};

/// Pieces that rule files are made of, so that what is put together at random gets past the first line.
const PIECES: &[&str] = &[
    "\n",
    "\n  ",
    "\n    - ",
    "- ",
    ": ",
    "{ ",
    " }",
    "[",
    "]",
    ",",
    "'",
    "\"",
    "|",
    ">-",
    "#",
    "&a ",
    "*a",
    "!x",
    "<<",
    "id: WXP-1001",
    "title: t",
    "when: ",
    "action: hold",
    "score: 5",
    "reason: r",
    "rules:",
    "counters:",
    "macros:",
    "lists:",
    "tests:",
    "expect:",
    "fires: true",
    "event.amount.total",
    "yuan(1)",
    "&&",
    "||",
    "has(",
    ")",
    "counter.x",
    "window: 1h",
    "key: [event.id]",
    "name: x",
    "count: events",
    "~",
    "99999999999999999999",
    "\u{202e}",
    "订单",
    "{{",
    "}}",
];

fn pieces() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_is_loaded_or_refused(text in pieces(), raw in any::<String>()) {
        drop(load_one(&set(&text)));
        drop(load_one(&text));
        drop(load_one(&raw));
        drop(load_one(&format!("{}rules:\n  - id: WXP-1001\n    when: {text}\n", set(""))));
        drop(load_one(&format!("{}rules:\n  - id: WXP-1001\n    message: \"{raw}\"\n", set(""))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// A piece of a starter file cut out, put in twice, or replaced.
    #[test]
    fn a_damaged_starter_file_is_loaded_or_refused(
        which in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        len in 0_usize..80,
        with in prop_oneof![Just(String::new()), pieces().prop_map(|p| p.chars().take(12).collect::<String>())],
    ) {
        let files = starter();
        let names: Vec<&str> = files.iter().map(|(path, _)| path).collect();
        let name = names[which.index(names.len())];
        let chars: Vec<char> = files.text(name).unwrap().chars().collect();
        let from = from.index(chars.len());
        let to = (from + len).min(chars.len());
        let damaged: String = chars[..from].iter().copied().chain(with.chars()).chain(chars[to..].iter().copied()).collect();
        let name = name.to_owned();
        drop(load(&files.with(name, damaged), NOON));
    }
}

#[test]
fn what_is_made_to_be_slow_is_refused_quickly() {
    let long = |piece: &str| piece.repeat(200_000 / piece.len());
    let rule =
        |n: usize| format!("  - {{ id: WXP-{n:06}, title: t, when: 'has(event.attach)', action: flag, reason: r }}\n");
    let keys: String = (0..20_000).map(|n| format!("k{n}: 1\n")).collect();
    let doubling: String = (1..40).map(|n| format!("  - {{ name: m{n}, expr: m{} || m{} }}\n", n - 1, n - 1)).collect();
    let texts = [
        long("["),
        long("{a: "),
        long("- "),
        long("? "),
        long("a: b: "),
        long("\"\\u0041"),
        format!("x: {}", long("'")),
        format!("x: |\n{}", long(" \n")),
        keys,
        format!("rules:\n{}", (0..9000).map(rule).collect::<String>()),
        format!(
            "macros:\n  - {{ name: m0, expr: has(event.attach) }}\n{doubling}rules:\n  - {{ id: WXP-1001, title: t, when: m39, action: flag, reason: r }}\n"
        ),
        "x".repeat(2_000_000),
    ];
    for text in texts {
        let begun = Instant::now();
        drop(load_one(&set(&text)));
        drop(load_one(&text));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?} for {}", &text[..40]);
    }
}

#[test]
fn expressions_that_cost_too_much_together_are_refused() {
    let part = "event.subject.orValue(\"\").matches(\"a.*b.*c\")";
    let when = [part; 12].join(" || ");
    let rule = |n: usize| {
        format!(
            "  - {{ id: WXP-{n:04}, title: t, when: '{when} || local.hour == {n}', action: flag, reason: r, mode: shadow }}\n"
        )
    };
    let body = format!("rules:\n{}", (1000..1800).map(rule).collect::<String>());
    let problems = load_one(&set(&body)).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].code.name(), "WXL210", "{}", problems[0]);
}

#[test]
fn included_files_go_in_no_circle_and_not_too_deep() {
    let rules = set(
        "include: [./a/0.yaml]\nrules:\n  - { id: WXP-1001, title: t, when: has(event.attach), action: flag, reason: r, mode: shadow }\n",
    );
    let part = |next: &str| {
        format!("apiVersion: wxgate.rules/v1\nkind: Macros\nname: part\nversion: 1\ninclude: [{next}]\nmacros: []\n")
    };
    let circle = Files::new("").with("shop.yaml", rules.clone()).with("a/0.yaml", part("./0.yaml"));
    let told = load(&circle, NOON).unwrap_err()[0].to_string();
    assert!(told.contains("in a circle: shop.yaml > a/0.yaml > a/0.yaml [WXL010]"), "{told}");
    let deep = (0..6).fold(Files::new("").with("shop.yaml", rules), |files, n| {
        files.with(format!("a/{n}.yaml"), part(&format!("./{}.yaml", n + 1)))
    });
    let deep = deep.with("a/6.yaml", part("").replace("include: []\n", ""));
    let told = load(&deep, NOON).unwrap_err()[0].to_string();
    assert!(told.contains("more than 4 deep [WXL010]"), "{told}");
}
