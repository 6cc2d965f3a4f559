//! Anything under the message crypt: base64, blocks with any padding and length, messages.
#![no_main]

use wxgate_fuzz::{Room, within};

libfuzzer_sys::fuzz_target!(|data: &[u8]| within(Room::PROTOCOL, data, wxgate::wechat::fuzzing::biz_msg_crypt));
