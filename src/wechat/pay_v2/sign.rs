//! The signature, which stands in the body among what it signs (protocol 2.2). The algorithm is the endpoint's to decide,
//! never the message's.

use super::fields::Fields;
use super::{SignType, VerifyError};
use crate::wechat::crypto;
use crate::wechat::key::ApiV2Key;

/// With what a notification may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// MD5 over the string that ends with the key.
    Md5,
    /// HMAC-SHA256 over the same string.
    HmacSha256,
}

impl Algorithm {
    const ALL: [Self; 2] = [Self::HmacSha256, Self::Md5];

    /// As `sign_type` has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::HmacSha256 => "HMAC-SHA256",
        }
    }

    /// Upper-case hex over `name=value` joined by `&`, then `&key=` and the key. Values as they were received.
    pub(super) fn sign(self, key: &ApiV2Key, fields: &Fields) -> String {
        let parts = fields.signed().enumerate().flat_map(|(place, (name, value))| {
            let joint = if place == 0 { "" } else { "&" };
            [joint, name, "=", value].map(str::as_bytes)
        });
        match self {
            Self::Md5 => key.md5(parts),
            Self::HmacSha256 => key.hmac_sha256(parts),
        }
    }
}

impl SignType {
    fn allows(self, algorithm: Algorithm) -> bool {
        match self {
            Self::Either => true,
            Self::Md5 => algorithm == Algorithm::Md5,
            Self::HmacSha256 => algorithm == Algorithm::HmacSha256,
        }
    }
}

/// Checks `sign` and says which key, by its place, and which algorithm it is by.
pub(super) fn check(
    fields: &Fields,
    keys: &[ApiV2Key],
    sign_type: SignType,
) -> Result<(usize, Algorithm), VerifyError> {
    let sign = fields.get("sign").ok_or(VerifyError::Unsigned)?;
    let named = match fields.get("sign_type") {
        None => None,
        Some(named) => {
            let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == named);
            let allowed = algorithm.filter(|algorithm| sign_type.allows(*algorithm));
            Some(allowed.ok_or(VerifyError::SignTypeNamed)?)
        }
    };
    let is_meant = |algorithm: &Algorithm| named.map_or(sign_type.allows(*algorithm), |named| named == *algorithm);
    if let Some(signer) = signer(fields, keys, sign, Algorithm::ALL.into_iter().filter(is_meant)) {
        return Ok(signer);
    }
    // Refused in any case. That it is by the other algorithm is the commonest mistake of a configuration.
    let others = Algorithm::ALL.into_iter().filter(|algorithm| !is_meant(algorithm));
    match signer(fields, keys, sign, others) {
        Some((_, algorithm)) => Err(VerifyError::SignType { found: algorithm.name() }),
        None => Err(VerifyError::Signature),
    }
}

/// The first key and algorithm that the signature is by. Upper case, whole length, in constant time.
fn signer(
    fields: &Fields,
    keys: &[ApiV2Key],
    sign: &str,
    algorithms: impl Iterator<Item = Algorithm>,
) -> Option<(usize, Algorithm)> {
    let mut tries =
        algorithms.flat_map(|algorithm| keys.iter().enumerate().map(move |(place, key)| (place, key, algorithm)));
    let found =
        tries.find(|(_, key, algorithm)| crypto::is_same(algorithm.sign(key, fields).as_bytes(), sign.as_bytes()));
    found.map(|(place, _, algorithm)| (place, algorithm))
}
