//! Strict XML, the little of it that WeChat sends (protocol 2.5): elements, text, CDATA, the five predefined entities and
//! character references, one declaration. What two parsers could read differently is refused: DOCTYPE and any entity that
//! is not predefined, comments and processing instructions, attributes, prefixes, text beside elements, any encoding but
//! UTF-8, a BOM, bytes after the root.
//!
//! An own reader, not an event parser with a check for each of its liberties: the grammar that is left has nine
//! productions, and what is not among them has no code that could let it through.
//!
//! Text is what was sent: line ends are not normalised, since a signature is over the value that WeChat had. Nothing
//! expands, so no text is longer than its source; depth and numbers of elements have bounds.

mod json;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

/// Deepest nesting, the root included.
pub(super) const MAX_DEPTH: usize = 32;
/// Most children of one element.
pub(super) const MAX_CHILDREN: usize = 256;
/// Most elements of a document.
pub(super) const MAX_ELEMENTS: usize = 4096;
/// Longest name in bytes.
const MAX_NAME: usize = 128;

/// Not the XML that the protocol asks for. Says where, never what: the text may be personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {at}")]
pub struct XmlError {
    fault: &'static str,
    at: usize,
}

/// One element, with what is between its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    name: &'a str,
    /// Where it begins, for errors.
    at: usize,
    content: Content<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content<'a> {
    /// Everything between the tags, decoded; empty for `<a/>`.
    Text(Cow<'a, str>),
    /// At least one, in the order of the document.
    Children(Vec<Element<'a>>),
}

/// Reads the whole of `bytes`, which must be one document; returns its root.
pub(super) fn read(bytes: &[u8]) -> Result<Element<'_>, XmlError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| XmlError { fault: "the text is not UTF-8", at: error.valid_up_to() })?;
    if let Some(at) = text.find(|c| !is_char(c)) {
        return Err(XmlError { fault: "a character that XML does not have", at });
    }
    let mut reader = Reader { len: text.len(), rest: text, elements: 0 };
    reader.declaration()?;
    reader.blanks();
    let root = reader.element(MAX_DEPTH)?;
    reader.blanks();
    if reader.rest.is_empty() { Ok(root) } else { Err(reader.fault("something follows the root element")) }
}

impl<'a> Element<'a> {
    /// Its name.
    pub(super) fn name(&self) -> &'a str {
        self.name
    }

    /// The text between the tags, possibly empty; none if there are elements.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Children(_) => None,
        }
    }

    /// Its children in the order of the document; none if there is text.
    pub(super) fn children(&self) -> &[Self] {
        match &self.content {
            Content::Text(_) => &[],
            Content::Children(children) => children,
        }
    }

    /// The text of the one child of this name, if there is a child of this name. Two of them, or one that has children
    /// itself, are errors: another reader could take the other one.
    pub(super) fn only(&self, name: &str) -> Result<Option<&str>, XmlError> {
        let mut named = self.children().iter().filter(|child| child.name == name);
        let Some(child) = named.next() else { return Ok(None) };
        match named.next() {
            Some(second) => Err(second.fault("a second element of a name that may come once")),
            None => child.scalar().map(Some),
        }
    }

    /// The text of an element that may have no children.
    pub(super) fn scalar(&self) -> Result<&str, XmlError> {
        self.text().ok_or_else(|| self.fault("elements where text is expected"))
    }

    /// An error about this element.
    pub(super) fn fault(&self, fault: &'static str) -> XmlError {
        XmlError { fault, at: self.at }
    }
}

/// What is left to read.
struct Reader<'a> {
    rest: &'a str,
    /// Bytes of the whole document.
    len: usize,
    /// Elements so far.
    elements: usize,
}

impl<'a> Reader<'a> {
    fn at(&self) -> usize {
        self.len.saturating_sub(self.rest.len())
    }

    fn fault(&self, fault: &'static str) -> XmlError {
        let fault = if self.rest.is_empty() { "the text ends too early" } else { fault };
        XmlError { fault, at: self.at() }
    }

