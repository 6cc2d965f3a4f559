//! Wiring: settings in, a running gateway out.
