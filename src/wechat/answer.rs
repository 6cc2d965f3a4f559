//! Outcomes in the protocol's own words. A stranger learns nothing from an answer: every refusal of one status reads
//! the same, whichever check failed.

use crate::reason::Reason;

/// What is sent back to WeChat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Media type of `body`.
    pub content_type: &'static str,
    /// Body bytes.
    pub body: &'static str,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u32>,
}

/// The answer to a WeChat Pay APIv3 notification (also used where no endpoint, and so no protocol, is known).
pub fn pay_v3(reason: Reason) -> Answer {
    let _ = reason;
    unimplemented!()
}
