//! A WeChat that you can run: it has its own keys, takes orders, tells of payments with the real schedule of retries, and
//! attacks. It imports nothing else of the crate and signs and encrypts with other packages than the gateway verifies and
//! decrypts with, so that one bug cannot hide in both.
//!
//! [`keys`] and [`sign`] are its cryptography, [`notify`] makes callbacks of [`sample`] events, [`pay_v2`] those of the older
//! protocol, [`push`] messages of accounts, [`wechat`] is the server with [`merchant`] as its client, [`shop`] the app behind
//! the gateway, [`load`], [`attack`] and [`probe`] what tests a gateway from outside.

pub mod api;
pub mod attack;
pub mod keys;
pub mod load;
pub mod merchant;
pub mod notify;
pub mod pay_v2;
pub mod probe;
pub mod push;
pub mod sample;
pub mod shop;
pub mod sign;
pub mod wechat;
pub mod wire;
