//! Anything as a signed body: the envelope, up to the ciphertext.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::wechat::fuzzing::pay_v3_body(data));
