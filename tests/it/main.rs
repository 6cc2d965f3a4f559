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
mod http_client;
mod other_implementation;
mod outage;
mod pay_v2;
mod process;
mod protocols_of_the_wire;
mod push;
mod queue;
mod replay;
mod rotation;
mod rules;
