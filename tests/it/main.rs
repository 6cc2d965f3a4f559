//! End to end: real sockets, a real simulated WeChat, a real process where signals matter.

mod bad_requests;
mod commands;
mod config_reload;
mod delivery;
mod gateway;
mod http_client;
mod other_implementation;
mod process;
mod protocols_of_the_wire;
mod replay;
