//! Anything as a configuration, in a directory with the keys and rules that it may name.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use wxgate_fuzz::{Room, within};

/// The directory, made once. It stays: a fuzzer ends without a word to its statics.
static SITE: LazyLock<std::path::PathBuf> = LazyLock::new(|| {
    let site = std::env::temp_dir().join("wxgate-fuzz-config");
    let keys = site.join("keys");
    fs::create_dir_all(&keys).expect("a place for the keys");
    wxgate::sim::keys::Keys::bundled().save(&keys).expect("the bundled keys");
    for (name, secret) in [("token", "fuzzingToken"), ("aes", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")] {
        fs::write(keys.join(name), secret).expect("a place for the keys");
    }
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/payment-core.yaml");
    fs::create_dir_all(site.join("rules")).expect("a place for the rules");
    fs::write(site.join("rules/shop.yaml"), fs::read(rules).expect("the starter rules"))
        .expect("a place for the rules");
    site
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    within(Room::TEXTS, data, |data| wxgate::config::fuzzing::configuration(&SITE, data));
});
