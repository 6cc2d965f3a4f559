//! The starter rules of `rules/`, carried in the binary: for `wxgate init` and the demo.

use std::fs;
use std::io;
use std::path::Path;

macro_rules! files {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("../../rules/", $name)))),+] };
}

/// Every file of the folder, by its name in it.
const FILES: &[(&str, &str)] = files![
    "README.md",
    "message-core.yaml",
    "order-risk.yaml",
    "payment-core.yaml",
    "payment-risk.yaml",
    "refund-risk.yaml",
    "transfer-core.yaml",
    "lists/ours.yaml",
    "lists/people.yaml",
    "lists/wx_ranges.txt",
];

/// Writes them into `dir`, with the merchant and app whose events are ours.
pub(super) fn write(dir: &Path, mchid: &str, appid: &str) -> io::Result<()> {
    fs::create_dir_all(dir.join("lists"))?;
    for (name, text) in FILES {
        fs::write(dir.join(name), text)?;
    }
    fs::write(dir.join("lists/mchids.txt"), format!("{mchid}\n"))?;
    fs::write(dir.join("lists/appids.txt"), format!("{appid}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;
    use crate::config::read_rule_files;
    use crate::risk;

    #[test]
    fn every_file_of_the_folder_is_carried_and_loads() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "1900000001", "wxd678efh567hg6787").unwrap();
        let written = read_rule_files(dir.path()).unwrap();
        let folder = read_rule_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")).unwrap();
        let names = |files: &risk::Files| files.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&written), names(&folder));
        let loaded = risk::load(&written, UnixTime::from_secs(1_795_000_000)).unwrap();
        assert!(loaded.tests.len() > 50, "{} tests", loaded.tests.len());
    }
}
