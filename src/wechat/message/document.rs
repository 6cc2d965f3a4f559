//! The two forms of a push as one: XML becomes JSON (protocol 3.7), JSON stays byte for byte what it was. So that what is
//! checked and what is forwarded come from the same text.

use std::borrow::Cow;

use bytes::Bytes;

use super::super::json::{self, At, Take};
use super::super::xml;
use super::refusal::{DocumentError, Format};

/// What a document is written in, by its first character: XML never begins with a brace.
pub(super) fn format(bytes: &[u8]) -> Format {
    if bytes.trim_ascii_start().starts_with(b"{") { Format::Json } else { Format::Xml }
}

/// The document as JSON. Of JSON nothing is checked yet: who reads it does.
pub(super) fn to_json(bytes: Bytes) -> Result<(Format, Bytes), DocumentError> {
    match format(&bytes) {
        Format::Json => Ok((Format::Json, bytes)),
        Format::Xml => Ok((Format::Xml, Bytes::from(xml::read(&bytes)?.to_json()))),
    }
}

/// What carries an encrypted push.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) format: Format,
    /// Whether its names are in lower case, as those of WeCom's JSON are.
    pub(super) is_lower_case: bool,
    /// The base64 that was signed, exactly. None if there is none.
    pub(super) encrypted: Option<String>,
}

/// Reads an envelope. All else in it is signed by nobody, the plain copies of compatible mode too, and is not looked at.
pub(super) fn envelope(body: &[u8]) -> Result<Envelope, DocumentError> {
    match format(body) {
        Format::Xml => {
            let encrypted = xml::read(body)?.only("Encrypt")?.map(str::to_owned);
            Ok(Envelope { format: Format::Xml, is_lower_case: false, encrypted })
        }
        Format::Json => {
            let mut found = Encrypted::default();
            json::read(body, &mut found)?;
            let is_lower_case = found.lower.is_some();
            match (found.upper, found.lower, found.is_unclear) {
                (Some(_), Some(_), _) | (_, _, true) => Err(DocumentError::Encrypt(Format::Json)),
                (upper, lower, false) => {
                    let encrypted = upper.or(lower).map(Cow::into_owned);
                    Ok(Envelope { format: Format::Json, is_lower_case, encrypted })
                }
            }
        }
    }
}

#[derive(Default)]
struct Encrypted<'de> {
    upper: Option<Cow<'de, str>>,
    lower: Option<Cow<'de, str>>,
    is_unclear: bool,
}

impl<'de> Take<'de> for Encrypted<'de> {
    fn text(&mut self, at: At<'_>, value: Cow<'de, str>) {
        match at {
            At::Top("Encrypt") => self.upper = Some(value),
            At::Top("encrypt") => self.lower = Some(value),
            At::Top(_) | At::In(..) | At::Each(_) | At::OfEach(..) | At::InEach(..) | At::Elsewhere => {}
        }
    }

    fn integer(&mut self, at: At<'_>, _value: i64) {
        self.other(at);
    }

    fn other(&mut self, at: At<'_>) {
        self.is_unclear |= matches!(at, At::Top("Encrypt" | "encrypt"));
    }
}
