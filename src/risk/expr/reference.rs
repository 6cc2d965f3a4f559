//! The language as data, for messages, for editors and for the reference in `docs/expressions.md`, which is this rendered.

use std::fmt::Write as _;

use crate::risk::schema::{EnumType, FIELDS, Field, Kind, Kinds, Presence, Type};

/// A function or method.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// How it is written.
    pub forms: &'static [&'static str],
    /// The type of what it gives.
    pub gives: &'static str,
    /// One sentence for the reference.
    pub about: &'static str,
}

const fn function(
    name: &'static str,
    forms: &'static [&'static str],
    gives: &'static str,
    about: &'static str,
) -> Function {
    Function { name, forms, gives, about }
}

/// All of them, in the order of the reference.
pub static FUNCTIONS: [Function; 15] = [
    function(
        "has",
        &["has(field)"],
        "Bool",
        "Whether a field is there; whether a ratio's counter has enough to mean anything.",
    ),
    function("orValue", &["field.orValue(other)"], "the field's", "The field, or `other` if it is absent."),
    function("fen", &["fen(n)"], "Fen", "Money of so many fen."),
    function("yuan", &["yuan(n)"], "Fen", "Money of so many yuan."),
    function(
        "ratio",
        &["ratio(a, b)"],
        "Ratio",
        "The fraction a/b; compared with others exactly, by cross multiplication.",
    ),
    function(
        "duration",
        &["duration(\"10m\")"],
        "Duration",
        "A length of time: whole numbers of `ms`, `s`, `m`, `h`, `d` in a row.",
    ),
    function("timestamp", &["timestamp(\"2026-03-01T12:00:00+08:00\")"], "Time", "A moment, as RFC 3339 writes it."),
    function("ip", &["ip(\"203.0.113.9\")"], "Ip", "An address."),
    function("cidr", &["cidr(\"203.0.113.0/24\")"], "Cidr", "A block of addresses, for `in`."),
    function("size", &["size(text)", "text.size()"], "Int", "How many characters a text has."),
    function(
        "lower",
        &["lower(text)", "text.lower()"],
        "Text",
        "The text with the letters A to Z made small, no others.",
    ),
    function("startsWith", &["text.startsWith(start)"], "Bool", "Whether a text begins so."),
    function("endsWith", &["text.endsWith(end)"], "Bool", "Whether a text ends so."),
    function("contains", &["text.contains(part)"], "Bool", "Whether a text has that in it."),
    function(
        "matches",
        &["text.matches(\"pattern\")", "matches(text, \"pattern\")"],
        "Bool",
        "Whether a regular expression is found in a text; anchor it with `^` and `$`. Linear time, compiled at load.",
    ),
];

/// What an operator does between which types.
#[derive(Clone, Copy, Debug)]
pub struct OperatorUse {
    /// How it is written.
    pub written: &'static str,
    /// Which types it goes with.
    pub types: &'static str,
    /// What it gives, and what is special.
    pub gives: &'static str,
}

const fn operator(written: &'static str, types: &'static str, gives: &'static str) -> OperatorUse {
    OperatorUse { written, types, gives }
}

/// All operators, the loosest first.
pub static OPERATORS: [OperatorUse; 13] = [
    operator("when ? a : b", "a condition and two values of one type", "the value that the condition chooses"),
    operator("a || b", "conditions", "Bool; true if either is, whatever error the other has"),
    operator("a && b", "conditions", "Bool; false if either is, whatever error the other has"),
    operator("a == b, a != b", "two values of one type", "Bool"),
    operator("a < b, a <= b, a > b, a >= b", "Int, Fen, Text (by bytes), Time, Duration, Date, Ratio", "Bool"),
    operator("x in [a, b]", "a value among values of its type; an Ip among addresses and blocks", "Bool"),
    operator(
        "x in list.NAME",
        "Text and enums in a list of Text, Int and Fen in one of Int, Ip in one of Cidr",
        "Bool; of a list kept in the store x is a field",
    ),
    operator("ip in cidr(\"…\")", "Ip", "Bool"),
    operator("a + b, a - b", "Int, Fen, Duration; Time and Duration; Time - Time", "the same; Time; Duration"),
    operator("a * b", "Int; Fen or Duration with Int", "Int, Fen, Duration"),
    operator("a / b", "Int; Fen or Duration by Int or by its own type", "towards zero; by its own type Int"),
    operator("a % b", "Int, Fen, Duration", "the rest, with the sign of a"),
    operator("!a, -a", "conditions; Int, Fen, Duration", "the same type"),
];

