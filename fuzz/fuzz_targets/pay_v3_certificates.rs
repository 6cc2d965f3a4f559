//! Anything as the answer to a download of certificates, signed; and as a certificate in it, sealed.
#![no_main]

use wxgate_fuzz::{Room, within};

libfuzzer_sys::fuzz_target!(|data: &[u8]| within(Room::PROTOCOL, data, wxgate::wechat::fuzzing::pay_v3_certificates));
