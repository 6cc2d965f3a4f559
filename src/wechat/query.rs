//! Query parameters as message push signs them: decoded once, and each that matters once. Two values of a name, even
//! equal ones, could be judged by one and used by the other (protocol 6.7).

use std::borrow::Cow;

use super::Refusal;
use crate::reason::Reason;

/// Longest query, in bytes. WeChat's have below 600, with an encrypted echostr.
const MAX_QUERY: usize = 4096;
/// Most parameters. WeChat's have 7.
const MAX_PARAMETERS: usize = 32;

/// A query that does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Too long, or of too many parameters.
    #[error("the query has more than {MAX_QUERY} bytes or {MAX_PARAMETERS} parameters, which WeChat never sends")]
    Size,
    /// Not percent-encoded UTF-8.
    #[error("the query is not percent-encoded UTF-8")]
    Encoding,
    /// Absent or empty.
    #[error("the query parameter `{0}` is absent or empty: does a proxy in front drop it?")]
    Missing(&'static str),
    /// More than once.
    #[error("the query parameter `{0}` came more than once")]
    Repeated(&'static str),
}

impl Refusal for QueryError {
    fn reason(&self) -> Reason {
        match self {
            Self::Size | Self::Encoding => Reason::BadEncoding,
            Self::Missing(_) => Reason::MissingParam,
            Self::Repeated(_) => Reason::DuplicateParam,
        }
    }
}

/// A query, decoded once.
#[derive(Debug)]
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Takes a query without its question mark apart. `+` is a plus: base64 has it, and no value of WeChat's has a space.
    pub(super) fn parse(query: &'a str) -> Result<Self, QueryError> {
        if query.len() > MAX_QUERY {
            return Err(QueryError::Size);
        }
        let mut parameters = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == MAX_PARAMETERS {
                return Err(QueryError::Size);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.push((decode(name)?, decode(value)?));
        }
        Ok(Self(parameters))
    }

    /// A parameter that must be there, once and not empty.
    pub(super) fn once(&self, name: &'static str) -> Result<&str, QueryError> {
        self.at_most_once(name)?.filter(|value| !value.is_empty()).ok_or(QueryError::Missing(name))
    }

    /// A parameter that may be absent, but not come twice.
    pub(super) fn at_most_once(&self, name: &'static str) -> Result<Option<&str>, QueryError> {
        let mut values = self.0.iter().filter(|(have, _)| have == name);
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(QueryError::Repeated(name)),
            (Some((_, value)), None) => Ok(Some(value)),
            (None, _) => Ok(None),
        }
    }
}

/// Percent-decodes once.
fn decode(text: &str) -> Result<Cow<'_, str>, QueryError> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (digits, after) = after.split_first_chunk::<2>().ok_or(QueryError::Encoding)?;
            bytes.push(byte(*digits).ok_or(QueryError::Encoding)?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| QueryError::Encoding)
}

/// Two hexadecimal digits.
fn byte([high, low]: [u8; 2]) -> Option<u8> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some((nibble(high)? << 4) | nibble(low)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_decoded_once_and_a_plus_stays_one() {
        let query = Query::parse("a=x%2By+z&b=%25 2B&%63=%E4%B8%AD&&d").unwrap();
        assert_eq!(query.once("a"), Ok("x+y+z"));
        assert_eq!(query.once("b"), Ok("% 2B"));
        assert_eq!(query.once("c"), Ok("中"));
        assert_eq!(query.once("d"), Err(QueryError::Missing("d")));
        assert_eq!(query.at_most_once("d"), Ok(Some("")));
        assert_eq!(query.at_most_once("e"), Ok(None));
    }

    #[test]
    fn a_second_value_is_refused_even_if_equal_or_spelt_otherwise() {
        for text in ["a=1&a=1", "a=1&a=2", "a=1&%61=1", "a=&a=1", "a&a=1"] {
            let query = Query::parse(text).unwrap();
            assert_eq!(query.once("a"), Err(QueryError::Repeated("a")), "{text}");
            assert_eq!(query.at_most_once("a"), Err(QueryError::Repeated("a")), "{text}");
        }
    }

    #[test]
    fn what_is_no_percent_encoding_or_too_much_is_refused() {
        for text in ["a=%", "a=%1", "a=%g1", "a=%+1", "a=%ff", "%=1"] {
            assert_eq!(Query::parse(text).err(), Some(QueryError::Encoding), "{text}");
        }
        assert!(Query::parse(&"a&".repeat(MAX_PARAMETERS)).is_ok());
        assert_eq!(Query::parse(&"a&".repeat(MAX_PARAMETERS + 1)).err(), Some(QueryError::Size));
        assert_eq!(Query::parse(&"a".repeat(MAX_QUERY + 1)).err(), Some(QueryError::Size));
    }

    proptest! {
        #[test]
        fn any_value_comes_back_from_its_encoding(value in ".{1,40}") {
            let encoded: Vec<String> = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let query = format!("v={}", encoded.concat());
            let query = Query::parse(&query).unwrap();
            prop_assert_eq!(query.once("v"), Ok(value.as_str()));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = Query::parse(&text).map(|query| query.once("signature").map(str::len));
        }
    }
}