/// Where the language means something else than CEL.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// Its name.
    pub name: &'static str,
    /// What differs and why.
    pub about: &'static str,
    /// An expression in which it shows.
    pub example: &'static str,
    /// The same for CEL over maps, where money is fen as a bare number.
    pub in_cel: &'static str,
}

const fn differs(name: &'static str, example: &'static str, in_cel: &'static str, about: &'static str) -> Difference {
    Difference { name, about, example, in_cel }
}

/// All intended differences. There is no other: `tests/differential.rs` beside this compares thousands of expressions.
pub static DIFFERENCES: [Difference; 14] = [
    differs(
        "absence",
        "event.attach == \"x\"",
        "event.attach == \"x\"",
        "A field that may be absent needs a guard when the rules are loaded; CEL fails when it meets the event.",
    ),
    differs(
        "presence",
        "has(order) || true",
        "has(order) || true",
        "`has` takes any field, also the group `order`; CEL only a field of something.",
    ),
    differs(
        "other value",
        "event.attach.orValue(\"\") == \"\"",
        "event.attach.orValue(\"\") == \"\"",
        "`field.orValue(x)` without CEL's `.?`.",
    ),
    differs(
        "money",
        "has(event.amount.total) && event.amount.total > 5000",
        "has(event.amount.total) && event.amount.total > 5000",
        "Money is `Fen`: beside a bare number it is refused.",
    ),
    differs("types", "event.id == 5", "event.id == 5", "Values of two types are refused; in CEL they are unequal."),
    differs(
        "members",
        "event.kind == \"PAYMENT\"",
        "event.kind == \"PAYMENT\"",
        "A text beside an enum must be one of its members; in CEL it is unequal for ever.",
    ),
    differs(
        "numbers",
        "1.5 < 2.0",
        "1.5 < 2.0",
        "Whole numbers only: no fractions, no unsigned numbers, no bytes, no `null`.",
    ),
    differs(
        "loops",
        "list.our_mchids.exists(m, m == \"1\")",
        "list.our_mchids.exists(m, m == \"1\")",
        "No `all`, `exists`, `filter`, `map`: an expression costs no more than its text.",
    ),
    differs(
        "maps",
        "{\"a\": 1}[\"a\"] == 1",
        "{\"a\": 1}[\"a\"] == 1",
        "No maps, messages, `[…]` or lists as values; a list stands behind `in`.",
    ),
    differs(
        "texts",
        "event.id + \"x\" == \"EV-1x\"",
        "event.id + \"x\" == \"EV-1x\"",
        "Texts are not put together, which would need memory for each event.",
    ),
    differs(
        "constants",
        "1 / 0 == 1",
        "1 / 0 == 1",
        "Arithmetic on literals that can only fail is refused when the rules are loaded.",
    ),
    differs(
        "patterns",
        "event.id.matches(event.type)",
        "event.id.matches(event.type)",
        "A pattern is a literal, compiled when the rules are loaded.",
    ),
    differs(
        "durations",
        "duration(\"1.5h\") > duration(\"1h\")",
        "duration(\"1.5h\") > duration(\"1h\")",
        "Durations are whole numbers of `d`, `h`, `m`, `s`, `ms`; days are ours, fractions are CEL's.",
    ),
    differs(
        "milliseconds",
        "timestamp(\"2026-03-01T00:00:00.0001Z\") == timestamp(\"2026-03-01T00:00:00Z\")",
        "timestamp(\"2026-03-01T00:00:00.0001Z\") == timestamp(\"2026-03-01T00:00:00Z\")",
        "Times are whole milliseconds.",
    ),
];

