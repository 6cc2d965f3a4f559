//! The functions, as data for messages and for the reference in `docs/rules.md`.

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
