//! What every protocol asks of a callback's head: a timestamp near our clock, and a body that nobody compressed.

use std::time::Duration;

use http::{HeaderMap, header};

use super::Refusal;
use crate::clock::UnixTime;
use crate::reason::Reason;

/// A timestamp that does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not a number of seconds.
    #[error("the timestamp is no plain decimal number of seconds")]
    Form,
    /// Too old, or ahead.
    #[error("the timestamp is {seconds} s {side} our clock; the window is {window} s: is the clock right?")]
    Window {
        /// How far.
        seconds: u64,
        /// Which side: `behind` or `ahead of`.
        side: &'static str,
        /// What is allowed, in seconds.
        window: u64,
    },
}

impl Refusal for TimestampError {
    fn reason(&self) -> Reason {
        match self {
            Self::Form => Reason::BadTimestamp,
            Self::Window { .. } => Reason::TimestampOutOfWindow,
        }
    }
}

/// The moment that `timestamp` names, if it is near `now`. At the window's own length a timestamp is refused already, on
/// both sides (protocol 1.5).
pub(super) fn timestamp(timestamp: &[u8], now: UnixTime, window: Duration) -> Result<UnixTime, TimestampError> {
    let signed_at = UnixTime::from_secs(seconds(timestamp).ok_or(TimestampError::Form)?);
    let now = UnixTime::from_secs(now.secs());
    let distance = now.since(signed_at).max(signed_at.since(now));
    if distance < window {
        return Ok(signed_at);
    }
    let side = if signed_at > now { "ahead of" } else { "behind" };
    Err(TimestampError::Window { seconds: distance.as_secs(), side, window: window.as_secs() })
}

/// `0|[1-9][0-9]{0,18}`: no sign, no blanks, no leading zeros, no other digits (protocol 6.8).
pub(super) fn seconds(text: &[u8]) -> Option<i64> {
    let is_number = (1..=19).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    if !is_number || (text.len() > 1 && text.starts_with(b"0")) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether the body is as it was made. WeChat never compresses (protocol 1.1).
pub(super) fn is_plain(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings.all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_has_one_spelling() {
        assert_eq!(seconds(b"0"), Some(0));
        assert_eq!(seconds(b"1760000000"), Some(1_760_000_000));
        assert_eq!(seconds(b"9223372036854775807"), Some(i64::MAX));
        for text in ["", "00", "01", "+1", "-1", " 1", "1 ", "0x1", "1e3", "1.0", "９", "9223372036854775808"] {
            assert_eq!(seconds(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_window_is_open_at_its_ends_on_both_sides() {
        let at = |text: &str| timestamp(text.as_bytes(), UnixTime::from_millis(1_000_999), Duration::from_mins(5));
        assert_eq!(at("701"), Ok(UnixTime::from_secs(701)));
        assert_eq!(at("1299"), Ok(UnixTime::from_secs(1299)));
        assert_eq!(at("700"), Err(TimestampError::Window { seconds: 300, side: "behind", window: 300 }));
        assert_eq!(at("1300"), Err(TimestampError::Window { seconds: 300, side: "ahead of", window: 300 }));
        assert!(at("9223372036854775807").is_err());
    }
}
