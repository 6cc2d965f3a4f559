//! The children of a document as what they are signed as: named texts in the order of their names.

use crate::wechat::crypto;
use crate::wechat::xml::{Element, XmlError};

/// Flat members, each name once, sorted by the bytes of their names: upper case before lower case, `_10` before `_2`.
#[derive(Debug)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The members of a document. One name twice, or elements where a text belongs, would be read differently by others.
    pub(super) fn of(root: &Element<'_>) -> Result<Self, XmlError> {
        let mut children: Vec<&Element<'_>> = root.children().iter().collect();
        children.sort_by_key(|child| child.name());
        let twice = children.array_windows().find(|[one, next]| one.name() == next.name());
        if let Some([_, second]) = twice {
            return Err(second.fault("a second element of a name that may come once"));
        }
        let field = |child: &&Element<'_>| Ok((child.name().to_owned(), child.scalar()?.to_owned()));
        children.iter().map(field).collect::<Result<_, _>>().map(Self)
    }

    /// A value that is not empty: an empty one is not signed, so that it counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let place = self.0.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        self.0.get(place).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether there is a member of this name, empty or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// What is signed: all but `sign` and what is empty (protocol 2.2).
    pub(super) fn signed(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let fields = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        fields.filter(|(name, value)| *name != "sign" && !value.is_empty())
    }

    /// SHA-256 of what the document says, whatever its layout and order, without what is made afresh for every try.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let said = self.signed().filter(|(name, _)| !matches!(*name, "nonce_str" | "sign_type"));
        // No text of XML holds a zero byte.
        crypto::sha256(said.flat_map(|(name, value)| [name, "\0", value, "\0"].map(str::as_bytes)))
    }

    /// The same with other values, and without the members that have none.
    pub(super) fn changed(&self, change: impl Fn(&str, &str) -> Option<String>) -> Self {
        Self(self.0.iter().filter_map(|(name, value)| Some((name.clone(), change(name, value)?))).collect())
    }
}
