//! Anything as the head and body of a callback, up to the signature.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::wechat::fuzzing::pay_v3_head(data));
