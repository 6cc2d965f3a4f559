//! The seal of a row: AES-256-GCM over everything that the event tells. Bound to the row's id, queue and endpoint, so that
//! a sealed row that is moved, renamed or copied by somebody else does not open.
//!
//! A sealed row is `1`, the key's id (8 bytes), a nonce (12 bytes), and the ciphertext with its tag (16 bytes). Nonces are
//! random: one key may seal 2³² rows (NIST SP 800-38D, 8.3), 49 rows a second for a year and more than 2 years.
//!
//! Keys are named by their own digest. The first seals, all open: a new key is put first, and the old one is removed when
//! no row of its time is left.

use std::fs;
use std::io;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac, rand};

use super::{Head, Lane, Queue, RowId, Rows};
use crate::secret::Secret;
use crate::store::{EngineSettings, OpenError, Settings, StoreError};

/// Length of a seal key, in bytes.
const KEY_LEN: usize = 32;

/// The form that this version writes.
const FORM: u8 = 1;
const KEY_ID_LEN: usize = 8;

/// The key that a `file:` store makes for itself, beside its other files.
const KEY_FILE: &str = "seal.key";

/// The keys, the one that seals first.
pub(in crate::store) struct Seals {
    keys: Vec<Key>,
}

struct Key {
    id: [u8; KEY_ID_LEN],
    cipher: LessSafeKey,
    lanes: hmac::Key,
}

/// Why a sealed row does not open. Nothing of it is believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// Its key is not among ours.
    #[error("it is sealed with another key than those of store.seal_key: put that key back, as the last of the list")]
    UnknownKey,
    /// Not in a form that this version writes.
    #[error("it is not in a form that this version knows")]
    UnknownForm,
    /// The tag does not hold.
    #[error(
        "it was changed, or belongs to another queue, endpoint or row: somebody else wrote it, or the disk is damaged"
    )]
    Altered,
}

impl Seals {
    /// The keys of a store whose rows are open already.
    pub(in crate::store) fn of_store(settings: &Settings, rows: &Rows) -> Result<Self, OpenError> {
        match (&settings.engine, rows) {
            (EngineSettings::File(dir), Rows::File(rows)) => Self::of_dir(&settings.seal_keys, dir, !rows.is_empty()),
            (EngineSettings::Redis(_), _) if settings.seal_keys.is_empty() => Err(OpenError::NoSealKey),
            (EngineSettings::File(_) | EngineSettings::Memory | EngineSettings::Redis(_), _) => {
                Self::new(&settings.seal_keys).map_err(|cause| OpenError::Io { path: "store.seal_key".into(), cause })
            }
        }
    }

    /// Keys of [`KEY_LEN`] bytes each, or one that is made up now if there are none. `configured` may be of any other
    /// length only by a mistake of the caller, since the configuration is checked: those are left out.
    pub(super) fn new(configured: &[Secret]) -> io::Result<Self> {
        if configured.is_empty() {
            return Ok(Self { keys: vec![Key::new(&fresh_key()?)] });
        }
        Ok(Self { keys: configured.iter().map(Key::new).collect() })
    }

