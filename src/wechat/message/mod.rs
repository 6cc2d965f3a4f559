//! Message push of official accounts, mini programs and open platforms (protocol 3). `sealed` is the way of what is
//! encrypted and `document` its two forms; `content` reads what was inside, `reply` writes what goes back.
//!
//! In plain mode the signature covers the query alone, never the body: whoever has seen one query can write any body until
//! its timestamp is stale (protocol 3.2). That a signature counts once is all that there is against it.

pub(super) mod content;
pub mod diagnosis;
mod document;
mod refusal;
mod reply;
pub(super) mod sealed;
#[cfg(test)]
pub(in crate::wechat) mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::biz_msg_crypt::{Crypt, SignedBy};
use super::key::{EncodingAesKey, Token};
use super::query::Query;
use super::{Authentic, Freshness, Received, head};
use crate::clock::UnixTime;

pub use refusal::{DocumentError, EchoError, Format, OpenError, ScreenError, VerifyError};
pub use reply::{Reply, ReplyFault, ReplyTo};

use content::Family;
use sealed::Head;

/// Longest echostr in bytes. WeChat's have 19 digits.
const MAX_ECHO: usize = 256;
/// How every push is signed (protocol 3.2), plain or encrypted. No push says so itself.
const SCHEME: &str = "SHA1";

/// How WeChat's console is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 明文模式: bodies are plain text, and authenticated by nothing.
    Plain,
    /// 兼容模式: bodies hold plain text and the encrypted; only the encrypted counts.
    Compatible,
    /// 安全模式: bodies are encrypted.
    Safe,
}

/// What an endpoint of this protocol is made from.
pub struct Settings {
    /// Largest distance between `timestamp` and our clock, past or future; at the distance itself it is refused.
    pub window: Duration,
    /// Tokens that may sign; more than one while it rotates. At least one.
    pub tokens: Vec<Token>,
    /// EncodingAESKeys, newest first; the previous one is kept while messages under it may come. At least one, but in
    /// plain mode.
    pub aes: Vec<EncodingAesKey>,
    /// As in WeChat's console.
    pub mode: Mode,
    /// Whether a signature counts once. In plain mode it has to; of an encrypted message the identity is enough, and
    /// whether WeChat signs a retry afresh is documented nowhere.
    pub single_use: bool,
    /// The app ids that messages may end with; of an open platform the component's. At least one, but in plain mode.
    pub appids: Vec<String>,
    /// Whether this is an open platform, which speaks for many accounts.
    pub is_open_platform: bool,
}

/// Message push with the keys and bindings of one endpoint.
#[derive(Debug)]
pub struct Message {
    window: Duration,
    crypt: Crypt,
    mode: Mode,
    single_use: bool,
    family: Family,
}

/// See [`super::Screened`].
#[derive(Debug)]
pub(super) enum Screened {
    /// Of an encrypted push; its signature is over the body.
    Sealed(sealed::Screened),
    /// Of a plain push; its signature is verified, but says nothing of the body.
    Plain(Plain),
}

/// See [`super::Verified`].
#[derive(Debug)]
pub(super) enum Verified {
    Sealed(sealed::Verified),
    Plain(Plain, Bytes),
}

/// The head of a plain push with its signature, which held.
#[derive(Debug)]
pub(super) struct Plain {
    head: Head,
    signature: String,
    signer: SignedBy,
}

impl Message {
    /// An endpoint's protocol from its keys and bindings.
    pub fn new(settings: Settings) -> Self {
        let Settings { window, tokens, aes, mode, single_use, appids, is_open_platform } = settings;
        let family = if is_open_platform { Family::OpenPlatform } else { Family::Message };
        Self { window, crypt: Crypt::new(tokens, aes, appids), mode, single_use, family }
    }