/// The reference of the language: fields, kinds, enums, operators, functions, differences.
pub fn markdown() -> String {
    let mut text = String::new();
    let mut table = |title: &str, head: &[&str], rows: Vec<Vec<String>>| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "### {title}\n\n| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
        for row in rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        text.push('\n');
    };
    let code = |text: &str| format!("`{}`", text.replace('|', "\\|"));
    let field = |field: &Field| {
        let about = if field.masked { format!("{} Shown masked.", field.about) } else { field.about.to_owned() };
        vec![code(field.path), field.ty.name().to_owned(), when(field.presence), about]
    };
    table("Fields", &["field", "type", "present", ""], FIELDS.iter().map(field).collect());
    let kind = |kind: Kind| vec![code(&format!("Kind.{}", kind.name())), kind.about().to_owned()];
    table("Kinds of event", &["kind", "what it is"], Kind::ALL.into_iter().map(kind).collect());
    let words = EnumType::ALL.into_iter().filter(|of| *of != EnumType::Kind);
    let row = |of: EnumType| vec![code(of.name()), of.members().join(", ")];
    table("Enums", &["enum", "members"], words.map(row).collect());
    let row = |of: &OperatorUse| vec![code(of.written), of.types.to_owned(), of.gives.to_owned()];
    table("Operators", &["operator", "between", "gives"], OPERATORS.iter().map(row).collect());
    let row = |of: &Function| {
        let forms: Vec<_> = of.forms.iter().map(|form| code(form)).collect();
        vec![forms.join(", "), of.gives.to_owned(), of.about.to_owned()]
    };
    table("Functions", &["function", "gives", ""], FUNCTIONS.iter().map(row).collect());
    let row = |of: &Difference| vec![of.name.to_owned(), of.about.to_owned(), code(of.example)];
    table("Differences from CEL", &["about", "what differs", "shows in"], DIFFERENCES.iter().map(row).collect());
    text
}

fn names(kinds: Kinds) -> String {
    kinds.iter().map(Kind::name).collect::<Vec<_>>().join(", ")
}

fn when(presence: Presence) -> String {
    match presence {
        Presence::Always => "always".to_owned(),
        Presence::Optional => "perhaps".to_owned(),
        Presence::With(group) => format!("with `{group}`"),
        Presence::ByKind { sure, perhaps } if perhaps.is_empty() => names(sure),
        Presence::ByKind { sure, perhaps } if sure.is_empty() => format!("perhaps in {}", names(perhaps)),
        Presence::ByKind { sure, perhaps } => format!("{}; perhaps in {}", names(sure), names(perhaps)),
    }
}

/// The same as data for editors: `fields`, each with `path`, `type`, `present`, `masked`, `about`, then `kinds`, `enums`
/// and `functions`.
pub fn json() -> serde_json::Value {
    let field = |field: &Field| {
        serde_json::json!({
            "path": field.path,
            "type": field.ty.name(),
            "present": when(field.presence),
            "masked": field.masked,
            "about": field.about,
            "members": match field.ty {
                Type::Enum(of) => of.members(),
                Type::Bool | Type::Int | Type::Fen | Type::Text | Type::Time | Type::Duration | Type::Date | Type::Ip
                | Type::Cidr | Type::Ratio | Type::List(_) | Type::Group => &[],
            },
        })
    };
    let function =
        |of: &Function| serde_json::json!({ "name": of.name, "forms": of.forms, "gives": of.gives, "about": of.about });
    serde_json::json!({
        "fields": FIELDS.iter().map(field).collect::<Vec<_>>(),
        "kinds": Kind::ALL.map(|kind| serde_json::json!({ "name": kind.name(), "about": kind.about() })),
        "enums": EnumType::ALL.map(|of| serde_json::json!({ "name": of.name(), "members": of.members() })),
        "functions": FUNCTIONS.iter().map(function).collect::<Vec<_>>(),
    })
}
