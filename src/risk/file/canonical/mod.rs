//! One form for rule files: keys in one order, two blanks of indent, at most one empty line, braces that fit on a line on one
//! line. Comments stay with what they stand at, and texts stay as they are quoted.
//!
//! A file is read as YAML with its places, every comment is given to the entry that follows it or ends its line (`attached`),
//! and the whole is written anew (`written`). What comes out is read again: if it does not say the same, the file is left as
//! it is ([`CanonicalError::Changes`]).

mod attached;
mod comments;
mod written;

#[cfg(test)]
mod tests;

use super::yaml::{self, Kind, Node};
use crate::risk::files::Files;
use crate::risk::problem::{Findings, Problem};

/// Why a file has no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// It is not read.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Unread(Vec<Problem>),
    /// It says something in a way that this form cannot keep.
    #[error("{0}: written anew it would say something else; write block texts (`>-`) where quoted texts span lines")]
    Changes(String),
}

/// The canonical form of a rule file. `path` names it in messages.
pub fn canonical(path: &str, text: &str) -> Result<String, CanonicalError> {
    let normal = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let node = read(path, &normal)?;
    let written = written::write(&attached::attach(&normal, &node));
    let is_kept = read(path, &written).is_ok_and(|again| {
        says_the_same(&node, &again) && comments::texts(&normal, &node) == comments::texts(&written, &again)
    });
    if is_kept { Ok(written) } else { Err(CanonicalError::Changes(path.to_owned())) }
}

fn read(path: &str, text: &str) -> Result<Node, CanonicalError> {
    let files = Files::new("").with(path, text);
    let mut findings = Findings::new(&files);
    let node = files.file(path).and_then(|file| yaml::read(file, &mut findings));
    node.ok_or_else(|| CanonicalError::Unread(findings.into_parts().0))
}

/// Whether two documents hold the same values under the same keys, whatever the order of keys.
fn says_the_same(one: &Node, other: &Node) -> bool {
    match (&one.kind, &other.kind) {
        (Kind::Scalar(one), Kind::Scalar(other)) => one.text == other.text && one.plain == other.plain,
        (Kind::Sequence(one), Kind::Sequence(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| says_the_same(one, other))
        }
        (Kind::Mapping(one), Kind::Mapping(other)) => {
            let same = |(key, value): &(yaml::Key, Node)| {
                let found = other.iter().find(|(known, _)| known.name == key.name);
                found.is_some_and(|(known, found)| known.bare == key.bare && says_the_same(value, found))
            };
            one.len() == other.len() && one.iter().all(same)
        }
        (Kind::Scalar(_) | Kind::Sequence(_) | Kind::Mapping(_), _) => false,
    }
}