    /// Moves past `token`, if it stands here.
    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str, fault: &'static str) -> Result<(), XmlError> {
        if self.take(token) { Ok(()) } else { Err(self.fault(fault)) }
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(is_blank);
    }

    /// Moves past everything up to the first `end`, and past that.
    fn up_to(&mut self, end: &str) -> Option<&'a str> {
        let (before, after) = self.rest.split_once(end)?;
        self.rest = after;
        Some(before)
    }

    /// `<?xml version="1.0" encoding="UTF-8"?>`, if there is one.
    fn declaration(&mut self) -> Result<(), XmlError> {
        if !self.rest.starts_with("<?") {
            return Ok(());
        }
        let fault = self.fault("a declaration other than of XML 1.0 in UTF-8");
        if !self.take("<?xml") || !self.rest.starts_with(is_blank) {
            return Err(fault);
        }
        let said = self.up_to("?>").ok_or(fault)?.replace('\'', "\"").to_ascii_lowercase();
        let mut said = said.split_ascii_whitespace().peekable();
        let is_ours = said.next() == Some("version=\"1.0\"");
        said.next_if_eq(&"encoding=\"utf-8\"");
        said.next_if(|word| matches!(*word, "standalone=\"yes\"" | "standalone=\"no\""));
        if is_ours && said.next().is_none() { Ok(()) } else { Err(fault) }
    }

    /// One element, with at most `levels` levels of elements, itself included.
    fn element(&mut self, levels: usize) -> Result<Element<'a>, XmlError> {
        let at = self.at();
        self.elements = self.elements.saturating_add(1);
        if self.elements > MAX_ELEMENTS {
            return Err(self.fault("more elements than a document may have"));
        }
        let Some(inner) = levels.checked_sub(1) else { return Err(self.fault("nested too deep")) };
        self.is_no_other_markup()?;
        self.expect("<", "text where an element is expected")?;
        let name = self.name()?;
        self.blanks();
        if self.take("/>") {
            return Ok(Element { name, at, content: Content::Text(Cow::Borrowed("")) });
        }
        self.expect(">", "an attribute, or a tag that does not end")?;
        let content = self.content(inner)?;
        self.expect("</", "an element that does not end")?;
        if self.name()? != name {
            return Err(self.fault("the end of another element"));
        }
        self.blanks();
        self.expect(">", "a tag that does not end")?;
        Ok(Element { name, at, content })
    }

    /// Names the hazard where markup begins that is no element.
    fn is_no_other_markup(&self) -> Result<(), XmlError> {
        for (token, fault) in
            [("<!--", "a comment"), ("<?", "a processing instruction"), ("<!", "a DOCTYPE or another declaration")]
        {
            if self.rest.starts_with(token) {
                return Err(self.fault(fault));
            }
        }
        Ok(())
    }

    /// ASCII letters, digits, `_`, `-` and `.`. A colon would be a prefix.
    fn name(&mut self) -> Result<&'a str, XmlError> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.'));
        let (name, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len())).unwrap_or_default();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || name.len() > MAX_NAME {
            return Err(self.fault("no name of an element"));
        }
        self.rest = rest;
        if rest.starts_with(':') { Err(self.fault("a name with a prefix")) } else { Ok(name) }
    }

    /// Everything up to the end tag of the element that this is in.
    fn content(&mut self, levels: usize) -> Result<Content<'a>, XmlError> {
        let begin = self.at();
        let mut text = Cow::Borrowed("");
        let mut has_cdata = false;
        let mut children = Vec::new();
        while !self.rest.starts_with("</") {
            if self.take("<![CDATA[") {
                let piece = self.up_to("]]>").ok_or(XmlError { fault: "a CDATA that does not end", at: begin })?;
                append(&mut text, piece);
                has_cdata = true;
            } else if self.rest.starts_with('<') {
                if children.len() >= MAX_CHILDREN {
                    return Err(self.fault("more elements than one may have"));
                }
                children.push(self.element(levels)?);
            } else if self.rest.starts_with('&') {
                text.to_mut().push(self.reference()?);
            } else {
                append(&mut text, self.plain()?);
            }
        }
        if children.is_empty() {
            return Ok(Content::Text(text));
        }
        let is_layout = !has_cdata && text.chars().all(is_blank);
        if is_layout {
            Ok(Content::Children(children))
        } else {
            Err(XmlError { fault: "text beside elements", at: begin })
        }
    }

    /// Text up to the next markup or reference.
    fn plain(&mut self) -> Result<&'a str, XmlError> {
        let end = self.rest.find(['<', '&']);
        let Some((text, rest)) = end.and_then(|end| self.rest.split_at_checked(end)) else {
            self.rest = "";
            return Err(self.fault(""));
        };
        if text.contains("]]>") {
            return Err(self.fault("the end of a CDATA that did not begin"));
        }
        self.rest = rest;
        Ok(text)
    }

    /// `&lt;`, `&#20013;`, `&#x4E2D;`: of entities the predefined ones alone.
    fn reference(&mut self) -> Result<char, XmlError> {
        /// `#x10FFFF` has 8 bytes; leading zeros are for nobody.
        const MAX_REFERENCE: usize = 8;
        let fault = self.fault("an entity that is not predefined, or no reference at all");
        self.take("&");
        let name = self.up_to(";").filter(|name| name.len() <= MAX_REFERENCE).ok_or(fault)?;
        match name {
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "amp" => Ok('&'),
            "quot" => Ok('"'),
            "apos" => Ok('\''),
            _ => {
                let number = name.strip_prefix('#').ok_or(fault)?;
                let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |hex| (hex, 16));
                let is_number = digits.chars().all(|c| c.is_digit(radix));
                let code = u32::from_str_radix(digits, radix).ok().filter(|_| is_number);
                code.and_then(char::from_u32).filter(|c| is_char(*c)).ok_or(fault)
            }
        }
    }
}

/// Borrows as long as there is one piece.
fn append<'a>(text: &mut Cow<'a, str>, piece: &'a str) {
    if text.is_empty() {
        *text = Cow::Borrowed(piece);
    } else {
        text.to_mut().push_str(piece);
    }
}

/// `S` of XML 1.0.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// `Char` of XML 1.0; a BOM is a character inside of a text, never its beginning.
fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
