//! The readers that all protocols share, and what holds of whatever they accept.

use std::borrow::Cow;

use crate::wechat::json::{self as strict, At, Take};
use crate::wechat::query::Query;
use crate::wechat::xml::{self as reader, Element, MAX_CHILDREN, MAX_DEPTH, MAX_ELEMENTS};

/// Deepest nesting of strict JSON.
const MAX_JSON_DEPTH: usize = 64;

/// Anything as XML. What is accepted is small, flat and nowhere longer than its source, and is strict JSON afterwards.
pub fn xml(data: &[u8]) {
    let Ok(root) = reader::read(data) else { return };
    let mut shape = Shape::default();
    shape.measure(&root, 1);
    assert!(shape.depth <= MAX_DEPTH && shape.elements <= MAX_ELEMENTS && shape.children <= MAX_CHILDREN);
    assert!(shape.text <= data.len(), "something expanded");
    let json = root.to_json();
    assert!(json.len() <= 2 * data.len() + 2, "{} bytes of XML became {} of JSON", data.len(), json.len());
    let mut taken = Taken::default();
    assert_eq!(strict::read(&json, &mut taken), Ok(()), "XML became JSON that is not strict");
    if !root.children().is_empty() {
        assert_eq!(taken.text, shape.text, "a text was lost");
    }
}

#[derive(Default)]
struct Shape {
    depth: usize,
    elements: usize,
    children: usize,
    text: usize,
}

impl Shape {
    fn measure(&mut self, element: &Element<'_>, depth: usize) {
        self.depth = self.depth.max(depth);
        self.elements += 1;
        self.children = self.children.max(element.children().len());
        self.text += element.text().map_or(0, str::len);
        element.children().iter().for_each(|child| self.measure(child, depth + 1));
        assert!(element.text().is_some() == element.children().is_empty(), "text beside elements");
    }
}

/// Anything as JSON. What is accepted, `serde_json` accepts as an object, and it is not deep.
pub fn json(data: &[u8]) {
    let mut taken = Taken::default();
    if strict::read(data, &mut taken).is_err() {
        return;
    }
    let value: serde_json::Value = serde_json::from_slice(data).expect("strict JSON is JSON");
    assert!(value.is_object() && depth(&value) <= MAX_JSON_DEPTH);
    assert!(taken.text <= data.len(), "something expanded");
    // Of two members of one name `serde_json` keeps one.
    assert_eq!(taken.values, values(&value), "a name stood twice, or a value was lost");
    assert!(!data.starts_with("\u{feff}".as_bytes()), "a BOM passed");
}

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        serde_json::Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => 0,
    }
}

/// Values that are not null, the document among them.
fn values(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Null => 0,
        serde_json::Value::Array(items) => 1 + items.iter().map(values).sum::<usize>(),
        serde_json::Value::Object(members) => 1 + members.values().map(values).sum::<usize>(),
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) | serde_json::Value::String(_) => 1,
    }
}

/// How much was told.
#[derive(Default)]
struct Taken {
    /// Bytes of all texts.
    text: usize,
    /// Values that are not null.
    values: usize,
}

impl<'de> Take<'de> for Taken {
    fn text(&mut self, _at: At<'_>, value: Cow<'de, str>) {
        self.text += value.len();
        self.values += 1;
    }

    fn integer(&mut self, _at: At<'_>, _value: i64) {
        self.values += 1;
    }

    fn other(&mut self, _at: At<'_>) {
        self.values += 1;
    }
}

/// Anything as a query. Nothing in it is longer than it, and decoding is done once.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(query) = Query::parse(text) else { return };
    for name in ["signature", "timestamp", "nonce", "echostr", "encrypt_type", "msg_signature"] {
        let named = query.at_most_once(name);
        if let Ok(Some(value)) = named {
            assert!(value.len() <= text.len());
            // What is not encoded is taken as it is.
            assert!(text.contains('%') || text.contains(value));
        }
        assert_eq!(query.once(name).is_ok(), matches!(named, Ok(Some(value)) if !value.is_empty()));
    }
}
