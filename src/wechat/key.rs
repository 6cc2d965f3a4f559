//! Keys that verify and open callbacks: parsed once, kept parsed.

use std::sync::Arc;

use crate::clock::UnixTime;

/// One RSA public key that may sign callbacks, with the id that `Wechatpay-Serial` names it by.
#[derive(Clone)]
pub struct VerifyingKey {
    id: Arc<str>,
    not_after: Option<UnixTime>,
}

/// Why a key cannot be used. Says what was found and what to put there instead; never key material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Placeholder until the kinds are written.
    #[error("not a key")]
    NotAKey,
}

impl VerifyingKey {
    /// From a platform certificate in PEM; its id is the certificate's serial.
    pub fn from_certificate_pem(pem: &str) -> Result<Self, KeyError> {
        let _ = pem;
        unimplemented!()
    }

    /// From WeChat Pay's public key in PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`) and its `PUB_KEY_ID_…`.
    pub fn from_public_key_pem(id: &str, pem: &str) -> Result<Self, KeyError> {
        let _ = (id, pem);
        unimplemented!()
    }

    /// The certificate's serial or the public key's id.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// End of validity; a bare public key has none.
    pub fn not_after(&self) -> Option<UnixTime> {
        self.not_after
    }
}

/// An APIv3 key: 32 bytes, used as they are.
#[derive(Clone)]
pub struct ApiV3Key {}

impl ApiV3Key {
    /// Refuses any other length than 32, with a remedy.
    pub fn new(secret: &crate::secret::Secret) -> Result<Self, KeyError> {
        let _ = secret;
        unimplemented!()
    }
}