    /// The same for a `file:` store in `dir`: its own key is made when none is configured, and opens in any case.
    /// `has_rows` tells whether rows are there that a new key could not open.
    fn of_dir(configured: &[Secret], dir: &Path, has_rows: bool) -> Result<Self, OpenError> {
        let path = dir.join(KEY_FILE);
        let failed = |cause| OpenError::Io { path: path.clone(), cause };
        let own = match fs::read_to_string(&path) {
            Ok(text) => Some(key_of_text(text.as_bytes()).ok_or_else(|| OpenError::SealKey {
                path: path.clone(),
                what: "it does not hold 32 bytes in hexadecimal",
            })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let own = match own {
            None if configured.is_empty() && has_rows => {
                return Err(OpenError::SealKey {
                    path,
                    what: "it is missing, and the store's queues are sealed with it",
                });
            }
            None if configured.is_empty() => {
                let key = fresh_key().map_err(failed)?;
                let text = format!("{}\n", crate::store::digest::hex(key.expose()));
                crate::store::file::write_whole(dir, KEY_FILE, text.as_bytes()).map_err(failed)?;
                Some(key)
            }
            own => own,
        };
        let mut keys = Self { keys: configured.iter().map(Key::new).collect() };
        keys.keys.extend(own.as_ref().map(Key::new));
        Ok(keys)
    }

    /// Seals what a row of this head tells.
    pub(super) fn seal(&self, head: &Head, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let failed = |what: &str| StoreError::NotKept { cause: what.into() };
        let key = self.keys.first().ok_or_else(|| failed("no seal key"))?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| failed("the system gives no random numbers"))?;
        let mut sealed = Vec::with_capacity(plain.len().saturating_add(64));
        sealed.push(FORM);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        let mut text = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.cipher
            .seal_in_place_append_tag(nonce, Aad::from(bound_to(key, head)), &mut text)
            .map_err(|_| failed("sealing failed"))?;
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// Opens what was sealed under this head.
    pub(super) fn open(&self, head: &Head, sealed: &[u8]) -> Result<Vec<u8>, Unopened> {
        let (form, rest) = sealed.split_first().ok_or(Unopened::UnknownForm)?;
        let (id, rest) = rest.split_first_chunk::<KEY_ID_LEN>().ok_or(Unopened::UnknownForm)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Unopened::UnknownForm)?;
        if *form != FORM {
            return Err(Unopened::UnknownForm);
        }
        let key = self.keys.iter().find(|key| key.id == *id).ok_or(Unopened::UnknownKey)?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.cipher.open_in_place(nonce, Aad::from(bound_to(key, head)), &mut text);
        let length = opened.map_err(|_| Unopened::Altered)?.len();
        text.truncate(length);
        Ok(text)
    }

    /// The lane of a subject; without one, the row's own. By the oldest key, so that a new key in front changes no lane.
    pub(super) fn lane(&self, endpoint: &str, subject: Option<&str>, id: RowId) -> Lane {
        let Some(key) = self.keys.last() else { return Lane::default() };
        let mut mac = hmac::Context::with_key(&key.lanes);
        mac.update(&length_of(endpoint));
        mac.update(endpoint.as_bytes());
        match subject {
            Some(subject) => mac.update(subject.as_bytes()),
            None => mac.update(&id.0),
        }
        *mac.sign().as_ref().first_chunk().expect("a lane is shorter than the 32 bytes of a SHA-256")
    }
}

impl Key {
    fn new(secret: &Secret) -> Self {
        // What seals and what names lanes are different keys, both derived, so that neither use weakens the other.
        let derive = |what: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()), what);
        let cipher = UnboundKey::new(&AES_256_GCM, derive(b"wxgate seal").as_ref());
        let name = digest::digest(&digest::SHA256, derive(b"wxgate seal key id").as_ref());
        Self {
            id: *name.as_ref().first_chunk().expect("an id is shorter than the 32 bytes of a SHA-256"),
            cipher: LessSafeKey::new(cipher.expect("a MAC of SHA-256 has the 32 bytes of the cipher's key")),
            lanes: hmac::Key::new(hmac::HMAC_SHA256, derive(b"wxgate lanes").as_ref()),
        }
    }
}

/// A key of 32 bytes, as hexadecimal or base64.
pub fn key_of_text(text: &[u8]) -> Option<Secret> {
    let text = text.trim_ascii();
    let of_hex = || {
        let digit = |c: &u8| char::from(*c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let pair = |pair: &[u8]| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        };
        text.chunks(2).map(pair).collect::<Option<Vec<u8>>>()
    };
    let of_base64 = || {
        let unpadded = text.strip_suffix(b"=").unwrap_or(text);
        base64_simd::STANDARD_NO_PAD.decode_to_vec(unpadded).ok()
    };
    let bytes = if text.len() == 2 * KEY_LEN { of_hex() } else { of_base64() };
    bytes.map(Secret::new).filter(|key| key.len() == KEY_LEN)
}

fn fresh_key() -> io::Result<Secret> {
    let mut key = vec![0; KEY_LEN];
    rand::fill(&mut key).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(Secret::new(key))
}

/// What a seal is bound to beside the text. Lengths stand first, so that no two fields run into each other.
fn bound_to(key: &Key, head: &Head) -> Vec<u8> {
    let Head { id, queue, endpoint, .. } = head;
    let queue: Queue = *queue;
    let mut bound = Vec::with_capacity(128);
    bound.extend_from_slice(b"wxgate row\0");
    bound.push(FORM);
    bound.extend_from_slice(&key.id);
    bound.extend_from_slice(&id.0);
    for field in [queue.name(), endpoint] {
        bound.extend_from_slice(&length_of(field));
        bound.extend_from_slice(field.as_bytes());
    }
    bound
}

fn length_of(text: &str) -> [u8; 8] {
    u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes()
}
