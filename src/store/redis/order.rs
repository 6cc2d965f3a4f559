//! Orders as bytes. The first 8 tell when an order was registered; the rest is the same for orders that say the same.

use crate::clock::UnixTime;
use crate::risk::ask::Order;

/// Marks a text that is not there.
const NONE: u16 = u16::MAX;

pub(super) fn encode(order: &Order) -> Vec<u8> {
    let Order { amount_total, currency, payer_openid, client_ip, registered_at, expires_at } = order;
    let mut bytes = Vec::with_capacity(96);
    for number in [registered_at.millis(), expires_at.millis(), *amount_total] {
        bytes.extend(number.to_be_bytes());
    }
    for text in [Some(currency), payer_openid.as_ref(), client_ip.as_ref()] {
        // The store keeps no text that is longer than this can tell.
        let text = text.map(String::as_bytes).filter(|text| text.len() < usize::from(NONE));
        let length = text.map_or(NONE, |text| u16::try_from(text.len()).unwrap_or(NONE));
        bytes.extend(length.to_be_bytes());
        bytes.extend(text.unwrap_or_default());
    }
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Option<Order> {
    let (registered_at, bytes) = bytes.split_first_chunk()?;
    let (expires_at, bytes) = bytes.split_first_chunk()?;
    let (amount_total, mut bytes) = bytes.split_first_chunk()?;
    let mut text = || {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = u16::from_be_bytes(*length);
        let (text, rest) = rest.split_at_checked(if length == NONE { 0 } else { length.into() })?;
        bytes = rest;
        let text = (length != NONE).then(|| String::from_utf8(text.to_vec()));
        text.transpose().ok()
    };
    let (currency, payer_openid, client_ip) = (text()??, text()?, text()?);
    let time = |millis: &[u8; 8]| UnixTime::from_millis(i64::from_be_bytes(*millis));
    bytes.is_empty().then_some(Order {
        amount_total: i64::from_be_bytes(*amount_total),
        currency,
        payer_openid,
        client_ip,
        registered_at: time(registered_at),
        expires_at: time(expires_at),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(
            amount_total: i64,
            currency in ".{0,16}",
            payer_openid in prop::option::of(".{0,128}"),
            client_ip in prop::option::of(".{0,64}"),
            times: (i64, i64),
        ) {
            let (registered_at, expires_at) = (UnixTime::from_millis(times.0), UnixTime::from_millis(times.1));
            let order = Order { amount_total, currency, payer_openid, client_ip, registered_at, expires_at };
            prop_assert_eq!(decode(&encode(&order)), Some(order));
        }

        #[test]
        fn other_bytes_are_no_order_and_no_panic(bytes: Vec<u8>) {
            if let Some(order) = decode(&bytes) {
                prop_assert_eq!(encode(&order), bytes);
            }
        }
    }
}
