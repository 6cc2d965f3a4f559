//! The engine against real servers: see [`super::servers`].

mod link;
