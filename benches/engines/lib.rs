//! Nothing: the package is its benches. See `main.rs`.
