//! Anything in a callback of any protocol, made as WeChat makes it and changed on its way, through all steps.
#![no_main]

use wxgate_fuzz::{Room, within};

libfuzzer_sys::fuzz_target!(|data: &[u8]| within(Room::PROTOCOL, data, wxgate::wechat::fuzzing::entry));
