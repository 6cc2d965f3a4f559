//! A row when it is open: one event with everything that is needed to judge it later and to deliver it after all.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::{Expiry, Queue, RowId};
use crate::clock::UnixTime;
use crate::event::Event;
use crate::store::digest;
use crate::wechat::Authentic;

/// The form that this version writes.
const FORM: u8 = 1;

/// What is kept of a callback beside its event.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// The policy's verdict, as JSON; empty if there is none.
    pub verdict: &'a str,
    /// The head of WeChat's request, for apps that go on verifying for themselves.
    pub headers: &'a HeaderMap,
}

/// How a row came to be, which decides what its delivery means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::store) enum Origin {
    /// A claimed event: its delivery makes it done, and it has the event's own idempotency key.
    Claimed,
    /// What came under the id of another event (I8): its delivery says nothing of that event, and it has a key of its own,
    /// or the app would take it for the other one and drop it.
    Conflict,
}

/// An open row.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) struct Row {
    pub(in crate::store) origin: Origin,
    pub(in crate::store) event: Event,
    pub(in crate::store) received_body: Bytes,
    pub(in crate::store) headers: HeaderMap,
    pub(in crate::store) signed: Signed,
    pub(in crate::store) verdict: String,
    /// Attempts before it came into `pending`.
    pub(in crate::store) attempts_before: u32,
    /// Out of which queue a person let it go.
    pub(in crate::store) released_from: Option<Queue>,
    /// `held`: how long it waits for a person, if a rule says so.
    pub(in crate::store) expiry: Option<Expiry>,
}

/// What WeChat signed; nonce and time where its protocol signs them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Signed {
    pub(in crate::store) nonce: Option<String>,
    pub(in crate::store) at: Option<UnixTime>,
    pub(in crate::store) by: String,
}

/// All of a row but the two bodies, which stand behind it as they are.
#[derive(Serialize, Deserialize)]
struct Form {
    origin: Origin,
    event: serde_json::Map<String, serde_json::Value>,
    headers: Vec<(String, String)>,
    signed: Signed,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    verdict: String,
    #[serde(default)]
    attempts_before: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    released_from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expiry: Option<Expiry>,
}

impl Row {
    pub(in crate::store) fn new(origin: Origin, authentic: &Authentic, beside: Beside<'_>) -> Self {
        Self {
            origin,
            event: authentic.event().clone(),
            received_body: authentic.received_body().clone(),
            headers: beside.headers.clone(),
            signed: Signed {
                nonce: authentic.freshness().map(|fresh| fresh.nonce.clone()),
                at: authentic.freshness().map(|fresh| fresh.signed_at),
                by: authentic.signed_by().to_string(),
            },
            verdict: beside.verdict.to_owned(),
            attempts_before: 0,
            released_from: None,
            expiry: None,
        }
    }

    pub(in crate::store) fn id(&self, endpoint: &str) -> RowId {
        RowId::new(digest::event_in_endpoint(endpoint, &self.event.id), digest::content(&self.event))
    }

    /// Whether its delivery is the delivery of the event that its id names.
    pub(super) fn is_of_its_event(&self) -> bool {
        match self.origin {
            Origin::Claimed => true,
            Origin::Conflict => false,
        }
    }

    /// The idempotency key that the upstream sees: the same for every attempt.
    pub(in crate::store) fn idempotency_key(&self, endpoint: &str) -> String {
        match self.origin {
            Origin::Claimed => digest::idempotency_key(endpoint, &self.event.id),
            Origin::Conflict => format!("evt_{}", self.id(endpoint)),
        }
    }

    /// A byte that names the form, the length of a JSON object (4 bytes), the object, the length of the decrypted body,
    /// that body, and the received body.
    pub(super) fn encode(&self) -> Vec<u8> {
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), value.as_bytes().iter().copied().map(char::from).collect())
        };
        let form = Form {
            origin: self.origin,
            event: told(&self.event),
            headers: self.headers.iter().map(header).collect(),
            signed: self.signed.clone(),
            verdict: self.verdict.clone(),
            attempts_before: self.attempts_before,
            released_from: self.released_from.map(|queue| queue.name().to_owned()),
            expiry: self.expiry,
        };
        let form = serde_json::to_vec(&form).expect("strings and numbers always serialize");
        let room = form.len().saturating_add(self.event.body.len()).saturating_add(self.received_body.len());
        let mut bytes = Vec::with_capacity(room.saturating_add(16));
        bytes.push(FORM);
        for part in [form.as_slice(), &self.event.body] {
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(&self.received_body);
        bytes
    }

    /// The inverse of [`Row::encode`]. None: another version wrote it.
    pub(super) fn decode(bytes: Vec<u8>) -> Option<Self> {
        let bytes = Bytes::from(bytes);
        let (form, rest) = bytes.split_first()?;
        if *form != FORM {
            return None;
        }
        let (form, rest) = part(rest)?;
        let (body, received_body) = part(rest)?;
        let form: Form = serde_json::from_slice(form).ok()?;
        let mut event: Event = serde_json::from_value(serde_json::Value::Object(form.event)).ok()?;
        event.body = bytes.slice_ref(body);
        let mut headers = HeaderMap::with_capacity(form.headers.len());
        for (name, value) in form.headers {
            let value: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            headers.append(name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(&value?).ok()?);
        }
        Some(Self {
            origin: form.origin,
            event,
            received_body: bytes.slice_ref(received_body),
            headers,
            signed: form.signed,
            verdict: form.verdict,
            attempts_before: form.attempts_before,
            released_from: form.released_from.as_deref().and_then(Queue::named),
            expiry: form.expiry,
        })
    }
}

/// The fields that an event has, by name; without its body.
pub(super) fn told(event: &Event) -> serde_json::Map<String, serde_json::Value> {
    let value = serde_json::to_value(event).expect("strings and numbers always serialize");
    let serde_json::Value::Object(mut fields) = value else { return serde_json::Map::new() };
    fields.retain(|_, value| !value.is_null());
    fields
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}
