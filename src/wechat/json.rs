//! Strict JSON, read once: what is checked and what is taken come from the same pass, so that no second parser can see
//! something else (protocol 1.7 and 6.16). No duplicate names at any depth, also not after unescaping; no depth beyond
//! [`MAX_DEPTH`]; no BOM, no trailing bytes; integers exact.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of objects and arrays.
const MAX_DEPTH: usize = 64;
/// Members up to which names are compared one by one; beyond, a hash set is cheaper.
const FEW: usize = 16;

/// Not the JSON that the protocol asks for. Says where, never what: the text may be personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at line {line}, column {column}")]
pub struct JsonError {
    fault: &'static str,
    line: usize,
    column: usize,
}

/// Where a value stands: the names of the object members that lead to it, from the outermost in. Of arrays only those
/// count that are members of the document; values inside others are checked, but stand nowhere.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    /// A member of the document itself.
    Top(&'a str),
    /// A member of an object that is a member of the document.
    In(&'a str, &'a str),
    /// An element of an array that is a member of the document.
    Each(&'a str),
    /// A member of such an element.
    OfEach(&'a str, &'a str),
    /// A member of an object that is a member of such an element.
    InEach(&'a str, &'a str, &'a str),
    /// The document, or anything deeper.
    Elsewhere,
}

/// Takes the values that it wants as the reader passes them.
pub(super) trait Take<'de> {
    /// A string.
    fn text(&mut self, at: At<'_>, value: Cow<'de, str>);
    /// A whole number.
    fn integer(&mut self, _at: At<'_>, _value: i64) {}
    /// A whole number beyond `i64`: an id of WeChat's, for no amount is.
    fn large(&mut self, at: At<'_>, _value: u64) {
        self.other(at);
    }
    /// True or false.
    fn flag(&mut self, at: At<'_>, _value: bool) {
        self.other(at);
    }
    /// Any other value but null: one that has no text and no exact number, or consists of others.
    fn other(&mut self, _at: At<'_>) {}
}

/// Reads the whole of `bytes`, which must be one JSON object.
pub(super) fn read<'de>(bytes: &'de [u8], take: &mut impl Take<'de>) -> Result<(), JsonError> {
    let fault = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Value { take, at: At::Elsewhere, depth: 0, fault: &fault };
    value.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|error| JsonError {
        fault: fault.get().unwrap_or(match error.classify() {
            serde_json::error::Category::Eof => "the text ends too early",
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Data
            | serde_json::error::Category::Io => "no JSON",
        }),
        line: error.line(),
        column: error.column(),
    })
}

/// One value, wherever it stands.
struct Value<'a, T> {
    take: &'a mut T,
    at: At<'a>,
    depth: usize,
    fault: &'a Cell<Option<&'static str>>,
}

impl<T> Value<'_, T> {
    fn refuse<E: serde::de::Error>(&self, fault: &'static str) -> E {
        self.fault.set(Some(fault));
        E::custom(fault)
    }

    /// One level deeper.
    fn inside(&self) -> Option<usize> {
        self.depth.checked_add(1).filter(|depth| *depth <= MAX_DEPTH)
    }

    /// Only an object may stand alone: the protocol's documents are objects.
    fn scalar<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth == 0 { Err(self.refuse("the document is no object")) } else { Ok(()) }
    }
}

