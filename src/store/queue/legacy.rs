//! Held events as version 0.1 before the queues kept them: one JSON file each, in the clear, in `PATH/held/`. They are sealed
//! and taken into the queue when the store opens, and the files go.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;

use super::row::Signed;
use super::{Origin, Queue, Row, Rows};
use crate::clock::UnixTime;
use crate::event::Event;
use crate::reason::Reason;
use crate::store::file::UNFINISHED;
use crate::store::{OpenError, Store};

#[derive(Deserialize)]
struct HeldFile {
    endpoint: String,
    held_at_ms: i64,
    id: String,
    kind: String,
    subject: Option<String>,
    nonce: String,
    signed_at_ms: i64,
    signed_by: String,
    body_b64: String,
    received_body_b64: String,
}

/// Takes in what is in `dir/held`. A file that cannot be read stays, and is logged.
pub(in crate::store) fn take_in(store: &Store, dir: &Path) -> Result<(), OpenError> {
    let held = dir.join("held");
    let failed = |cause| OpenError::Io { path: held.clone(), cause };
    let entries = match fs::read_dir(&held) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let Rows::File(rows) = &store.shared.rows else { return Ok(()) };
    let mut is_empty = true;
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.to_string_lossy().ends_with(UNFINISHED) {
            fs::remove_file(&path).map_err(failed)?; // never told to anybody
            continue;
        }
        let bytes = fs::read(&path).map_err(failed)?;
        let Some((endpoint, kept_at, row)) = read(&bytes) else {
            tracing::error!(file = %path.display(), "not a held event; the file stays where it is");
            is_empty = false;
            continue;
        };
        let sealed = store.sealed(Queue::Held, &endpoint, Reason::IdConflict, &row, kept_at);
        let is_kept = sealed.and_then(|row| rows.put_now(row));
        is_kept.map_err(|error| failed(io::Error::other(error.to_string())))?;
        fs::remove_file(&path).map_err(failed)?;
    }
    if is_empty {
        fs::remove_dir(&held).map_err(failed)?;
    }
    Ok(())
}

pub(super) fn read(bytes: &[u8]) -> Option<(Arc<str>, UnixTime, Row)> {
    let file: HeldFile = serde_json::from_slice(bytes).ok()?;
    let decoded = |text: &str| base64_simd::STANDARD.decode_to_vec(text).ok().map(Bytes::from);
    let row = Row {
        origin: Origin::Conflict, // the only reason for which that version held events
        event: Event {
            id: file.id,
            kind: file.kind,
            subject: file.subject,
            body: decoded(&file.body_b64)?,
            ..Event::default()
        },
        received_body: decoded(&file.received_body_b64)?,
        headers: HeaderMap::new(),
        signed: Signed {
            nonce: Some(file.nonce),
            at: Some(UnixTime::from_millis(file.signed_at_ms)),
            by: file.signed_by,
        },
        verdict: String::new(),
        attempts_before: 0,
        released_from: None,
        expiry: None,
    };
    Some((Arc::from(file.endpoint), UnixTime::from_millis(file.held_at_ms), row))
}
