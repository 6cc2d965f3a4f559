//! What opens, and all that does not.

use std::os::unix::fs::PermissionsExt as _;

use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::event::Event;
use crate::risk::OnExpiry;
use crate::secret::Secret;
use crate::store::queue::row::Signed;
use crate::store::queue::seal::Unopened;
use crate::store::{EngineSettings, Settings};

fn key(byte: u8) -> Secret {
    Secret::new(vec![byte; 32])
}

fn seals(keys: &[u8]) -> Seals {
    let keys: Vec<Secret> = keys.iter().map(|byte| key(*byte)).collect();
    Seals::new(&keys).unwrap()
}

fn file_settings(dir: &Path, seal_keys: Vec<Secret>) -> Settings {
    Settings { engine: EngineSettings::File(dir.to_owned()), retention: Duration::from_hours(72), seal_keys }
}

#[test]
fn a_flipped_bit_anywhere_keeps_it_shut() {
    let seals = seals(&[1]);
    let sealed = seals.seal(&head(1), b"what the event tells").unwrap();
    assert_eq!(seals.open(&head(1), &sealed).unwrap(), b"what the event tells");
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(seals.open(&head(1), &changed).is_err(), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert!(seals.open(&head(1), &sealed[..length]).is_err(), "{length} bytes of it");
    }
}

#[test]
fn under_another_id_queue_or_endpoint_it_stays_shut() {
    let seals = seals(&[1]);
    let sealed = seals.seal(&head(1), b"text").unwrap();
    let others = [
        Head { id: RowId([2; 24]), ..head(1) },
        Head { queue: Queue::Held, ..head(1) },
        Head { queue: Queue::Dead, ..head(1) },
        Head { endpoint: Arc::from("pay2"), ..head(1) },
    ];
    for other in others {
        assert_eq!(seals.open(&other, &sealed), Err(Unopened::Altered), "{other:?}");
    }
    let later = Head { attempts: 9, next_at: later(60), reason: Reason::UpstreamTimeout, ..head(1) };
    assert!(seals.open(&later, &sealed).is_ok(), "what changes with every attempt is not sealed");
}

#[test]
fn keys_rotate_the_first_seals_and_all_open() {
    let old = seals(&[1]).seal(&head(1), b"text").unwrap();
    let both = seals(&[2, 1]);
    assert_eq!(both.open(&head(1), &old).unwrap(), b"text");
    let new = both.seal(&head(1), b"text").unwrap();
    assert_eq!(seals(&[2]).open(&head(1), &new).unwrap(), b"text");
    assert_eq!(seals(&[2]).open(&head(1), &old), Err(Unopened::UnknownKey));
    assert_eq!(both.lane("pay", Some("order"), RowId([1; 24])), seals(&[1]).lane("pay", Some("order"), RowId([9; 24])));
}

#[test]
fn lanes_tell_subjects_and_endpoints_apart_and_need_the_key() {
    let seals = seals(&[1]);
    let id = RowId([1; 24]);
    let lane = seals.lane("pay", Some("order-1"), id);
    assert_eq!(lane, seals.lane("pay", Some("order-1"), RowId([2; 24])));
    assert_ne!(lane, seals.lane("pay", Some("order-2"), id));
    assert_ne!(lane, seals.lane("pay2", Some("order-1"), id));
    assert_ne!(lane, self::seals(&[2]).lane("pay", Some("order-1"), id));
    assert_ne!(seals.lane("pay", None, id), seals.lane("pay", None, RowId([2; 24])), "nothing in common");
}

#[test]
fn a_key_is_32_bytes_in_hexadecimal_or_base64() {
    assert_eq!(key_of_text("07".repeat(32).as_bytes()), Some(key(7)));
    let base64 = base64_simd::STANDARD.encode_to_string([7; 32]);
    assert_eq!(key_of_text(format!("{base64}\n").as_bytes()), Some(key(7)));
    assert_eq!(key_of_text(base64.trim_end_matches('=').as_bytes()), Some(key(7)));
    for wrong in ["", "07", &"07".repeat(31), &"0g".repeat(32), &base64_simd::STANDARD.encode_to_string([7; 31])] {
        assert_eq!(key_of_text(wrong.as_bytes()), None, "{wrong}");
    }
}

