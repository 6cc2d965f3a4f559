//! Anything as what a disk gives back: journal, queue log, rows.
#![no_main]

use wxgate_fuzz::{Room, within};

libfuzzer_sys::fuzz_target!(|data: &[u8]| within(Room::STORE, data, wxgate::store::fuzzing::store));