    /// The protocol's name in configuration and audit.
    pub(super) const fn name(&self) -> &'static str {
        match self.family {
            Family::OpenPlatform => "open-platform",
            Family::Message | Family::WeCom => "message",
        }
    }

    pub(super) fn screen(&self, received: Received<'_>, now: UnixTime) -> Result<Screened, ScreenError> {
        if *received.method != Method::POST {
            return Err(ScreenError::Method);
        }
        let query = Query::parse(received.query)?;
        let is_encrypted = match query.at_most_once("encrypt_type")? {
            None | Some("" | "raw") => false,
            Some("aes") => true,
            Some(_) => return Err(ScreenError::EncryptType),
        };
        match (self.mode, is_encrypted) {
            (Mode::Plain, true) => Err(ScreenError::Encrypted),
            (Mode::Compatible | Mode::Safe, false) => Err(ScreenError::NotEncrypted),
            (Mode::Compatible | Mode::Safe, true) => {
                sealed::screen(received, &query, now, self.window).map(Screened::Sealed)
            }
            (Mode::Plain, false) => {
                let plain = self.head_signed(&query, now)?;
                if head::is_plain(received.headers) { Ok(Screened::Plain(plain)) } else { Err(ScreenError::Compressed) }
            }
        }
    }

    pub(super) fn verify(&self, screened: Screened, body: Bytes) -> Result<Verified, VerifyError> {
        match screened {
            Screened::Sealed(screened) => sealed::verify(&self.crypt, screened, body).map(Verified::Sealed),
            Screened::Plain(plain) => Ok(Verified::Plain(plain, body)),
        }
    }

    pub(super) fn open(&self, verified: Verified) -> Result<Authentic, OpenError> {
        match verified {
            Verified::Sealed(verified) => open(self.family, &self.crypt, verified, self.single_use),
            Verified::Plain(plain, body) => {
                let Plain { head, signature, signer } = plain;
                let content = content::read(self.family, None, body.clone())?;
                let reply_to = ReplyTo::plain(content.format, content.acknowledgement);
                Ok(Authentic {
                    event: Box::new(content.event),
                    freshness: self.single_use.then_some(Freshness { nonce: signature, signed_at: head.signed_at }),
                    signed_by: signer.into_name(),
                    scheme: Some(SCHEME),
                    reply_to: Some(reply_to),
                    received_body: body,
                })
            }
        }
    }

    /// Answers the check of the URL: what comes back is echostr itself, in whatever mode (protocol 3.1). No signature
    /// covers it, so it goes out as plain text, never as a page.
    pub fn echo(&self, received: Received<'_>, now: UnixTime) -> Result<Bytes, EchoError> {
        if *received.method != Method::GET {
            return Err(ScreenError::Method.into());
        }
        let query = Query::parse(received.query).map_err(ScreenError::from)?;
        let echo = query.once("echostr").map_err(ScreenError::from)?;
        self.head_signed(&query, now)?;
        if echo.len() > MAX_ECHO || !echo.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ScreenError::Form("echostr").into());
        }
        Ok(Bytes::copy_from_slice(echo.as_bytes()))
    }

    /// A head with the `signature` over timestamp and nonce.
    fn head_signed(&self, query: &Query<'_>, now: UnixTime) -> Result<Plain, ScreenError> {
        let signature = query.once("signature")?.to_owned();
        let head = Head::read(query, now, self.window)?;
        let signer = self.crypt.signer(&[&head.timestamp, &head.nonce], &signature);
        Ok(Plain { head, signature, signer: signer.ok_or(ScreenError::Signature)? })
    }
}

/// An encrypted push that was verified: the event in it, and how to answer it.
pub(super) fn open(
    family: Family,
    crypt: &Crypt,
    verified: sealed::Verified,
    single_use: bool,
) -> Result<Authentic, OpenError> {
    let opened = sealed::open(crypt, &verified.signer, &verified.encrypted)?;
    let receive_id = Arc::clone(opened.receive_id());
    let content = content::read(family, Some(&receive_id), opened.message)?;
    let signed_at = verified.head.signed_at;
    let reply_to = ReplyTo::sealed(
        verified.format,
        content.acknowledgement,
        reply::Seal { by: opened.sealed_by, nonce: verified.head.nonce, is_lower_case: verified.is_lower_case },
    );
    Ok(Authentic {
        event: Box::new(content.event),
        freshness: single_use.then_some(Freshness { nonce: verified.signature, signed_at }),
        signed_by: verified.signer.into_name(),
        scheme: Some(SCHEME),
        reply_to: Some(reply_to),
        received_body: verified.body,
    })
}

/// What a body says is encrypted, for [`super::fuzzing`].
#[cfg(fuzzing)]
pub(super) fn encrypted_for_fuzzing(body: &[u8]) -> Option<String> {
    document::envelope(body).ok()?.encrypted
}
