//! YAML 1.2 as a tree that keeps its places: scalars, sequences, mappings and nothing else. Anchors, aliases, tags, merge
//! keys and several documents are refused; depth and number of nodes are bounded.

use std::borrow::Cow;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use crate::risk::code::Code;
use crate::risk::files::{FileId, Spot};
use crate::risk::problem::{Findings, quoted};

/// Deepest nesting of a file.
const MAX_DEPTH: usize = 24;
/// Most nodes of a file.
const MAX_NODES: usize = 200_000;
/// Most keys of one mapping.
const MAX_KEYS: usize = 1000;

/// A value of the document.
#[derive(Clone, Debug)]
pub(in crate::risk) struct Node {
    pub(in crate::risk) at: Spot,
    pub(in crate::risk) kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(in crate::risk) enum Kind {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

/// A text, or what YAML's core schema makes of one that is not quoted.
#[derive(Clone, Debug)]
pub(in crate::risk) struct Scalar {
    pub(in crate::risk) text: String,
    /// Not quoted and no block: may mean a number, a truth or nothing.
    pub(in crate::risk) plain: bool,
}

/// The key of a mapping.
#[derive(Clone, Debug)]
pub(in crate::risk) struct Key {
    pub(in crate::risk) name: String,
    pub(in crate::risk) at: Spot,
    /// Whether it stands without a value, as happens where a comma in braces ended the value before it.
    pub(in crate::risk) bare: bool,
}

impl Scalar {
    /// The truth it means, if it means one.
    pub(in crate::risk) fn as_bool(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => Some(true),
            "false" | "False" | "FALSE" if self.plain => Some(false),
            _ => None,
        }
    }

    /// The whole number it means, if it means one.
    pub(in crate::risk) fn as_int(&self) -> Option<i64> {
        let digits = self.text.strip_prefix(['-', '+']).unwrap_or(&self.text);
        let is_number = self.plain && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| self.text.parse().ok()).flatten()
    }

    /// Whether it means nothing.
    pub(in crate::risk) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// Whether it means a number of any kind.
    pub(in crate::risk) fn is_number(&self) -> bool {
        let begins = self.text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
        self.plain && begins && (self.as_int().is_some() || self.text.parse::<f64>().is_ok())
    }
}

impl Node {
    pub(in crate::risk) fn as_scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::Sequence(_) | Kind::Mapping(_) => None,
        }
    }
}

/// Reads the document of a file. None: what is wrong has been found and said.
pub(in crate::risk) fn read(file: FileId, findings: &mut Findings<'_>) -> Option<Node> {
    let text = findings.files().text_of(file);
    // The reader knows no such characters, and takes NUL for the end.
    if let Some((at, _)) = text.char_indices().find(|(_, c)| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        let spot = Spot::new(file, &(at..at.saturating_add(1)));
        findings.add(Code::Syntax, spot, "a control character", "rule files are plain text in UTF-8: remove it");
        return None;
    }
    let places = Places::new(file, text);
    match Reader::new(text, &places).document() {
        Ok(Some(node)) => Some(node),
        Ok(None) => {
            let remedy = "a file begins with `apiVersion: wxgate.rules/v1` and `kind: RuleSet`";
            findings.add(Code::Document, Spot::new(file, &(0..0)), "the file is empty", remedy);
            None
        }
        Err(Refused { code, at, message, remedy }) => {
            findings.add(code, at, message, remedy);
            None
        }
    }
}

/// Turns the reader's characters into bytes.
struct Places<'t> {
    file: FileId,
    text: &'t str,
    /// Where each character begins; empty if every character is a byte.
    begins: Vec<usize>,
}

impl<'t> Places<'t> {
    fn new(file: FileId, text: &'t str) -> Self {
        let begins = if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(at, _)| at).collect() };
        Self { file, text, begins }
    }

    fn byte(&self, marker: Marker) -> usize {
        let at = if self.begins.is_empty() { Some(marker.index()) } else { self.begins.get(marker.index()).copied() };
        at.unwrap_or(self.text.len()).min(self.text.len())
    }

    fn spot(&self, span: Span) -> Spot {
        Spot::new(self.file, &(self.byte(span.start)..self.byte(span.end)))
    }
}

/// Why reading ended.
struct Refused {
    code: Code,
    at: Spot,
    message: String,
    remedy: String,
}

