//! Digests: of rule sets, of counters with their keys, of counted values, and of whom a percentage picks. All are SHA-256,
//! cut; the parts are told apart by their lengths, so that no two sequences of parts run into each other.

use aws_lc_rs::digest::{Context, SHA256};

use crate::risk::ask::Member;
use crate::risk::expr::Value;

/// A digest of parts.
pub(in crate::risk) fn of_parts<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> [u8; 16] {
    let mut digest = Digest::new();
    for part in parts {
        digest.part(part);
    }
    digest.finish()
}

/// Lower-case hexadecimal.
pub(in crate::risk) fn hex(bytes: &[u8]) -> String {
    let nibble = |n: u8| char::from_digit(u32::from(n), 16).expect("a nibble is a hexadecimal digit");
    bytes.iter().flat_map(|byte| [nibble(byte >> 4), nibble(byte & 0x0f)]).collect()
}

/// A number from 0 to 99 that is the same whenever this rule sees this event.
pub(in crate::risk) fn percentile(rule: &str, event: &str) -> u8 {
    let digest = of_parts([rule.as_bytes(), event.as_bytes()]);
    let number = u64::from_be_bytes(*digest.first_chunk().expect("16 bytes begin with 8"));
    u8::try_from(number.checked_rem(100).unwrap_or(0)).unwrap_or(0)
}

/// A value whose different occurrences are counted.
pub(in crate::risk) fn member(value: &Value<'_>) -> Member {
    let mut digest = Digest::new();
    digest.value(value);
    let digest: [u8; 16] = digest.finish();
    *digest.first_chunk().expect("16 bytes begin with 8")
}

/// A digest in the making.
pub(in crate::risk) struct Digest(Context);

impl Digest {
    pub(in crate::risk) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(in crate::risk) fn part(&mut self, part: &[u8]) {
        self.0.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(part);
    }

    /// A value with its type: the text "1" is not the number 1.
    pub(in crate::risk) fn value(&mut self, value: &Value<'_>) {
        let (tag, number) = match value {
            Value::Text(text) | Value::Member(_, text) => {
                self.0.update(b"t");
                return self.part(text.as_bytes());
            }
            Value::Ip(ip) => {
                self.0.update(b"a");
                return match ip.to_canonical() {
                    core::net::IpAddr::V4(ip) => self.part(&ip.octets()),
                    core::net::IpAddr::V6(ip) => self.part(&ip.octets()),
                };
            }
            Value::Ratio(of, to) => {
                self.0.update(b"r");
                self.part(&of.to_be_bytes());
                return self.part(&to.to_be_bytes());
            }
            Value::Bool(truth) => (b"b", i64::from(*truth)),
            Value::Int(number) | Value::Fen(number) => (b"n", *number),
            Value::Time(millis) => (b"m", *millis),
            Value::Duration(millis) => (b"d", *millis),
            Value::Date(day) => (b"y", *day),
        };
        self.0.update(tag);
        self.part(&number.to_be_bytes());
    }

    pub(in crate::risk) fn finish(self) -> [u8; 16] {
        *self.0.finish().as_ref().first_chunk().expect("a SHA-256 has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_types_are_told_apart() {
        assert_ne!(of_parts([b"ab".as_slice(), b"c"]), of_parts([b"a".as_slice(), b"bc"]));
        assert_ne!(member(&Value::Int(1)), member(&Value::Text("1".into())));
        assert_eq!(
            member(&Value::Ip("::ffff:1.2.3.4".parse().unwrap())),
            member(&Value::Ip("1.2.3.4".parse().unwrap()))
        );
    }

    #[test]
    fn a_percentage_picks_about_so_many_and_always_the_same() {
        let below = |most| (0..10_000).filter(|n| percentile("WXP-1001", &format!("EV-{n}")) < most).count();
        assert!((900..1100).contains(&below(10)), "{}", below(10));
        assert_eq!(below(100), 10_000);
        assert_eq!(percentile("WXP-1001", "EV-1"), percentile("WXP-1001", "EV-1"));
    }
}
