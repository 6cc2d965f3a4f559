//! The query of a request: names that a route asks for, one by one; what it did not ask for is an error, never ignored.

use http::StatusCode;

use super::super::reply::Problem;
use crate::clock::UnixTime;

/// Most parameters of a request.
const MOST: usize = 16;

/// What is left of a query.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn read(query: &str) -> Result<Self, Problem> {
        let parameters: Vec<&str> = query.split('&').filter(|parameter| !parameter.is_empty()).collect();
        if parameters.len() > MOST {
            return Err(bad(format!("more than {MOST} parameters")));
        }
        let read = |parameter: &&str| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let decoded = decoded(name).zip(decoded(value));
            decoded.ok_or_else(|| bad(format!("`{name}` is not percent-encoded UTF-8")))
        };
        parameters.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The value of a parameter, which may come once.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// The same, read by `parse`.
    pub(super) fn take_as<T>(
        &mut self,
        name: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        parse(&value).map(Some).ok_or_else(|| bad(format!("`{name}` is not {expected}")))
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().take(40).flat_map(char::escape_debug).collect();
                Err(bad(format!(
                    "`{name}` is no parameter of this path, or comes twice; docs/queues.md names them all"
                )))
            }
        }
    }
}

fn bad(message: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad-query", message)
}

/// A moment in RFC 3339, or in seconds since the epoch.
pub(super) fn time(text: &str) -> Option<UnixTime> {
    if let Ok(secs) = text.parse::<i64>() {
        return Some(UnixTime::from_secs(secs));
    }
    let stamp: jiff::Timestamp = text.parse().ok()?;
    Some(UnixTime::from_millis(stamp.as_millisecond()))
}

/// Percent-encoded UTF-8, as it was meant.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high << 4 | low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_asked_for_is_an_error() {
        let mut query = Query::read("endpoint=shop-pay&limit=5&reveal").unwrap();
        assert_eq!(query.take("endpoint").as_deref(), Some("shop-pay"));
        assert_eq!(query.take("reveal").as_deref(), Some(""));
        assert_eq!(query.take_as("limit", "a number", |text| text.parse::<u8>().ok()).unwrap(), Some(5));
        query.finish().unwrap();
        for wrong in ["limt=5", "limit=5&limit=6"] {
            let mut query = Query::read(wrong).unwrap();
            query.take("limit");
            assert!(query.finish().is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_rfc_3339_or_seconds() {
        let expected = Some(UnixTime::from_secs(1_700_000_000));
        assert_eq!(time("1700000000"), expected);
        assert_eq!(time("2023-11-14T22:13:20Z"), expected);
        assert_eq!(time(&decoded("2023-11-15T06%3A13%3A20%2B08:00").unwrap()), expected);
        assert_eq!(time("yesterday"), None);
    }

    proptest! {
        #[test]
        fn any_query_is_read_without_a_panic(query in ".{0,80}") {
            let _ = Query::read(&query);
        }
    }
}
