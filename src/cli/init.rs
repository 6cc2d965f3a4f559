//! `wxgate init`: a directory to start from: configuration, test keys, starter rules.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aws_lc_rs::rand;

use super::Exit;
use super::report::{result, talk};
use super::starter_rules;
use crate::sim::keys::Keys;

const TEMPLATE: &str = include_str!("init.toml");
/// The merchant and the app of the test keys.
const MCHID: &str = "1900000001";
const APPID: &str = "wxd678efh567hg6787";

/// Write a commented configuration, starter rules and test keys to start from.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Directory to write into; made if it does not exist
    dir: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum InitError {
    #[error("{} is there already and is not overwritten; name another directory", .0.display())]
    Exists(PathBuf),
    #[error("{}: {cause}", .path.display())]
    Io { path: PathBuf, cause: io::Error },
    #[error("test keys cannot be made: {0}")]
    Keys(String),
    #[error("the system gives no randomness")]
    Randomness,
}

/// What the configuration has to name of the test keys.
struct Named {
    public_key_id: String,
    mchid: String,
    appid: String,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match init(&args.dir) {
        Ok(()) => {
            result(next_steps(&args.dir));
            Exit::Good.into()
        }
        Err(error) => {
            talk(format_args!("wxgate init: {error}"));
            Exit::Usage.into()
        }
    }
}

pub(super) fn init(dir: &Path) -> Result<(), InitError> {
    let (config, keys, rules) = (dir.join("wxgate.toml"), dir.join("keys"), dir.join("rules"));
    // Both before anything is written: half a directory helps nobody.
    if let Some(there) = [&config, &keys, &rules].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(InitError::Exists(there.clone()));
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| InitError::Io { path, cause }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    DirBuilder::new().mode(0o700).create(&keys).map_err(failed(&keys))?;
    let named = write_test_keys(&keys)?;
    starter_rules::write(&rules, &named.mchid, &named.appid).map_err(failed(&rules))?;
    for (name, secret) in [
        ("signing.key", format!("whsec_{}", base64_simd::STANDARD.encode_to_string(random()?))),
        ("admin.token", base64_simd::URL_SAFE_NO_PAD.encode_to_string(random()?)),
        (".gitignore", "*".to_owned()),
    ] {
        let path = keys.join(name);
        write_new(&path, &format!("{secret}\n")).map_err(failed(&path))?;
    }
    close_to_others(&keys).map_err(failed(&keys))?;
    // The configuration last: where it stands, everything that it names does.
    write_new(&config, &configuration(&named)).map_err(failed(&config))?;
    fs::set_permissions(&config, Permissions::from_mode(0o644)).map_err(failed(&config))
}

/// Keys of a simulated WeChat, the private ones included: `wxgate sim` signs with them.
fn write_test_keys(dir: &Path) -> Result<Named, InitError> {
    let keys = Keys::generate(MCHID, APPID).map_err(|error| InitError::Keys(error.to_string()))?;
    keys.save(dir).map_err(|error| InitError::Keys(error.to_string()))?;
    Ok(Named {
        public_key_id: keys.platform.public_key_id.clone(),
        mchid: keys.merchant.mchid.clone(),
        appid: keys.merchant.appid.clone(),
    })
}

fn configuration(named: &Named) -> String {
    TEMPLATE
        .replace("@PUBLIC_KEY_ID@", &named.public_key_id)
        .replace("@MCHID@", &named.mchid)
        .replace("@APPID@", &named.appid)
}

fn random() -> Result<[u8; 32], InitError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| InitError::Randomness)?;
    Ok(bytes)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

fn close_to_others(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_file() {
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

fn next_steps(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "wrote {dir}/wxgate.toml, starter rules into {dir}/rules, and keys for testing into {dir}/keys

next:
  cd {dir}
  wxgate check
  wxgate sim shop --listen 127.0.0.1:9000 --secret-file keys/signing.key &
  wxgate run &
  wxgate sim send --to http://127.0.0.1:8080/notify/shop-pay --keys keys

before WeChat calls it: put the keys of your merchant account into {dir}/keys and name them in wxgate.toml.
Whoever has the test keys can sign what this configuration believes."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Examined};

    #[test]
    fn what_is_written_passes_the_check_without_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let shop = dir.path().join("shop");
        init(&shop).unwrap();
        let Examined { outcome, warnings, .. } = config::examine(&shop.join("wxgate.toml"));
        let config = outcome.unwrap_or_else(|problems| panic!("{problems}"));
        let of_ours: Vec<_> = warnings.iter().filter(|warning| !warning.message.contains("[WXL3")).collect();
        assert!(of_ours.is_empty(), "only what the starter rules say of themselves: {of_ours:?}");
        assert_eq!(config.endpoints[0].name, "shop-pay");
        assert_eq!(config.endpoints[0].upstream.signing[0].len(), 32);
    }

    #[test]
    fn keys_are_closed_to_others_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path()).unwrap();
        let keys = dir.path().join("keys");
        let mut files = 0;
        for entry in fs::read_dir(&keys).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
            files += 1;
        }
        assert!(files >= 5, "{files}");
        assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o700);

        let secret = fs::read(keys.join("signing.key")).unwrap();
        assert!(matches!(init(dir.path()), Err(InitError::Exists(_))));
        fs::remove_file(dir.path().join("wxgate.toml")).unwrap();
        assert!(matches!(init(dir.path()), Err(InitError::Exists(_))), "the keys are still there");
        assert_eq!(fs::read(keys.join("signing.key")).unwrap(), secret);
    }

    #[test]
    fn two_directories_share_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| {
            let dir = dir.path().join(name);
            init(&dir).unwrap();
            ["apiv3.key", "signing.key", "admin.token"].map(|key| fs::read(dir.join("keys").join(key)).unwrap())
        });
        for (one, other) in one.iter().zip(&other) {
            assert_ne!(one, other);
        }
    }
}
