//! Genuine things again: captured bytes, WeChat's own retries, ids with other content.

use super::Case;
use super::scene::{Scene, Want};
use crate::sim::keys::SignedBy;
use crate::sim::notify::{self, Callback, Event};

/// How many copies come at once.
const COPIES: usize = 20;

pub(super) const CASES: &[Case] = &[
    Case::delivered("replayed", "captured bytes again", |s| {
        let genuine = s.genuine();
        vec![s.shot(&genuine, Want::Success), s.shot(&genuine, Want::Refusal), s.shot(&genuine, Want::Refusal)]
    }),
    Case::delivered("replayed-in-other-clothes", "captured, with headers in another order, case and spacing", |s| {
        let genuine = s.genuine();
        let mut disguised = genuine.clone().with("Request-ID", "another").with("User-Agent", "another");
        disguised.headers.reverse();
        for (name, value) in &mut disguised.headers {
            name.make_ascii_uppercase();
            *value = format!("  {value} ");
        }
        vec![s.shot(&genuine, Want::Success), s.shot(&disguised, Want::Refusal)]
    }),
    Case::delivered("replayed-at-once", "captured bytes, twenty times at once", |s| {
        let genuine = s.genuine();
        (0..COPIES).map(|_| s.shot(&genuine, Want::SuccessOrBusy)).collect()
    })
    .at_once(),
    Case::delivered("retried", "WeChat's own retry: the same event, signed afresh", |s| {
        let event = s.event();
        let tries = (0..3).map(|_| s.sign(event.body(s.keys)));
        tries.map(|callback| s.shot(&callback, Want::Success)).collect()
    }),
    Case::delivered("retried-at-once", "twenty tries of one event at once, each signed afresh", |s| {
        let event = s.event();
        let tries = (0..COPIES).map(|_| s.sign(event.body(s.keys)));
        tries.map(|callback| s.shot(&callback, Want::SuccessOrBusy)).collect()
    })
    .at_once(),
    Case::delivered("retried-by-the-other-key", "the change of keys between two tries", |s| {
        let event = s.event();
        let by = |key| notify::sign_now(s.keys, key, s.path, s.now, event.body(s.keys));
        [SignedBy::Certificate, SignedBy::PublicKey].map(|key| s.shot(&by(key), Want::Success)).into()
    }),
    Case::delivered("same-body-signed-again", "the same body to the byte, signed afresh", |s| {
        let body = s.event().body(s.keys);
        [0, 1].map(|_| s.shot(&s.sign(body.clone()), Want::Success)).into()
    }),
    Case::delivered("id-reused", "another amount under an id that was delivered: kept for a person", |s| {
        let first = s.event();
        let second = Event { resource: first.resource.replace("\"total\":100", "\"total\":1"), ..first.clone() };
        [first, second].map(|event| s.shot(&s.sign(event.body(s.keys)), Want::Success)).into()
    }),
    Case::delivered(
        "forged-before-genuine",
        "a forgery with a captured nonce comes first: it must use nothing up",
        |s| {
            let genuine = s.genuine();
            vec![s.shot(&spoiled(&genuine), Want::Refusal), s.shot(&genuine, Want::Success)]
        },
    ),
    Case::delivered("stale-before-genuine", "the head of a genuine callback, made stale, comes first", |s| {
        let genuine = s.genuine();
        let stale = genuine.clone().with("Wechatpay-Timestamp", &s.now.saturating_sub(4000).to_string());
        vec![s.shot(&stale, Want::Refusal), s.shot(&genuine, Want::Success)]
    }),
    Case::delivered("forged-after-genuine", "a forgery under an id that was delivered gets no success", |s| {
        let genuine = s.genuine();
        vec![s.shot(&genuine, Want::Success), s.shot(&spoiled(&another_try(s, &genuine)), Want::Refusal)]
    }),
    Case::delivered("nearly-future", "signed 290 seconds ahead, and remembered for as long as it would pass", |s| {
        let callback = s.stamped(&s.now.saturating_add(290).to_string());
        vec![s.shot(&callback, Want::Success), s.shot(&callback, Want::Refusal)]
    }),
];

fn another_try(scene: &Scene<'_>, callback: &Callback) -> Callback {
    scene.sign(callback.body.clone())
}

fn spoiled(callback: &Callback) -> Callback {
    let mut spoiled = callback.clone();
    spoiled.body.push(b' ');
    spoiled
}
