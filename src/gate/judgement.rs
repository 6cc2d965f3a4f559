//! Between claim and act: what the endpoint's policy asks travels with the claim, and what the store answers is judged. An
//! endpoint without rules pays for none of it.

use std::borrow::Cow;
use std::net::IpAddr;

use super::endpoint::Endpoint;
use crate::clock::UnixTime;
use crate::observe::Record;
use crate::risk::ask::Asks;
use crate::risk::schema::{Around, Facts};
use crate::risk::{Decided, Inquiry, Snooze};
use crate::store::{Claimed, Store, StoreError};
use crate::wechat::Authentic;

/// What surrounds one callback, as rules see it.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) client: IpAddr,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) now: UnixTime,
    pub(super) snoozes: &'a [Snooze],
}

impl Surroundings<'_> {
    /// What to ask of the store for this event.
    pub(super) fn inquire(&self, authentic: &Authentic) -> Inquiry {
        if self.endpoint.policy.is_empty() {
            return Inquiry::default();
        }
        self.endpoint.policy.ask(&self.facts(authentic))
    }

    /// Step 6. Waits for the store only where a counter's key needs the order that came with the claim.
    pub(super) async fn decide(
        &self,
        store: &Store,
        claimed: Claimed,
        mut inquiry: Inquiry,
        record: &mut Record,
    ) -> Result<Decided<Claimed>, StoreError> {
        let policy = &self.endpoint.policy;
        if policy.is_empty() {
            record
                .facts(|persons| policy.record(&self.facts(claimed.authentic()), &inquiry, claimed.answers(), persons));
            return Ok(Decided::Cleared(policy.decide(claimed)));
        }
        let late = if inquiry.is_waiting() {
            let Asks { counters, .. } =
                policy.ask_late(&self.facts(claimed.authentic()), &mut inquiry, claimed.answers());
            store.count(&claimed, &counters).await?
        } else {
            Vec::new()
        };
        let verdict = {
            let mut answers = Cow::Borrowed(claimed.answers());
            if !late.is_empty() {
                answers.to_mut().counters.extend(late);
            }
            let facts = self.facts(claimed.authentic());
            // Tells the audit log what rules saw.
            record.facts(|persons| policy.record(&facts, &inquiry, &answers, persons));
            policy.judge(&facts, &inquiry, &answers, self.snoozes)
        };
        Ok(policy.conclude(claimed, verdict))
    }

    fn facts<'e>(&'e self, authentic: &'e Authentic) -> Facts<'e> {
        let around = Around {
            allowed_trade_types: self.endpoint.trade_types.as_deref(),
            method: self.method,
            path: self.path,
            scheme: authentic.scheme(),
            serial: Some(authentic.signed_by()),
            signed_at: authentic.freshness().map(|fresh| fresh.signed_at),
            ..Around::new(self.now, self.client, self.endpoint.name())
        };
        Facts::from_event(authentic.event(), &around)
    }
}
