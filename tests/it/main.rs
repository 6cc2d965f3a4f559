//! End to end: real sockets, a real simulated WeChat, a real process where signals matter.

// What is not a test here serves tests alone, and a panic is how they fail.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod attacks;
mod bad_requests;
mod commands;
mod config_reload;
mod delivery;
mod doctor;
mod downloads;
mod gateway;
mod hostile;
mod http_client;
mod other_implementation;
mod outage;
mod pay_v2;
mod process;
mod protocols_of_the_wire;
mod push;
mod queue;
#[path = "../../src/store/redis/servers/mod.rs"]
#[allow(dead_code, reason = "the store's own tests use the rest")]
mod redis_servers;
mod replay;
mod risk;
mod rotation;
mod rules;
mod rules_of_endpoints;
mod rules_reload;
mod shared_queue;
