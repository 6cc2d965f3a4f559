//! The way of an encrypted push, the same for message push and WeCom: head, signature over the exact `Encrypt`, and only
//! then the cipher.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::biz_msg_crypt::{Crypt, Fault, SealedBy, SignedBy};
use super::super::query::Query;
use super::super::{Received, head};
use super::document::{self, Envelope};
use super::refusal::{Format, OpenError, ScreenError, VerifyError};
use crate::clock::UnixTime;

/// Longest nonce in bytes. WeChat's have 10 digits, WeCom's up to 32 characters.
const MAX_NONCE: usize = 64;

/// What every push says in its query.
#[derive(Debug)]
pub(in crate::wechat) struct Head {
    /// As received: this text was signed, not the number.
    pub(super) timestamp: String,
    pub(super) nonce: String,
    pub(super) signed_at: UnixTime,
}

/// An encrypted push of which only the head was judged.
#[derive(Debug)]
pub(in crate::wechat) struct Screened {
    head: Head,
    msg_signature: String,
}

/// An encrypted push with WeChat's signature on it.
#[derive(Debug)]
pub(in crate::wechat) struct Verified {
    pub(super) head: Head,
    pub(super) signature: String,
    pub(super) encrypted: String,
    pub(super) format: Format,
    pub(super) is_lower_case: bool,
    pub(super) signer: SignedBy,
    pub(super) body: Bytes,
}

/// A push out of its encryption.
pub(in crate::wechat) struct Opened {
    pub(super) message: Bytes,
    pub(super) sealed_by: SealedBy,
}

impl Head {
    /// Timestamp and nonce, once each and well-formed, the timestamp within the window.
    pub(in crate::wechat) fn read(query: &Query<'_>, now: UnixTime, window: Duration) -> Result<Self, ScreenError> {
        let (timestamp, nonce) = (query.once("timestamp")?, query.once("nonce")?);
        let signed_at = head::timestamp(timestamp.as_bytes(), now, window)?;
        let is_nonce = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if nonce.len() > MAX_NONCE || !nonce.bytes().all(is_nonce) {
            return Err(ScreenError::Form("nonce"));
        }
        Ok(Self { timestamp: timestamp.to_owned(), nonce: nonce.to_owned(), signed_at })
    }
}

/// The head of an encrypted push.
pub(in crate::wechat) fn screen(
    received: Received<'_>,
    query: &Query<'_>,
    now: UnixTime,
    window: Duration,
) -> Result<Screened, ScreenError> {
    let msg_signature = query.once("msg_signature")?.to_owned();
    let head = Head::read(query, now, window)?;
    if head::is_plain(received.headers) { Ok(Screened { head, msg_signature }) } else { Err(ScreenError::Compressed) }
}

/// The signature, over the text of `Encrypt` exactly as it stands in the body (protocol 3.2).
pub(in crate::wechat) fn verify(crypt: &Crypt, screened: Screened, body: Bytes) -> Result<Verified, VerifyError> {
    let envelope = document::envelope(&body).map_err(VerifyError::Envelope)?;
    let Envelope { format, is_lower_case, encrypted } = envelope;
    let encrypted = encrypted.ok_or(VerifyError::NotEncrypted)?;
    let signer = screened.signer(crypt, &encrypted).ok_or(VerifyError::Signature)?;
    let Screened { head, msg_signature } = screened;
    Ok(Verified { head, signature: msg_signature, encrypted, format, is_lower_case, signer, body })
}

impl Screened {
    /// Who signed `encrypted` under this head, if one of the endpoint's tokens did.
    pub(in crate::wechat) fn signer(&self, crypt: &Crypt, encrypted: &str) -> Option<SignedBy> {
        crypt.signer(&[&self.head.timestamp, &self.head.nonce, encrypted], &self.msg_signature)
    }
}

/// Decrypts what was verified, and checks for whom it is.
pub(in crate::wechat) fn open(crypt: &Crypt, signer: &SignedBy, encrypted: &str) -> Result<Opened, OpenError> {
    match crypt.open(signer, encrypted) {
        Ok(opened) => Ok(Opened { message: Bytes::from(opened.message), sealed_by: opened.by }),
        Err(Fault::Ciphertext) => Err(OpenError::Ciphertext),
        Err(Fault::ReceiveId) => Err(OpenError::ReceiveId),
    }
}

impl Opened {
    /// The message itself.
    pub(in crate::wechat) fn into_message(self) -> Bytes {
        self.message
    }

    pub(super) fn receive_id(&self) -> &Arc<str> {
        self.sealed_by.receive_id()
    }
}
