//! XML as JSON (protocol 3.7): the root is dropped; an element without children is its text, a string that may be empty;
//! one with children is an object; siblings of one name are an array, in their order, where the first of them stood. All
//! scalars stay strings: XML says nothing of numbers, and a number of 20 digits survives.

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

use super::Element;

impl Element<'_> {
    /// The JSON of what is in this element, compact. A root without children is an empty object: documents are objects.
    pub(in crate::wechat) fn to_json(&self) -> Vec<u8> {
        if self.children().is_empty() {
            return b"{}".to_vec();
        }
        serde_json::to_vec(self).expect("an element is strings, arrays and objects with string keys")
    }
}

impl Serialize for Element<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(text) = self.text() {
            return serializer.serialize_str(text);
        }
        let children = self.children();
        let mut members = serializer.serialize_map(None)?;
        for (place, child) in children.iter().enumerate() {
            let is_named = |sibling: &&Element<'_>| sibling.name == child.name;
            if children.iter().take(place).any(|earlier| is_named(&earlier)) {
                continue;
            }
            if children.iter().filter(is_named).nth(1).is_some() {
                members.serialize_entry(child.name, &Siblings(children, child.name))?;
            } else {
                members.serialize_entry(child.name, child)?;
            }
        }
        members.end()
    }
}

/// Those of one name.
struct Siblings<'a>(&'a [Element<'a>], &'a str);

impl Serialize for Siblings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut items = serializer.serialize_seq(None)?;
        for element in self.0.iter().filter(|element| element.name == self.1) {
            items.serialize_element(element)?;
        }
        items.end()
    }
}
