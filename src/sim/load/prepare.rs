//! Making the callbacks of a run. Signs with `aws-lc-rs`, which is some ten times as fast as the `rsa` package; that both
//! make the same signatures is tested.

use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Serialize;

use super::{LoadError, Settings};
use crate::sim::keys::{Keys, SignedBy};
use crate::sim::notify::{Event, Stamp, unix_now, with_signature};
use crate::sim::sample::{self, Order};
use crate::sim::sign;
use crate::sim::wire::Target;

/// A whole callback, in millionths.
const WHOLE: u64 = 1_000_000;

/// What a callback is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A new event.
    Genuine,
    /// Another try of an earlier one.
    Duplicate,
    /// A signature of random bytes.
    Forged,
}

/// Everything that a run sends.
pub struct Prepared {
    pub(super) target: Target,
    pub(super) callbacks: Vec<Callback>,
    /// When the first was signed, Unix seconds.
    pub(super) signed_from: i64,
    pub(super) signed_in: Duration,
}

pub(super) struct Callback {
    pub(super) kind: Kind,
    pub(super) message: Vec<u8>,
}

impl Prepared {
    /// How many callbacks there are.
    pub fn len(&self) -> usize {
        self.callbacks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.callbacks.is_empty()
    }

    /// How long the signing took.
    pub fn signed_in(&self) -> Duration {
        self.signed_in
    }
}

pub(super) fn prepare(settings: &Settings, keys: &Keys, target: Target, planned: usize) -> Result<Prepared, LoadError> {
    let (signed_from, begun) = (unix_now(), Instant::now());
    let pair = keys.platform.certificate_key.to_der().and_then(|der| RsaKeyPair::from_pkcs8(&der).ok());
    let maker = Maker { keys, target: &target, pair: pair.ok_or(LoadError::Key)?, run: sign::random_text::<8>() };
    let plan = plan(settings, planned);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = plan.len().div_ceil(cores).max(1);
    let callbacks = std::thread::scope(|scope| {
        let workers: Vec<_> =
            plan.chunks(share).map(|part| scope.spawn(|| part.iter().map(|one| maker.make(*one)).collect())).collect();
        let mut callbacks = Vec::with_capacity(plan.len());
        for worker in workers {
            let part: Vec<Option<Callback>> = worker.join().map_err(|_| LoadError::Key)?;
            callbacks.extend(part.into_iter().flatten());
        }
        Ok::<_, LoadError>(callbacks)
    })?;
    if callbacks.len() < plan.len() {
        return Err(LoadError::Key);
    }
    Ok(Prepared { target, callbacks, signed_from, signed_in: begun.elapsed() })
}

/// Kind and number of the event of each callback. Shares are spread evenly. A further try comes so long after the first one
/// that this has been answered, as in life, where fifteen seconds lie between.
fn plan(settings: &Settings, planned: usize) -> Vec<(Kind, usize)> {
    let distance = settings.connections.saturating_mul(4);
    let (duplicates, forged) = (millionths(settings.duplicates), millionths(settings.forged));
    // What is due of each, in millionths of a callback: whole numbers, so that shares come out exactly. The two
    // are half a callback apart, so that neither pushes the other's last one beyond the end.
    let (mut duplicates_due, mut forged_due) = (0_u64, WHOLE / 2);
    let mut events = 0_usize;
    let mut plan = Vec::with_capacity(planned);
    for number in 0..planned {
        duplicates_due = duplicates_due.saturating_add(duplicates);
        forged_due = forged_due.saturating_add(forged);
        if duplicates_due >= WHOLE && events > 0 {
            duplicates_due = duplicates_due.saturating_sub(WHOLE);
            plan.push((Kind::Duplicate, events.saturating_sub(distance.max(1))));
        } else if forged_due >= WHOLE {
            forged_due = forged_due.saturating_sub(WHOLE);
            plan.push((Kind::Forged, number.saturating_add(1_000_000_000)));
        } else {
            plan.push((Kind::Genuine, events));
            events = events.saturating_add(1);
        }
    }
    plan
}

fn millionths(share: f64) -> u64 {
    // Shares are checked to lie between 0 and 1.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let millionths = (share * 1e6).round() as u64;
    millionths
}

struct Maker<'a> {
    keys: &'a Keys,
    target: &'a Target,
    pair: RsaKeyPair,
    /// Sets the events of this run apart from those of another.
    run: String,
}

impl Maker<'_> {
    fn make(&self, (kind, number): (Kind, usize)) -> Option<Callback> {
        let body = self.event(number).body(self.keys);
        let (timestamp, nonce) = (unix_now().to_string(), sign::random_text::<32>());
        let stamp = Stamp { by: SignedBy::Certificate, timestamp: &timestamp, nonce: &nonce };
        let mut signature = vec![0; self.pair.public_modulus_len()];
        if kind == Kind::Forged {
            // Below the modulus, so that the gateway has the whole work of checking it.
            signature.iter_mut().skip(1).zip(sign::random::<255>()).for_each(|(byte, random)| *byte = random);
        } else {
            let message = sign::callback_message(&timestamp, &nonce, &body);
            self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature).ok()?;
        }
        let signature = base64_simd::STANDARD.encode_to_string(signature);
        let serial = &self.keys.platform.certificate_serial;
        let callback = with_signature(serial, stamp, &signature, &self.target.path, body);
        Some(Callback { kind, message: callback.to_http(&self.target.host) })
    }

    /// The event of a number: each try of it has the same content.
    fn event(&self, number: usize) -> Event {
        let merchant = &self.keys.merchant;
        let order = Order {
            mchid: merchant.mchid.clone(),
            appid: merchant.appid.clone(),
            out_trade_no: format!("L{}{number:010}", self.run),
            transaction_id: format!("4200000000000000{number:012}"),
            description: String::new(),
            attach: "load".to_owned(),
            total: 100,
            openid: "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".to_owned(),
            paid_at: 1_700_000_000,
        };
        let sample = sample::find("payment-native").expect("a sample of this name is in the list");
        Event { id: format!("LOAD-{}-{number:010}", self.run), ..sample.event(&order) }
    }
}
