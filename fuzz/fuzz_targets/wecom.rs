//! Anything as a callback of WeCom: query, envelope, message, check of the URL.
#![no_main]

use wxgate_fuzz::{Room, within};

libfuzzer_sys::fuzz_target!(|data: &[u8]| within(Room::PROTOCOL, data, wxgate::wechat::fuzzing::wecom));
