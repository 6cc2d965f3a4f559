//! One endpoint's protocol, whichever it is: the only place that lists them. A protocol's own folder does the work.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use super::answer::{self, Answer};
use super::key::VerifyingKey;
use super::{Authentic, Received, Refused, Screened, ScreenedAs, Verified, VerifiedAs, message, pay_v2, pay_v3, wecom};
use crate::clock::UnixTime;
use crate::reason::Reason;

/// A protocol together with the keys and bindings of one endpoint.
#[derive(Debug)]
pub enum Protocol {
    /// WeChat Pay APIv3 notifications.
    PayV3(pay_v3::PayV3),
    /// WeChat Pay v2 notifications.
    PayV2(pay_v2::PayV2),
    /// Message push of official accounts, mini programs and open platforms.
    Message(message::Message),
    /// WeCom's callbacks.
    WeCom(wecom::WeCom),
}

impl Protocol {
    /// Step 2: headers present, once each, well-formed; timestamp within the window; serial known. No crypto.
    pub fn screen(&self, received: Received<'_>, now: UnixTime) -> Result<Screened, Refused> {
        Ok(Screened(match self {
            Self::PayV3(pay) => ScreenedAs::PayV3(pay.screen(received, now)?),
            Self::PayV2(_) => ScreenedAs::PayV2(pay_v2::PayV2::screen(received, now)?),
            Self::Message(push) => ScreenedAs::Message(push.screen(received, now)?),
            Self::WeCom(push) => ScreenedAs::WeCom(push.screen(received, now)?),
        }))
    }

    /// Step 3: the signature, over exactly `body`.
    pub fn verify(&self, screened: Screened, body: Bytes) -> Result<Verified, Refused> {
        Ok(Verified(match (self, screened.0) {
            (Self::PayV3(_), ScreenedAs::PayV3(screened)) => VerifiedAs::PayV3(pay_v3::PayV3::verify(screened, body)?),
            (Self::PayV2(pay), ScreenedAs::PayV2(screened)) => VerifiedAs::PayV2(pay.verify(screened, body)?),
            (Self::Message(push), ScreenedAs::Message(screened)) => VerifiedAs::Message(push.verify(screened, body)?),
            (Self::WeCom(push), ScreenedAs::WeCom(screened)) => VerifiedAs::WeCom(push.verify(screened, body)?),
            (Self::PayV3(_) | Self::PayV2(_) | Self::Message(_) | Self::WeCom(_), _) => return Err(another_protocols()),
        }))
    }

    /// Step 4: decrypt, decode, and check that it belongs to this endpoint.
    pub fn open(&self, verified: Verified) -> Result<Authentic, Refused> {
        Ok(match (self, verified.0) {
            (Self::PayV3(pay), VerifiedAs::PayV3(verified)) => pay.open(verified)?,
            (Self::PayV2(pay), VerifiedAs::PayV2(verified)) => pay.open(verified)?,
            (Self::Message(push), VerifiedAs::Message(verified)) => push.open(verified)?,
            (Self::WeCom(push), VerifiedAs::WeCom(verified)) => push.open(verified)?,
            (Self::PayV3(_) | Self::PayV2(_) | Self::Message(_) | Self::WeCom(_), _) => return Err(another_protocols()),
        })
    }

    /// The answer to WeChat's check of the URL, a GET, in the place of all steps. None where the protocol has no such
    /// check, or this is none: then the callback goes its way.
    pub fn echo(&self, received: Received<'_>, now: UnixTime) -> Option<Result<Answer, Refused>> {
        let echo = match self {
            Self::Message(push) if received.method == Method::GET => push.echo(received, now),
            Self::WeCom(push) if received.method == Method::GET => push.echo(received, now),
            Self::PayV3(_) | Self::PayV2(_) | Self::Message(_) | Self::WeCom(_) => return None,
        };
        Some(echo.map(answer::echo).map_err(Refused::from))
    }

    /// The configured keys that verify callbacks; none where a shared secret does.
    pub fn configured_keys(&self) -> &[Arc<VerifyingKey>] {
        match self {
            Self::PayV3(pay) => pay.verifying_keys(),
            Self::PayV2(_) | Self::Message(_) | Self::WeCom(_) => &[],
        }
    }

    /// Every key that verifies callbacks now, configured ones first.
    pub fn verifying_keys(&self) -> Vec<Arc<VerifyingKey>> {
        match self {
            Self::PayV3(pay) => pay.verifying_keys().iter().chain(pay.downloaded().get().iter()).cloned().collect(),
            Self::PayV2(_) | Self::Message(_) | Self::WeCom(_) => Vec::new(),
        }
    }

    /// The protocol's name in configuration and audit.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PayV3(_) => "pay-v3",
            Self::PayV2(_) => "pay-v2",
            Self::Message(push) => push.name(),
            Self::WeCom(_) => "wecom",
        }
    }

    /// Turns a reason into the protocol's own answer.
    pub fn answer(&self, reason: Reason) -> Answer {
        match self {
            Self::PayV3(_) => answer::pay_v3(reason),
            Self::PayV2(_) => answer::pay_v2(reason),
            Self::Message(_) => answer::message(reason),
            Self::WeCom(_) => answer::wecom(reason),
        }
    }
}

/// What was screened by one protocol is never given to another: an endpoint has one.
fn another_protocols() -> Refused {
    Refused {
        reason: Reason::InternalError,
        detail: "a callback of another protocol than the endpoint's".to_owned(),
        unknown_key: None,
    }
}
