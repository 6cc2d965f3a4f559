//! Any text at all is an expression or a list of mistakes, never a panic; what compiles, evaluates.

use proptest::prelude::*;

use super::*;

/// Pieces that expressions are made of, so that random texts get past the parser now and then.
const PIECES: [&str; 60] = [
    "paid",
    "refunded",
    "round",
    "event",
    "event.kind",
    "event.amount.total",
    "event.attach",
    "order",
    "order.client_ip",
    "client.ip",
    "now",
    "local.hour",
    "local.date",
    "counter.pays_10m",
    "counter.refund_rate",
    "counter.seen_openid.is_first",
    "list.our_mchids",
    "list.wx_ranges",
    "list.no_trade",
    "route.allowed_trade_types",
    "Kind.REFUND",
    "TradeState.SUCCESS",
    "&&",
    "||",
    "!",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "?",
    ":",
    "in",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    "has(",
    "yuan(5)",
    "fen(",
    "ratio(1, 5)",
    "duration(\"1h\")",
    "cidr(\"10.0.0.0/8\")",
    ".orValue(",
    ".matches(\"a+\")",
    ".startsWith(",
    "\"微信\"",
    "'x\\n'",
    "9223372036854775807",
    "-1",
];

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec((prop::sample::select(&PIECES[..]), prop::sample::select(&["", " ", "\n"][..])), 0..24)
        .prop_map(|pieces| pieces.into_iter().flat_map(|(piece, space)| [piece, space]).collect())
}

fn whatever(text: &str) {
    let scope = scope();
    for want in [Want::Condition, Want::Number, Want::Key, Want::Any] {
        match compile(text, &scope, want) {
            Ok(expr) => {
                assert!(expr.cost() <= MAX_COST);
                for event in [payment(), refund(), Event::default()] {
                    let world = World { order: Some(order()), ..World::of(event) };
                    world.with(|env| {
                        let (_, _) = (expr.holds(env), expr.number(env));
                        let (_, _) = (expr.value(env).map(|value| value.to_string()), expr.explain(&scope, env));
                    });
                }
            }
            Err(problems) => {
                assert!(!problems.is_empty(), "refused without a word: {text:?}");
                for problem in problems {
                    let (start, end) = (problem.span.start as usize, problem.span.end as usize);
                    assert!(text.get(start..end).is_some(), "{text:?}: {problem:?} points beside the text");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        whatever(&text);
    }

    #[test]
    fn any_signs_are_answered(text in "[ -~\\n“，微]{0,60}") {
        whatever(&text);
    }

    #[test]
    fn any_pieces_are_answered(text in pieces()) {
        whatever(&text);
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_costs() {
    let deep = |open: &str, close: &str, times: usize| format!("{}paid{}", open.repeat(times), close.repeat(times));
    let scope = scope();
    for text in [
        "a".repeat(MAX_TEXT + 1),
        deep("(", ")", 33),
        deep("(", ")", 900),
        deep("!(", ")", 600),
        vec!["1"; 500].join("+"),
        deep("has(", ")", 100),
        deep("[", "]", 500),
    ] {
        let problems = compile(&text, &scope, Want::Condition).unwrap_err();
        assert!(problems.iter().any(|problem| problem.code == Code::TooLarge), "{}: {problems:?}", &text[..40]);
    }
    for text in [
        format!("{} == 1", vec!["1"; 190].join("+")),
        format!("1 == {}1", "-".repeat(300)),
        format!("{}paid", "!".repeat(300)),
        format!("event{} == 1", ".a".repeat(190)),
        "paid ? ".repeat(150),
        format!("{}true", "paid ? true : ".repeat(90)),
        vec!["paid"; 190].join(" && "),
        "((((((((".to_owned(),
        ".".repeat(300),
        "paid".to_owned() + &".lower()".repeat(90),
    ] {
        let _ = compile(&text, &scope, Want::Condition);
    }
}

#[test]
fn macros_that_multiply_run_into_the_bound() {
    let mut scope = scope();
    scope.add_macro("m0", &["paid"; 30].join(" && ")).unwrap();
    for depth in 1..7 {
        let below = format!("m{}", depth - 1);
        scope.add_macro(&format!("m{depth}"), &vec![below.as_str(); 30].join(" || ")).unwrap();
    }
    let problems = compile("m6", &scope, Want::Condition).unwrap_err();
    assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [Code::TooLarge]);
}
