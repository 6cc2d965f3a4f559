//! The flow of one callback, and the one way out.

pub mod endpoint;
pub mod pipeline;
pub mod upstream;
