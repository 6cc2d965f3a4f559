//! A WeChat that you can run. Imports nothing else of the crate, so that one bug cannot hide in both.

pub mod keys;
pub mod shop;