impl<'de, T: Take<'de>> DeserializeSeed<'de> for Value<'_, T> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Take<'de>> Visitor<'de> for Value<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("strict JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.scalar()?;
        self.take.flag(self.at, value);
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, _value: f64) -> Result<(), E> {
        self.scalar()?;
        self.take.other(self.at);
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.scalar()?;
        self.take.integer(self.at, value);
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.scalar()?;
        match i64::try_from(value) {
            Ok(value) => self.take.integer(self.at, value),
            Err(_) => self.take.large(self.at, value),
        }
        Ok(())
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<(), E> {
        self.scalar()?;
        self.take.text(self.at, Cow::Borrowed(value));
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.scalar()?;
        self.take.text(self.at, Cow::Owned(value.to_owned()));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.scalar()?;
        let depth = self.inside().ok_or_else(|| self.refuse("nested too deep"))?;
        self.take.other(self.at);
        let at = match self.at {
            At::Top(list) => At::Each(list),
            At::In(..) | At::Each(_) | At::OfEach(..) | At::InEach(..) | At::Elsewhere => At::Elsewhere,
        };
        while items.next_element_seed(Value { take: &mut *self.take, at, depth, fault: self.fault })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let depth = self.inside().ok_or_else(|| self.refuse("nested too deep"))?;
        self.take.other(self.at);
        let mut names = Names::default();
        while let Some(name) = members.next_key_seed(Name)? {
            let at = match (self.depth, self.at) {
                (0, _) => At::Top(&name),
                (_, At::Top(parent)) => At::In(parent, &name),
                (_, At::Each(list)) => At::OfEach(list, &name),
                (_, At::OfEach(list, parent)) => At::InEach(list, parent, &name),
                (_, At::In(..) | At::InEach(..) | At::Elsewhere) => At::Elsewhere,
            };
            members.next_value_seed(Value { take: &mut *self.take, at, depth, fault: self.fault })?;
            if !names.insert(name) {
                return Err(A::Error::custom(self.refuse::<serde_json::Error>("a name stands twice in one object")));
            }
        }
        Ok(())
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// The names of one object so far.
#[derive(Default)]
struct Names<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    /// False if the name is there already.
    fn insert(&mut self, name: Cow<'de, str>) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(name);
        }
        if self.few.contains(&name) {
            return false;
        }
        self.few.push(name);
        if self.few.len() > FEW {
            self.many.extend(self.few.drain(..));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Seen(Vec<(String, String)>);

    impl<'de> Take<'de> for Seen {
        fn text(&mut self, at: At<'_>, value: Cow<'de, str>) {
            self.0.push((place(at), value.into_owned()));
        }

        fn integer(&mut self, at: At<'_>, value: i64) {
            self.0.push((place(at), value.to_string()));
        }
    }

    fn place(at: At<'_>) -> String {
        match at {
            At::Top(name) => name.to_owned(),
            At::In(parent, name) => format!("{parent}.{name}"),
            At::Each(list) => format!("{list}[]"),
            At::OfEach(list, name) => format!("{list}[].{name}"),
            At::InEach(list, parent, name) => format!("{list}[].{parent}.{name}"),
            At::Elsewhere => "-".to_owned(),
        }
    }

    fn seen(text: &str) -> Result<Vec<(String, String)>, JsonError> {
        let mut seen = Seen::default();
        read(text.as_bytes(), &mut seen).map(|()| seen.0)
    }

    #[test]
    fn values_come_with_their_places_and_integers_are_exact() {
        let got = seen(r#"{"a":"x","b":{"c":9007199254740993,"d":{"e":"deep"}},"f":["in"],"\u0067":"esc\n"}"#).unwrap();
        let want = [("a", "x"), ("b.c", "9007199254740993"), ("-", "deep"), ("f[]", "in"), ("g", "esc\n")];
        assert_eq!(got, want.map(|(place, value)| (place.to_owned(), value.to_owned())));
        let got = seen(r#"{"f":[{"a":1,"b":{"c":2,"d":{"e":3}},"g":[4]},[5]],"h":{"i":[6]}}"#).unwrap();
        let want = [("f[].a", "1"), ("f[].b.c", "2"), ("-", "3"), ("-", "4"), ("-", "5"), ("-", "6")];
        assert_eq!(got, want.map(|(place, value)| (place.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":[{"a":1,"a":2}]}"#,
            "\u{feff}{}",
            "{} x",
            "{}{}",
            "[]",
            "1",
            "\"text\"",
            "null",
            "",
            "{",
            r#"{"a":NaN}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":01}"#,
            "{'a':1}",
            r#"{"a":1,}"#,
        ] {
            assert!(seen(text).is_err(), "{text}");
        }
        assert!(read(b"{\"a\":\"\xff\"}", &mut Seen::default()).is_err());
        let many = (0..40).fold(String::new(), |many, n| format!("{many}\"k{n}\":0,"));
        assert!(seen(&format!("{{{many}\"k3\":1}}")).is_err(), "a duplicate among many names");
        assert!(seen(&format!("{{{many}\"k\":1}}")).is_ok());
    }

    #[test]
    fn depth_is_bounded_exactly() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(seen(&nested(MAX_DEPTH)).is_ok());
        let error = seen(&nested(MAX_DEPTH + 1)).unwrap_err();
        assert_eq!(error.fault, "nested too deep");
        assert!(seen(&nested(100_000)).is_err());
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::hash_map(".{0,6}", inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn any_object() -> impl Strategy<Value = serde_json::Value> {
        prop::collection::hash_map("[a-d\"\\\\é]{0,2}", any_json(), 0..6)
            .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
    }

    /// What [`Seen`] is to see of a document, walked by other code.
    fn walked(document: &serde_json::Value) -> Vec<(String, String)> {
        fn walk(
            value: &serde_json::Value,
            place: Option<&str>,
            (depth, listed): (usize, bool),
            seen: &mut Vec<(String, String)>,
        ) {
            let deeper = depth.saturating_add(1);
            match value {
                serde_json::Value::String(text) => seen.push((place.unwrap_or("-").to_owned(), text.clone())),
                serde_json::Value::Number(number) if number.is_i64() => {
                    seen.push((place.unwrap_or("-").to_owned(), number.to_string()));
                }
                serde_json::Value::Array(items) => {
                    let place = place.filter(|_| (depth, listed) == (1, false)).map(|list| format!("{list}[]"));
                    for item in items {
                        walk(item, place.as_deref(), (deeper, true), seen);
                    }
                }
                serde_json::Value::Object(members) => {
                    for (name, member) in members {
                        let place = match (depth, listed, place) {
                            (0, _, _) => Some(name.clone()),
                            (1, false, Some(parent)) | (2 | 3, true, Some(parent)) => Some(format!("{parent}.{name}")),
                            _ => None,
                        };
                        walk(member, place.as_deref(), (deeper, listed), seen);
                    }
                }
                serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
            }
        }
        let mut seen = Vec::new();
        walk(document, None, (0, false), &mut seen);
        seen
    }

    proptest! {
        #[test]
        fn whatever_serde_json_writes_is_read(value in any_json()) {
            let text = value.to_string();
            prop_assert_eq!(seen(&text).is_ok(), value.is_object());
        }

        #[test]
        fn what_is_taken_is_what_serde_json_reads(value in any_object(), spaces in "[ \n\t\r]{0,3}") {
            let text = format!("{spaces}{value:#}{spaces}");
            prop_assert_eq!(seen(&text).unwrap(), walked(&value));
        }

        /// Bytes of JSON with a few changed are JSON often enough to compare what both accept.
        #[test]
        fn it_accepts_what_serde_json_accepts_but_doubles_and_depth(
            value in any_object(),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let mut bytes = value.to_string().into_bytes();
            for (place, byte) in edits {
                let at = place.index(bytes.len());
                bytes[at] = byte;
            }
            let theirs = serde_json::from_slice::<serde_json::Value>(&bytes);
            let mut ours = Seen::default();
            match (read(&bytes, &mut ours), theirs) {
                (Ok(()), Ok(theirs)) => {
                    // What is read in the order of the text is walked in the order of the map.
                    let mut walked = walked(&theirs);
                    walked.sort();
                    ours.0.sort();
                    prop_assert_eq!(ours.0, walked);
                }
                (Ok(()), Err(error)) => prop_assert!(false, "accepted what serde_json refuses: {error}"),
                (Err(error), Ok(theirs)) => {
                    let is_stricter = !theirs.is_object() || error.fault.contains("twice");
                    prop_assert!(is_stricter, "refused: {error}");
                }
                (Err(_), Err(_)) => {}
            }
        }

        #[test]
        fn no_bytes_make_it_panic_and_none_pass_that_serde_json_refuses(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if read(&bytes, &mut Seen::default()).is_ok() {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
            }
        }
    }
}