#[tokio::test]
async fn a_file_store_makes_its_key_once_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let rows = || Rows::File(FileRows::open(&dir.path().join("queue")).unwrap());
    let settings = file_settings(dir.path(), Vec::new());
    let sealed = Seals::of_store(&settings, &rows()).unwrap().seal(&head(1), b"text").unwrap();
    let path = dir.path().join("seal.key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = Seals::of_store(&settings, &rows()).unwrap();
    assert_eq!(again.open(&head(1), &sealed).unwrap(), b"text");
    let configured = Seals::of_store(&file_settings(dir.path(), vec![key(5)]), &rows()).unwrap();
    assert_eq!(configured.open(&head(1), &sealed).unwrap(), b"text", "its own key opens what it sealed");
    assert!(seals(&[5]).open(&head(1), &configured.seal(&head(1), b"text").unwrap()).is_ok());
}

#[tokio::test]
async fn a_file_store_that_lost_its_key_does_not_open_over_sealed_rows() {
    let dir = tempfile::tempdir().unwrap();
    let settings = file_settings(dir.path(), Vec::new());
    let rows = FileRows::open(&dir.path().join("queue")).unwrap();
    rows.put(row(head(1))).await.unwrap();
    let lost = Seals::of_store(&settings, &Rows::File(rows)).err().unwrap();
    assert!(matches!(lost, OpenError::SealKey { .. }), "{lost}");
    std::fs::write(dir.path().join("seal.key"), "not a key").unwrap();
    let rows = Rows::File(FileRows::open(&dir.path().join("queue")).unwrap());
    assert!(matches!(Seals::of_store(&settings, &rows).err(), Some(OpenError::SealKey { .. })));
}

fn texts() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(".{0,20}")
}

proptest! {
    #[test]
    fn an_open_row_is_what_was_put(
        (id, kind, subject, attach) in (".{0,20}", ".{0,20}", texts(), texts()),
        (body, received) in (any::<Vec<u8>>(), any::<Vec<u8>>()),
        (verdict, value) in (".{0,40}", proptest::collection::vec(0x20_u8..0x7f, 0..20)),
        (amount, millis, is_combined) in (any::<Option<i64>>(), any::<Option<i64>>(), any::<bool>()),
        conflict in any::<bool>(),
    ) {
        let mut headers = HeaderMap::new();
        headers.append("wechatpay-nonce", http::HeaderValue::from_bytes(&value).unwrap());
        headers.append("wechatpay-nonce", http::HeaderValue::from_bytes(b"\xe8\xae\xa2").unwrap());
        let row = Row {
            origin: if conflict { Origin::Conflict } else { Origin::Claimed },
            event: Event {
                id, kind, subject, attach, amount_total: amount, is_combined,
                time: millis.map(UnixTime::from_millis), body: body.into(), ..Event::default()
            },
            received_body: received.into(),
            headers,
            signed: Signed { nonce: conflict.then(|| "n".to_owned()), at: conflict.then_some(NOW), by: "KEY".to_owned() },
            verdict,
            attempts_before: 3,
            released_from: conflict.then_some(Queue::Dead),
            expiry: conflict.then_some(Expiry { at: NOW, then: OnExpiry::Reject }),
        };
        let sealed = seals(&[1]).seal(&head(1), &row.encode()).unwrap();
        prop_assert_eq!(Row::decode(seals(&[1]).open(&head(1), &sealed).unwrap()), Some(row));
    }

    #[test]
    fn arbitrary_bytes_are_no_row_and_no_panic(bytes in any::<Vec<u8>>()) {
        prop_assert!(seals(&[1]).open(&head(1), &bytes).is_err());
        let _ = Row::decode(bytes.clone());
        let mut formed = vec![1];
        formed.extend(bytes);
        prop_assert_eq!(Row::decode(formed), None);
    }
}
