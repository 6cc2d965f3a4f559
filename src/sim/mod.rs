//! A WeChat that you can run. Imports nothing else of the crate, so that one bug cannot hide in both; its cryptography is
//! another implementation than the gateway's for the same reason.

pub mod api;
pub mod attack;
pub mod client;
pub mod keys;
pub mod load;
pub mod merchant;
pub mod notify;
pub mod sample;
pub mod schedule;
pub mod shop;
pub mod wechat;

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789AB";

/// Random bytes; none if the system has none to give.
fn random_bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// Random letters and digits, as WeChat's nonces are; at most 64.
fn random_text(length: usize) -> Option<String> {
    let bytes = random_bytes::<64>()?;
    let letter = |byte: &u8| LETTERS.get(usize::from(byte & 63)).copied().map(char::from);
    bytes.iter().take(length).map(letter).collect()
}
