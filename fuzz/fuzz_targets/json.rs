//! Anything as strict JSON.
#![no_main]

use wxgate_fuzz::{Room, within};

libfuzzer_sys::fuzz_target!(|data: &[u8]| within(Room::PROTOCOL, data, wxgate::wechat::fuzzing::json));
