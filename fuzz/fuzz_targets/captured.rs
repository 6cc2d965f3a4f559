//! Anything as a captured request of `wxgate verify`.
#![no_main]

use wxgate_fuzz::{Room, within};

libfuzzer_sys::fuzz_target!(|data: &[u8]| within(Room::PROTOCOL, data, wxgate::cli::fuzzing::captured));
