//! Downloaded certificates on disk, so that a restart needs no network.
//!
//! They are trusted because a download proved them, so the file has to prove that it is what such a download wrote: it
//! begins with an HMAC under a key drawn from the merchant's private key, which nobody has who could only write files, nor
//! whoever knows the APIv3 key. Merchant and URL are under it as well, so that a file of another place is no use here. An
//! older copy passes too: it can hold nothing but certificates that WeChat issued, and those that have ended are dropped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Held, Origin, Settings, State};
use crate::clock::UnixTime;
use crate::wechat::key::KeyError;
use crate::wechat::pay_v3::certificates::Certificate;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// What a file holds.
pub(super) struct Cached {
    pub(super) held: Vec<Held>,
    pub(super) taken_at: UnixTime,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is no cache of certificates")]
    Form,
    #[error("it was not written with this merchant's key, or was changed since")]
    Mac,
    #[error("it belongs to another merchant or URL")]
    Other,
    #[error("a certificate in it cannot be read: {0}")]
    Certificate(#[from] KeyError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    mchid: String,
    url: String,
    /// Unix seconds.
    taken_at: i64,
    certificates: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Unix seconds.
    listed_at: i64,
    pem: String,
}

/// What the file holds that is still valid; none if there is no file. Blocking.
pub(super) fn read(path: &Path, settings: &Settings, now: UnixTime) -> Result<Option<Cached>, CacheError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(CacheError::Form);
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    let at = bytes.iter().position(|byte| *byte == b'\n').ok_or(CacheError::Form)?;
    let (tag, rest) = bytes.split_at_checked(at).ok_or(CacheError::Form)?;
    let content = rest.get(1..).ok_or(CacheError::Form)?;
    let tag = base64_simd::STANDARD.decode_to_vec(tag).map_err(|_| CacheError::Form)?;
    // Nothing of it is parsed before it is known to be ours.
    if !settings.merchant.vouches(content, &tag) {
        return Err(CacheError::Mac);
    }
    let content: Content = serde_json::from_slice(content).map_err(|_| CacheError::Form)?;
    if content.mchid != **settings.merchant.mchid() || content.url != settings.url.to_string() {
        return Err(CacheError::Other);
    }
    let held = content.certificates.iter().map(|entry| {
        let certificate = Certificate::from_pem(&entry.pem)?;
        Ok(Held { certificate, listed_at: UnixTime::from_secs(entry.listed_at), origin: Origin::Cache })
    });
    let mut state = State {
        held: held.collect::<Result<_, KeyError>>()?,
        taken_at: Some(UnixTime::from_secs(content.taken_at)),
        ..State::default()
    };
    state.prune(now);
    Ok(Some(Cached { held: state.held, taken_at: UnixTime::from_secs(content.taken_at) }))
}

/// Writes what is held, whole or not at all: into a file beside, synced, which then takes the place. Blocking.
pub(super) fn write(path: &Path, settings: &Settings, held: &[Held], taken_at: UnixTime) -> io::Result<()> {
    let entry = |held: &Held| Entry { listed_at: held.listed_at.secs(), pem: held.certificate.pem.to_string() };
    let content = serde_json::to_vec(&Content {
        mchid: settings.merchant.mchid().to_string(),
        url: settings.url.to_string(),
        taken_at: taken_at.secs(),
        certificates: held.iter().map(entry).collect(),
    })?;
    let tag = base64_simd::STANDARD.encode_to_string(settings.merchant.mac(&content));
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let beside = beside(path);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(tag.as_bytes())?;
    file.write_all(b"\n")?;
    file.write_all(&content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(dir)?.sync_all()
}

/// Of this process alone: another gateway may share the folder.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}
