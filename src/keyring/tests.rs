//! What is held and for how long, the cache, and sources over reloads. Downloads themselves: `tests/it/downloads.rs`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::observe::{AuditSettings, AuditTarget};
use crate::secret::Secret;
use crate::sim::keys::Keys;

/// A platform certificate that ends with the beginning of that year.
pub(super) fn certificate(until: i32) -> Arc<VerifyingKey> {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "Tenpay.com sign");
    parameters.not_before = rcgen::date_time_ymd(2024, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    Arc::new(VerifyingKey::from_certificate_pem(&parameters.self_signed(&key).unwrap().pem()).unwrap())
}

/// A public key.
pub(super) fn public_key() -> Arc<VerifyingKey> {
    let pem = include_str!("../sim/keys/pub_key.pem");
    Arc::new(VerifyingKey::from_public_key_pem("PUB_KEY_ID_0000000000000024101100397200000006", pem).unwrap())
}

const NOW: UnixTime = UnixTime::from_secs(1_750_000_000);

fn settings(keys: &Keys, cache: Option<&Path>) -> Settings {
    let merchant = &keys.merchant;
    let pem = Secret::new(merchant.key.pem().as_bytes().to_vec());
    Settings {
        merchant: MerchantKey::from_pem(&merchant.mchid, &merchant.serial, &pem).unwrap(),
        api_v3: vec![ApiV3Key::new(&Secret::new(merchant.api_v3_key.to_vec())).unwrap()],
        trusted: Vec::new(),
        // Nobody listens there.
        url: Uri::from_static("http://127.0.0.1:9/v3/certificates"),
        every: Duration::from_hours(12),
        min_interval: Duration::from_mins(1),
        cache: cache.map(Path::to_owned),
    }
}

fn of(keys: &Keys) -> Certificate {
    Certificate::from_pem(&keys.platform.certificate_pem).unwrap()
}

fn ids(state: &State) -> Vec<Arc<str>> {
    state.held.iter().map(|held| Arc::clone(held.certificate.key.id())).collect()
}

fn held(certificate: Certificate) -> Held {
    Held { certificate, listed_at: NOW, origin: Origin::Download }
}

#[test]
fn what_is_listed_no_more_is_trusted_for_a_day_and_what_has_ended_for_none() {
    let (old, new) = (of(&Keys::bundled()), of(&Keys::bundled().with_new_certificate().unwrap()));
    let (old_id, new_id) = (Arc::clone(old.key.id()), Arc::clone(new.key.id()));
    let mut state = State::default();
    state.take(vec![old.clone()], NOW);
    state.take(vec![new.clone(), old], NOW.plus(Duration::from_hours(1)));
    assert_eq!(ids(&state), [Arc::clone(&new_id), Arc::clone(&old_id)]);
    state.take(vec![new.clone()], NOW.plus(Duration::from_hours(12)));
    assert_eq!(ids(&state), [Arc::clone(&new_id), old_id], "both sign still");
    state.prune(NOW.plus(Duration::from_hours(24)));
    assert_eq!(ids(&state).len(), 2, "a failed download takes nothing away");
    state.take(vec![new.clone()], NOW.plus(Duration::from_hours(25)));
    assert_eq!(ids(&state), [new_id]);
    let end = new.key.not_after().unwrap();
    state.prune(end.plus(Duration::from_hours(24)));
    assert_eq!(ids(&state).len(), 1, "clocks differ");
    state.prune(end.plus(Duration::from_hours(25)));
    assert_eq!(ids(&state).len(), 0);
}

#[test]
fn the_cache_gives_back_what_was_written_to_whom_it_was_written_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys/1.certificates");
    let keys = Keys::bundled();
    let own = settings(&keys, Some(&path));
    assert!(cache::read(&path, &own, NOW).unwrap().is_none(), "there is none");
    let certificate = of(&keys);
    cache::write(&path, &own, &[held(certificate.clone())], NOW).unwrap();
    let read = |settings: &Settings, now| remembered(settings, now);
    let back = read(&own, NOW);
    assert_eq!((ids(&back), back.taken_at), (vec![Arc::clone(certificate.key.id())], Some(NOW)));
    assert_eq!((back.held[0].origin, back.held[0].listed_at), (Origin::Cache, NOW));
    assert_eq!(std::fs::read_dir(dir.path().join("keys")).unwrap().count(), 1, "nothing is left beside it");
    let late = certificate.key.not_after().unwrap().plus(Duration::from_hours(25));
    assert_eq!(ids(&read(&own, late)).len(), 0, "it has ended");

    let elsewhere = Settings { url: Uri::from_static("http://127.0.0.1:9/other"), ..own.clone() };
    assert!(matches!(cache::read(&path, &elsewhere, NOW), Err(cache::CacheError::Other)));
    let mut other = Keys::bundled();
    other.merchant.key = other.stranger.clone();
    assert!(matches!(cache::read(&path, &settings(&other, Some(&path)), NOW), Err(cache::CacheError::Mac)));
    let bytes = std::fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(97) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        std::fs::write(&path, changed).unwrap();
        assert!(cache::read(&path, &own, NOW).is_err(), "byte {at}");
        std::fs::write(&path, &bytes[..at]).unwrap();
        assert!(cache::read(&path, &own, NOW).is_err(), "cut at {at}");
    }
    assert_eq!(ids(&read(&own, NOW)).len(), 0, "and it starts as if there were none");
}

#[tokio::test]
async fn a_reload_goes_on_with_what_is_held_and_an_unused_source_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, path) = (Keys::bundled(), dir.path().join("cache"));
    let own = settings(&keys, Some(&path));
    cache::write(&path, &own, &[held(of(&keys))], NOW).unwrap();
    let audit = AuditSettings { target: AuditTarget::Off, max_size: 0, max_age: Duration::ZERO, keep: 0, facts: None };
    let keyring = Keyring::new(Clock::manual(NOW), Observe::new(&audit).unwrap());
    let source = keyring.source(&own);
    assert_eq!(source.keys().get().len(), 1, "without a download");
    assert!(Arc::ptr_eq(&source, &keyring.source(&settings(&keys, Some(&path)))), "read again, and the same");

    std::fs::remove_file(&path).unwrap();
    let mut rotated = settings(&keys.with_api_v3_key(*b"another APIv3 key of 32 letters!"), Some(&path));
    rotated.api_v3.extend(own.api_v3.clone());
    let after = keyring.source(&rotated);
    assert!(!Arc::ptr_eq(&source, &after));
    assert_eq!(after.keys().get().len(), 1, "taken over");
    let elsewhere = Settings { url: Uri::from_static("http://127.0.0.1:9/other"), ..own.clone() };
    assert_eq!(keyring.source(&elsewhere).keys().get().len(), 0, "another place's certificates are not its own");
    let task = source.task.clone();
    drop(source);
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while !task.is_finished() {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}
