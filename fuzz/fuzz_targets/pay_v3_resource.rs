//! Anything as the plaintext of a resource.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::wechat::fuzzing::pay_v3_resource(data));
