//! Anything as the head and body of a callback, up to the signature.
#![no_main]

use wxgate_fuzz::{Room, within};

libfuzzer_sys::fuzz_target!(|data: &[u8]| within(Room::PROTOCOL, data, wxgate::wechat::fuzzing::pay_v3_head));
