//! WeCom's callbacks (protocol 4): message push that is always encrypted, and whose check of the URL is as well.

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::biz_msg_crypt::Crypt;
use super::key::{EncodingAesKey, Token};
use super::message::content::Family;
use super::message::diagnosis::{Diagnosis, Subject};
use super::message::{self, EchoError, OpenError, ScreenError, VerifyError, sealed};
use super::query::Query;
use super::{Authentic, Received};
use crate::clock::UnixTime;

/// Longest encrypted echostr in bytes. WeCom's have below 128.
const MAX_ECHO: usize = 1024;

/// What an endpoint of this protocol is made from.
pub struct Settings {
    /// Largest distance between `timestamp` and our clock, past or future; at the distance itself it is refused.
    pub window: Duration,
    /// Tokens that may sign; more than one while it rotates. At least one.
    pub tokens: Vec<Token>,
    /// EncodingAESKeys, newest first; the previous one is kept while messages under it may come. At least one.
    pub aes: Vec<EncodingAesKey>,
    /// Whether a signature counts once. WeCom promises that nonces do not repeat within two hours.
    pub single_use: bool,
    /// The ids that messages may end with: the corp id of an own app; of a suite's command URL its suite id, and for the
    /// check of that URL the provider's corp id; the empty text of bots and of apps that an individual owns. At least one.
    pub receive_ids: Vec<String>,
}

/// WeCom with the keys and bindings of one endpoint.
#[derive(Debug)]
pub struct WeCom {
    window: Duration,
    crypt: Crypt,
    single_use: bool,
}

impl WeCom {
    /// An endpoint's protocol from its keys and bindings.
    pub fn new(settings: Settings) -> Self {
        let Settings { window, tokens, aes, single_use, receive_ids } = settings;
        Self { window, crypt: Crypt::new(tokens, aes, receive_ids), single_use }
    }

    pub(super) fn screen(&self, received: Received<'_>, now: UnixTime) -> Result<sealed::Screened, ScreenError> {
        if *received.method != Method::POST {
            return Err(ScreenError::Method);
        }
        sealed::screen(received, &Query::parse(received.query)?, now, self.window)
    }

    pub(super) fn verify(&self, screened: sealed::Screened, body: Bytes) -> Result<sealed::Verified, VerifyError> {
        sealed::verify(&self.crypt, screened, body)
    }

    pub(super) fn open(&self, verified: sealed::Verified) -> Result<Authentic, OpenError> {
        message::open(Family::WeCom, &self.crypt, verified, self.single_use)
    }

    /// Judges a captured callback or check of the URL and names what is wrong with it, by some dozens of signatures.
    pub fn diagnose(&self, received: Received<'_>, body: &Bytes, now: UnixTime) -> Diagnosis {
        let judge = |received: Received<'_>, body: &Bytes, now| {
            if *received.method == Method::GET {
                return self.echo(received, now).map(drop);
            }
            let screened = self.screen(received, now)?;
            Ok(self.open(self.verify(screened, body.clone())?).map(drop)?)
        };
        Subject { crypt: &self.crypt, is_wecom: true, judge: &judge }.diagnose(received, body, now)
    }

    /// Answers the check of the URL: what comes back is what echostr holds encrypted, without quotes and line break, and
    /// within a second (protocol 4). Unlike an official account's, which is echostr itself.
    pub fn echo(&self, received: Received<'_>, now: UnixTime) -> Result<Bytes, EchoError> {
        if *received.method != Method::GET {
            return Err(ScreenError::Method.into());
        }
        let query = Query::parse(received.query).map_err(ScreenError::from)?;
        // What is in front may have read a raw plus as a space and passed it on as one. Base64 has no space.
        let encrypted = query.once("echostr").map_err(ScreenError::from)?.replace(' ', "+");
        if encrypted.len() > MAX_ECHO {
            return Err(ScreenError::Form("echostr").into());
        }
        let screened = sealed::screen(received, &query, now, self.window)?;
        let signer = screened.signer(&self.crypt, &encrypted).ok_or(VerifyError::Signature)?;
        Ok(sealed::open(&self.crypt, &signer, &encrypted)?.into_message())
    }
}
