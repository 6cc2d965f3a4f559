//! What judging costs.
fn main() {}
