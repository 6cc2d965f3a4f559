//! wxgate: verifies WeChat callbacks and forwards only what is authentic, new and within policy.
//!
//! Life of a callback: [`server`] → [`gate::pipeline`] → {[`wechat`] → [`store`] → [`risk`]} → [`gate::upstream`] →
//! [`wechat::answer`]. Start with [`gate::pipeline`]; every other module answers one line of it.
//!
//! # Layout
//!
//! A module imports from its own row and from the rows below it; `tests/layering.rs` holds that.
//!
//! | row | modules |
//! |---|---|
//! | assembly | [`app`], [`cli`], [`config`] |
//! | surface | [`server`], [`admin`] |
//! | flow | [`gate`] |
//! | effects | [`store`], [`keyring`], [`limit`], and lowest of them [`observe`] |
//! | pure | [`wechat`], [`risk`], [`event`] |
//! | leaf | [`reason`], [`clock`], [`secret`] |
//! | aside | [`sim`], which imports nothing of the crate, so that one bug cannot hide in both |
//!
//! The pure rows do no I/O, read no clock and are not async: time, keys and randomness are arguments. So vectors,
//! property tests and the offline `verify` command run exactly the code that runs in production.
//!
//! # Trust is a type
//!
//! [`wechat::Received`] → [`wechat::Screened`] → [`wechat::Verified`] → [`wechat::Authentic`] → [`store::Claimed`] →
//! [`risk::Cleared`] → [`gate::upstream::Delivered`]. Each is made only in its own module and each step consumes the
//! last, so that unverified bytes have no way to the upstream.

pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod event;
pub mod gate;
pub mod keyring;
pub mod limit;
pub mod observe;
pub mod reason;
pub mod risk;
pub mod secret;
pub mod server;
pub mod sim;
pub mod store;
pub mod wechat;