/// A collection that is still open.
enum Open {
    Sequence(Spot, Vec<Node>),
    Mapping(Spot, Vec<(Key, Node)>, Option<Key>),
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    places: &'t Places<'t>,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, places: &'t Places<'t>) -> Self {
        Self { parser: Parser::new_from_str(text), places, open: Vec::new(), root: None, nodes: 0 }
    }

    fn document(mut self) -> Result<Option<Node>, Refused> {
        while let Some(next) = self.parser.next_event() {
            let (event, span) = next.map_err(|error| self.syntax(&error))?;
            if !self.event(event, span)? {
                break;
            }
        }
        Ok(self.root)
    }

    /// Takes one event in; false at the end.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<bool, Refused> {
        let at = self.places.spot(span);
        match event {
            Event::StreamEnd => return Ok(false),
            Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
            Event::DocumentStart(_) => {
                if self.root.is_some() {
                    return Err(feature(at, "a second document", "write it to a file of its own"));
                }
            }
            Event::Alias(_) => return Err(feature(at, "an alias", "write the value out, or use a macro")),
            Event::Scalar(text, style, anchor, tag) => {
                Self::plain(at, anchor, tag.is_some())?;
                self.scalar(at, text, style)?;
            }
            Event::SequenceStart(anchor, tag) => {
                Self::plain(at, anchor, tag.is_some())?;
                self.enter(Open::Sequence(at, Vec::new()), at)?;
            }
            Event::MappingStart(anchor, tag) => {
                Self::plain(at, anchor, tag.is_some())?;
                self.enter(Open::Mapping(at, Vec::new(), None), at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(at)?,
        }
        Ok(true)
    }

    fn syntax(&self, error: &ScanError) -> Refused {
        let begin = self.places.byte(*error.marker());
        let at = Spot::new(self.places.file, &(begin..begin.saturating_add(1)));
        let remedy = "look at this line and the one before: a quote or brace that is not closed, an indent, a `: ` or ` #` \
                      inside a text that is not quoted";
        Refused { code: Code::Syntax, at, message: format!("no YAML: {}", error.info()), remedy: remedy.to_owned() }
    }

    fn plain(at: Spot, anchor: usize, tagged: bool) -> Result<(), Refused> {
        if anchor > 0 {
            return Err(feature(at, "an anchor (`&`)", "write the value out where it is used, or use a macro"));
        }
        if tagged {
            return Err(feature(at, "a tag (`!`)", "quote the value if it is a text that begins with `!`"));
        }
        Ok(())
    }

    fn scalar(&mut self, at: Spot, text: Cow<'_, str>, style: ScalarStyle) -> Result<(), Refused> {
        let plain = style == ScalarStyle::Plain;
        if let Some(Open::Mapping(_, _, key @ None)) = self.open.last_mut() {
            if plain && text == "<<" {
                return Err(feature(at, "a merge key", "write the keys out"));
            }
            *key = Some(Key { name: text.into_owned(), at, bare: false });
            return Ok(());
        }
        self.place(Node { at, kind: Kind::Scalar(Scalar { text: text.into_owned(), plain }) })
    }

    fn enter(&mut self, open: Open, at: Spot) -> Result<(), Refused> {
        if let Some(Open::Mapping(_, _, None)) = self.open.last() {
            let remedy = "a key is a text; quote a value that begins with `{` or `[`";
            return Err(feature(at, "a key that is a collection", remedy));
        }
        if self.open.len() >= MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} deep");
            return Err(bound(at, message, "no part of a rule file nests so deep"));
        }
        self.open.push(open);
        Ok(())
    }

    fn leave(&mut self, end: Spot) -> Result<(), Refused> {
        let node = match self.open.pop() {
            Some(Open::Sequence(at, items)) => Node { at: until(at, end), kind: Kind::Sequence(items) },
            Some(Open::Mapping(at, entries, _)) => Node { at: until(at, end), kind: Kind::Mapping(entries) },
            None => return Ok(()),
        };
        self.place(node)
    }

    /// Puts a value where it belongs.
    fn place(&mut self, node: Node) -> Result<(), Refused> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MAX_NODES {
            return Err(bound(node.at, format!("more than {MAX_NODES} values"), "split the file"));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::Sequence(_, items)) => items.push(node),
            Some(Open::Mapping(_, entries, key)) => {
                let Some(key) = key.take() else { return Ok(()) };
                if entries.iter().any(|(known, _)| known.name == key.name) {
                    let message = format!("{} stands twice", quoted(&key.name));
                    let remedy = "remove the one that is not meant".to_owned();
                    return Err(Refused { code: Code::DuplicateKey, at: key.at, message, remedy });
                }
                if entries.len() >= MAX_KEYS {
                    return Err(bound(key.at, format!("more than {MAX_KEYS} keys in one place"), "split the file"));
                }
                let bare = node.as_scalar().is_some_and(|value| value.plain && value.text.is_empty())
                    && !colon_follows(self.places.text, &key);
                entries.push((Key { bare, ..key }, node));
            }
        }
        Ok(())
    }
}

/// Whether a key is followed by its colon, as it is unless it stands alone in braces.
fn colon_follows(text: &str, key: &Key) -> bool {
    text.get(key.at.range().end..).is_some_and(|rest| rest.trim_start().starts_with(':'))
}

fn until(begin: Spot, end: Spot) -> Spot {
    Spot::new(begin.file, &(begin.range().start..end.range().end))
}

fn feature(at: Spot, what: &str, remedy: &str) -> Refused {
    let message = format!("{what}: rule files do not use this part of YAML");
    Refused { code: Code::Feature, at, message, remedy: remedy.to_owned() }
}

fn bound(at: Spot, message: String, remedy: &str) -> Refused {
    Refused { code: Code::Bound, at, message, remedy: remedy.to_owned() }
}
