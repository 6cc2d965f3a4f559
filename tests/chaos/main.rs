//! What breaks, broken on purpose: gateways as processes, real Redis servers, a simulated WeChat that tells and tells again,
//! an app that keeps count, and a plan of faults that a seed draws. At the end the ledger says what became of every event.
//!
//! The tests here are the short form; `scripts/chaos` runs the same code for as long as you like.

// What is not a test here serves tests alone, and a panic is how they fail.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod campaign;
mod desk;
mod faults;
mod ledger;
mod moments;
mod node;
mod outage;
mod plan;
mod ports;
mod proxy;
mod redis;
mod seed;
mod shop;
mod site;
mod stage;
mod wechat;
