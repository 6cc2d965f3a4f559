#![allow(clippy::arithmetic_side_effects, clippy::format_push_string)] // a test may fail

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn formatted(text: &str) -> String {
    canonical("rules.yaml", text).unwrap_or_else(|error| panic!("{error}\n---\n{text}"))
}

#[test]
fn keys_have_an_order_and_comments_stay_with_what_they_stand_at() {
    let written = "# What the file is about.

kind: RuleSet   # of rules
apiVersion:   wxgate.rules/v1
name: 'shop'


version: 1
schema: pay-v3
rules:
# the first
-   when:   paid
    id: WXP-1001 # by number
    # why it is called so
    title: >-
        Long words

        and more
    tests:
    - {expect: {fires: true}, name: one, event: {amount: {total: 5}}}
    - name: two   # last
      expect: { fires: false }
      # - name: three

# between
macros: [ {name: paid, expr: 'event.kind == Kind.TRANSACTION && event.trade_state == TradeState.SUCCESS && has(order)'},
  { name: \"n\", expr: now }]
# the end
";
    let expected = "# What the file is about.

apiVersion: wxgate.rules/v1
kind: RuleSet  # of rules
name: 'shop'

version: 1
schema: pay-v3

# between
macros:
  - { name: paid, expr: 'event.kind == Kind.TRANSACTION && event.trade_state == TradeState.SUCCESS && has(order)' }
  - { name: \"n\", expr: now }
";
    let told = formatted(written);
    let (head, rules) = told.split_at(told.find("rules:\n").unwrap());
    assert_eq!(head, expected);
    assert_eq!(
        rules,
        "rules:
  # the first
  - id: WXP-1001  # by number
    # why it is called so
    title: >-
      Long words

      and more
    when: paid
    tests:
      - { name: one, event: { amount: { total: 5 } }, expect: { fires: true } }
      - name: two  # last
        expect: { fires: false }
        # - name: three
# the end
"
    );
    assert_eq!(formatted(&told), told);
}

#[test]
fn odd_texts_are_kept_or_the_file_is_left_alone() {
    for (text, expected) in [
        ("a: {}\nb: []\nc:\nd: ~\n", "a: {}\nb: []\nc:\nd: ~\n"),
        ("a: |2\n    x\n   y\n", "a: |2\n    x\n   y\n"),
        ("a: |+\n  x\n\nb: 1\n", "a: |+\n  x\n\nb: 1\n"),
        ("a: plain\n     goes on # c\n", "a: plain\n  goes on  # c\n"),
        ("a: 'it''s # no comment'\n", "a: 'it''s # no comment'\n"),
        ("a: x#y # z\n", "a: x#y  # z\n"),
        ("---\na: 1\n", "a: 1\n"),
        ("\u{feff}a: 1\r\nb: 2\r\n", "a: 1\nb: 2\n"),
        ("l:\n- - a\n  - b\n-\n  - c\n", "l:\n  - - a\n    - b\n  - - c\n"),
        ("l: [a, # one\n  b]\n", "l:\n  - a  # one\n  - b\n"),
        ("l:\n- >-\n  x\n  # no comment\n- y\n", "l:\n  - >-\n    x\n    # no comment\n  - y\n"),
    ] {
        match canonical("a.yaml", text) {
            Ok(told) => assert_eq!(told, expected, "{text}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
    assert!(matches!(canonical("a.yaml", "a: [1"), Err(CanonicalError::Unread(_))));
    assert!(matches!(canonical("a.yaml", "a: &x 1\n"), Err(CanonicalError::Unread(_))));
}

#[test]
fn the_starter_rules_have_a_form_that_says_the_same_and_is_stable() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    for name in ["message-core", "order-risk", "payment-core", "payment-risk", "refund-risk", "transfer-core"] {
        let text = std::fs::read_to_string(dir.join(format!("{name}.yaml"))).unwrap();
        let told = formatted(&text);
        assert_eq!(formatted(&told), told, "{name}");
    }
}

/// Writes documents in all manners that YAML has and rule files use.
struct Scribe {
    dice: u64,
    out: String,
}

impl Scribe {
    fn below(&mut self, most: u64) -> usize {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.dice >> 33) % most).unwrap()
    }

    fn pick<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.below(u64::try_from(words.len()).unwrap())]
    }

    fn comments(&mut self, indent: usize) {
        for _ in 0..self.below(6).saturating_sub(3) {
            let gap = "\n".repeat(self.below(3).saturating_sub(1));
            let odd = self.below(4).saturating_sub(2);
            let word = self.pick(&["# note", "#", "# - a: b", "#x", "# 付款 'quoted"]);
            self.out.push_str(&format!("{gap}{}{word}\n", " ".repeat(indent + odd)));
        }
        if self.below(6) == 0 {
            self.out.push('\n');
        }
    }

    /// The end of a line.
    fn end(&mut self) {
        let end = self.pick(&["", "", "", " # trail", "   #", "  "]);
        self.out.push_str(end);
        self.out.push('\n');
    }

    fn scalar(&mut self) -> &'static str {
        self.pick(&[
            "1",
            "word",
            "two words",
            "'it''s'",
            "\"a # b\"",
            "'# none'",
            "x#y",
            "~",
            "true",
            "\"\\u4ed8 \\\"q\\\"\"",
            "付款",
            "\"1900000001\"",
            "10m",
            "event.amount.total > yuan(5)",
            "-1",
            "a:b",
            "'{{x | yuan}}'",
        ])
    }

    fn flow(&mut self, depth: usize) -> String {
        let count = self.below(4);
        let gap = self.pick(&["", " ", "  "]);
        if depth == 0 || self.below(3) == 0 {
            return self.scalar().to_owned();
        }
        let parts: Vec<String> = (0..count).map(|_| self.flow(depth - 1)).collect();
        if self.below(2) == 0 {
            return format!("[{gap}{}{gap}]", parts.join(","));
        }
        let entries: Vec<String> = parts.iter().enumerate().map(|(n, part)| format!("k{n}: {part}")).collect();
        format!("{{{gap}{}{gap}}}", entries.join(",  "))
    }

    fn value(&mut self, indent: usize, depth: usize) {
        let step = 1 + self.below(4);
        match self.below(if depth == 0 { 5 } else { 9 }) {
            0 => {
                let flow = self.flow(3);
                self.out.push_str(&format!(" {flow}"));
                self.end();
            }
            1 => {
                let header = self.pick(&[">-", "|", ">", "|-"]);
                self.out.push_str(&format!(" {header}"));
                self.end();
                let lead = " ".repeat(indent + step);
                let text = self.pick(&["one\n", "one\n# two\n", "one\n\n  deeper\nthree\n", "- a: b\n"]);
                for line in text.lines() {
                    self.out.push_str(&if line.is_empty() { "\n".to_owned() } else { format!("{lead}{line}\n") });
                }
            }
            2 => {
                let more = " ".repeat(indent + step);
                let text = self.pick(&["goes\nMon", "'quoted\nMon'", "\"double\nMon\""]).replace('M', &more);
                self.out.push_str(&format!(" {text}"));
                self.end();
            }
            3 | 4 => {
                let scalar = self.scalar();
                self.out.push_str(&format!(" {scalar}"));
                self.end();
            }
            5 | 6 => {
                self.end();
                self.sequence(indent + step, depth - 1);
            }
            _ => {
                self.end();
                self.mapping(indent + step, depth - 1, false);
            }
        }
    }

    fn sequence(&mut self, indent: usize, depth: usize) {
        for _ in 0..=self.below(3) {
            self.comments(indent);
            self.out.push_str(&format!("{}-", " ".repeat(indent)));
            if depth > 0 && self.below(2) == 0 {
                self.out.push(' ');
                self.mapping(indent + 2, depth - 1, true);
            } else {
                self.value(indent, depth);
            }
        }
    }

    fn mapping(&mut self, indent: usize, depth: usize, mut is_begun: bool) {
        let names = ["tests", "name", "id", "rules", "when", "'quoted'", "title", "other", "kind"];
        let first = self.below(9);
        for number in 0..=self.below(4) {
            if !std::mem::take(&mut is_begun) {
                self.comments(indent);
                self.out.push_str(&" ".repeat(indent));
            }
            self.out.push_str(&format!("{}:", names[(first + number) % names.len()]));
            self.value(indent, depth);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_document_keeps_what_it_says_and_its_form_is_stable(dice in any::<u64>()) {
        let mut scribe = Scribe { dice, out: String::new() };
        let depth = scribe.below(5);
        scribe.mapping(0, depth, false);
        scribe.comments(0);
        let text = scribe.out;
        let read = read("a.yaml", &text);
        prop_assume!(read.is_ok());
        // `canonical` compares values and comments itself.
        let told = match canonical("a.yaml", &text) {
            Ok(told) => told,
            Err(error) => return Err(TestCaseError::fail(format!("{error}\n{text}"))),
        };
        let again = canonical("a.yaml", &told).map_err(|error| TestCaseError::fail(format!("{error}\n{text}\n---\n{told}")))?;
        prop_assert_eq!(&again, &told, "of\n{}", text);
        prop_assert!(!told.lines().any(|line| line.ends_with(' ')) , "{}", told);
    }

    #[test]
    fn any_text_is_answered(text in "[ -~\n\t#:'\"|>{}\\[\\]付-]{0,120}") {
        let _ = canonical("a.yaml", &text);
    }
}
