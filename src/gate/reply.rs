//! What goes back to WeChat beside the outcome: message push carries the app's own words back, encrypted if the push was.
//! Where a protocol asks for an acknowledgement alone, nothing of this costs anything.

use aws_lc_rs::rand;

use super::upstream::{Delivered, UpstreamError};
use crate::clock::UnixTime;
use crate::reason::Reason;
use crate::wechat::message::ReplyTo;
use crate::wechat::{Answer, Authentic, Protocol};

/// The answer to one callback, as far as it is known.
#[derive(Default)]
pub(super) struct Reply {
    to: Option<ReplyTo>,
    said: Option<Answer>,
}

impl Reply {
    /// Notes how this callback wants to be answered.
    pub(super) fn note(&mut self, authentic: &Authentic) {
        self.to = authentic.reply_to().cloned();
    }

    /// Listens to what the app said with its 2xx: a push may be asked for again in the protocol's own words.
    pub(super) fn hear(&mut self, delivered: Delivered, now: UnixTime) -> Result<Delivered, UpstreamError> {
        let Some(to) = &self.to else { return Ok(delivered) };
        let said = delivered.reply().map_or(&b""[..], |said| said);
        if to.wants_retry(said) {
            return Err(UpstreamError::WantsRetry);
        }
        let mut random = [0; 16];
        if rand::fill(&mut random).is_err() {
            // Without randomness nothing may be encrypted: the acknowledgement goes out.
            return Ok(delivered);
        }
        let reply = to.reply(said, random, now);
        if let Some(fault) = reply.fault {
            tracing::warn!(%fault, "the app's reply was not passed on");
        }
        self.said = Some(reply.answer);
        Ok(delivered)
    }

    /// The answer to a callback that ended for this reason.
    pub(super) fn answer(self, protocol: &Protocol, reason: Reason) -> Answer {
        match (self.to, self.said) {
            _ if !reason.outcome().is_success() => protocol.answer(reason),
            (_, Some(said)) => said,
            (Some(to), None) => to.acknowledge(),
            (None, None) => protocol.answer(reason),
        }
    }
}
