//! Anything as a notification of v2, signed over what it says; and as a refund, encrypted.
#![no_main]

use wxgate_fuzz::{Room, within};

libfuzzer_sys::fuzz_target!(|data: &[u8]| within(Room::PROTOCOL, data, wxgate::wechat::fuzzing::pay_v2));
