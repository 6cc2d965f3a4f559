//! What WeChat's and the merchant's side of the API share: errors in WeChat's form and the authorization of requests.
//!
//! Source: WeChat Pay APIv3, "Generate signatures" and "Error codes".

use super::keys::Merchant;
use super::sign;

/// The scheme of the `Authorization` header.
pub const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048";
/// How far a request's timestamp may be off, in seconds.
const TOLERANCE: u64 = 300;

/// A refusal in WeChat's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// Such as `SIGN_ERROR`.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl ApiError {
    /// A refusal.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// 400 `PARAM_ERROR`.
    pub fn param(message: impl Into<String>) -> Self {
        Self::new(400, "PARAM_ERROR", message)
    }

    fn sign(message: &str) -> Self {
        Self::new(401, "SIGN_ERROR", message)
    }
}

/// The part of a request that is signed.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// Path and query, as sent.
    pub target: &'a str,
    /// The body; empty for GET.
    pub body: &'a [u8],
}

/// The `Authorization` header of a request that `merchant` makes at `unix` seconds.
pub fn authorization(merchant: &Merchant, request: Signed<'_>, unix: i64) -> String {
    let (timestamp, nonce) = (unix.to_string(), sign::random_text::<32>());
    let message = sign::request_message(request.method, request.target, &timestamp, &nonce, request.body);
    format!(
        r#"{SCHEME} mchid="{}",nonce_str="{nonce}",signature="{}",timestamp="{timestamp}",serial_no="{}""#,
        merchant.mchid,
        merchant.key.sign(&message),
        merchant.serial
    )
}

/// Checks who made a request.
pub fn authorize(merchant: &Merchant, request: Signed<'_>, header: Option<&str>, unix: i64) -> Result<(), ApiError> {
    let header = header.ok_or_else(|| ApiError::sign("the request has no Authorization header"))?;
    let parameters = header
        .strip_prefix(SCHEME)
        .and_then(|rest| rest.strip_prefix(' '))
        .ok_or_else(|| ApiError::sign("Authorization is not WECHATPAY2-SHA256-RSA2048"))?;
    let parameter = |name: &str| {
        let mut values = parameters.split(',').filter_map(|part| {
            let value = part.trim().strip_prefix(name)?.strip_prefix("=\"")?;
            value.strip_suffix('"')
        });
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() => Ok(value),
            _ => Err(ApiError::sign(&format!("Authorization must have {name} once"))),
        }
    };
    let (timestamp, nonce) = (parameter("timestamp")?, parameter("nonce_str")?);
    if parameter("mchid")? != merchant.mchid {
        return Err(ApiError::sign("mchid is not known here"));
    }
    if parameter("serial_no")? != merchant.serial {
        return Err(ApiError::sign("serial_no is not the merchant's API certificate"));
    }
    let is_fresh = timestamp.parse::<i64>().is_ok_and(|at| at.abs_diff(unix) <= TOLERANCE);
    if !is_fresh {
        return Err(ApiError::sign("timestamp is more than five minutes off"));
    }
    let message = sign::request_message(request.method, request.target, timestamp, nonce, request.body);
    if !merchant.key.public().verifies(&message, parameter("signature")?) {
        return Err(ApiError::sign("the signature does not hold"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::keys::Keys;

    const REQUEST: Signed<'_> = Signed { method: "POST", target: "/v3/pay/transactions/native", body: b"{}" };
    const NOW: i64 = 1_700_000_000;

    #[test]
    fn what_the_merchant_signs_is_authorized_and_nothing_else() {
        let keys = Keys::bundled();
        let merchant = &keys.merchant;
        let header = authorization(merchant, REQUEST, NOW);
        assert_eq!(authorize(merchant, REQUEST, Some(&header), NOW + 300), Ok(()));

        let mut forger = merchant.clone();
        forger.key = keys.stranger.clone();
        let by_stranger = authorization(&forger, REQUEST, NOW);
        let other = authorization(&Merchant { mchid: "1900000009".to_owned(), ..merchant.clone() }, REQUEST, NOW);
        let old_serial = authorization(&Merchant { serial: "00".to_owned(), ..merchant.clone() }, REQUEST, NOW);
        let twice = format!("{header},mchid=\"{}\"", merchant.mchid);
        for (what, request, header, now) in [
            ("no header", REQUEST, None, NOW),
            ("another scheme", REQUEST, Some(header.replacen(SCHEME, "Bearer", 1)), NOW),
            ("another key", REQUEST, Some(by_stranger), NOW),
            ("another merchant", REQUEST, Some(other), NOW),
            ("another serial", REQUEST, Some(old_serial), NOW),
            ("a repeated parameter", REQUEST, Some(twice), NOW),
            ("another body", Signed { body: b"{ }", ..REQUEST }, Some(header.clone()), NOW),
            ("another target", Signed { target: "/v3/certificates", ..REQUEST }, Some(header.clone()), NOW),
            ("another method", Signed { method: "GET", ..REQUEST }, Some(header.clone()), NOW),
            ("too late", REQUEST, Some(header.clone()), NOW + 301),
            ("too early", REQUEST, Some(header), NOW - 301),
        ] {
            let refused = authorize(merchant, request, header.as_deref(), now).unwrap_err();
            assert_eq!((refused.status, refused.code), (401, "SIGN_ERROR"), "{what}");
        }
    }
}
