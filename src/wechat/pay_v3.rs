//! WeChat Pay APIv3 notifications.

use std::time::Duration;

use bytes::Bytes;

use super::key::{ApiV3Key, VerifyingKey};
use super::{Authentic, Received, Refusal};
use crate::clock::UnixTime;
use crate::reason::Reason;

/// What an endpoint of this protocol is made from.
pub struct Settings {
    /// Largest distance between `Wechatpay-Timestamp` and our clock, past or future; at the distance itself it is refused.
    pub window: Duration,
    /// Keys that may sign, by id. At least one.
    pub verifying_keys: Vec<VerifyingKey>,
    /// APIv3 keys, newest first; more than one while the key rotates.
    pub api_v3: Vec<ApiV3Key>,
    /// Merchants that this endpoint serves; empty: any.
    pub mchids: Vec<String>,
    /// Apps that this endpoint serves; empty: any.
    pub appids: Vec<String>,
}

/// WeChat Pay APIv3 with the keys and bindings of one endpoint.
#[derive(Debug)]
pub struct PayV3 {}

/// See [`super::Screened`].
#[derive(Debug)]
pub(super) struct Screened {}

/// See [`super::Verified`].
#[derive(Debug)]
pub(super) struct Verified {}

/// A head that does not pass.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {}

/// A signature that does not pass.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {}

/// A verified callback that does not open, or belongs elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {}

impl Refusal for ScreenError {
    fn reason(&self) -> Reason {
        match *self {}
    }
}
impl Refusal for VerifyError {
    fn reason(&self) -> Reason {
        match *self {}
    }
}
impl Refusal for OpenError {
    fn reason(&self) -> Reason {
        match *self {}
    }
}

impl PayV3 {
    /// An endpoint's protocol from its keys and bindings.
    pub fn new(settings: Settings) -> Self {
        let _ = settings;
        unimplemented!()
    }

    pub(super) fn screen(&self, received: Received<'_>, now: UnixTime) -> Result<Screened, ScreenError> {
        let _ = (received, now);
        unimplemented!()
    }

    pub(super) fn verify(&self, screened: Screened, body: Bytes) -> Result<Verified, VerifyError> {
        let _ = (screened, body);
        unimplemented!()
    }

    pub(super) fn open(&self, verified: Verified) -> Result<Authentic, OpenError> {
        let _ = verified;
        unimplemented!()
    }
}
